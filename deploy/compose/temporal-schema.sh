#!/bin/sh
# Brings both of Temporal's databases to the schema of this release; safe to run again, which is how an upgrade goes.
set -eu

schema() {
  database=$1 folder=$2
  temporal-sql-tool --db "$database" create
  if ! temporal-sql-tool --db "$database" update-schema -d "$folder"; then
    temporal-sql-tool --db "$database" setup-schema -v 0.0
    temporal-sql-tool --db "$database" update-schema -d "$folder"
  fi
}

schema temporal /etc/temporal/schema/postgresql/v12/temporal/versioned
schema temporal_visibility /etc/temporal/schema/postgresql/v12/visibility/versioned
