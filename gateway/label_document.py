"""The routes of a gateway that only names the slot, for whatever gateway stands behind it.

Our gateway computes the bucket, writes the slot into one header, and sends everyone to the same address; the gateway
behind needs no patterns, only an exact match of that header.  The header is written for everyone and over whatever came
from outside.  There is nothing of the platform team's in this document: it is made from the route record alone, anew at
every change.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

from gateway.route_document import BUCKET_HEADER, SEGMENT_HEADER, VARIANT_HEADER
from tailramp.assignment import Assignment
from tailramp.route_record import RouteRecord

LABEL_HEADER = "x-model-route"
"""Which slot a request is for; the gateway behind matches its value exactly."""
STALE_HEADER = "x-tailramp-stale"
"""Set by the gateway's script on every request once the assignment has not been confirmed for too long."""

_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


@dataclass(frozen=True)
class LabelDocument:
    """A discovery response with one route configuration.  ``version`` differs where anything that serves differs."""

    data: dict[str, Any]

    @classmethod
    def of(cls, record: RouteRecord) -> Self:
        """What the record says; a renewed lease changes nothing of it."""
        config = {
            "@type": _TYPE,
            "name": record.route,
            # Otherwise Envoy accepts a rule that names no cluster it knows, and answers 503.
            "validate_clusters": True,
            "metadata": {"filter_metadata": {"tailramp": _known(record)}},
            "virtual_hosts": [
                {
                    "name": record.route,
                    "domains": ["*"],
                    "routes": _entries(record),
                    "request_headers_to_remove": [STALE_HEADER],
                }
            ],
        }
        digest = hashlib.sha256(json.dumps(config, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        return cls({"version_info": f"{record.epoch}-{digest[:12]}", "resources": [config]})

    @classmethod
    def initial(cls, route: str, default: str) -> Self:
        """Everyone on ``default``: a route of which there is no record yet."""
        return cls.of(RouteRecord(route=route, original_default=default, assignment=Assignment(default=default)))

    @property
    def name(self) -> str:
        return str(self.data["resources"][0]["name"])

    @property
    def version(self) -> str:
        return str(self.data["version_info"])

    def text(self) -> str:
        return json.dumps(self.data, indent=1, ensure_ascii=False) + "\n"


def _known(record: RouteRecord) -> dict[str, Any]:
    """What the gateway can tell of the record, should the record be lost."""
    return {
        "epoch": record.epoch,
        "ramp": record.ramp or "",
        "default": record.assignment.default,
        "original_default": record.original_default,
    }


def _entries(record: RouteRecord) -> list[dict[str, Any]]:
    if record.off:
        return [_off(record)]
    entries = []
    if record.candidates:
        stale = {"name": STALE_HEADER, "string_match": {"exact": "1"}}
        entries.append(_entry("stale", record.original_default, stale))
    for rule in record.assignment.rules:
        header = SEGMENT_HEADER if rule.segments else BUCKET_HEADER
        match = {"name": header, "string_match": {"safe_regex": {"regex": rule.pattern}}}
        entries.append(_entry(rule.slot, rule.slot, match))
    return [*entries, _entry("default", record.assignment.default, None)]


def _entry(name: str, slot: str, header: dict[str, Any] | None) -> dict[str, Any]:
    match = {"prefix": "/"} if header is None else {"prefix": "/", "headers": [header]}
    label = {"header": {"key": LABEL_HEADER, "value": slot}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "name": name,
        "match": match,
        "route": {"cluster": slot, "timeout": "0s"},
        "request_headers_to_add": [label],
    }


def _off(record: RouteRecord) -> dict[str, Any]:
    answer = record.off_answer
    body = json.dumps({"error": {"message": answer.message, "type": "service_unavailable"}}, ensure_ascii=False)
    headers = {"content-type": "application/json; charset=utf-8", VARIANT_HEADER: "off"}
    return {
        "name": "off",
        "match": {"prefix": "/"},
        "direct_response": {"status": answer.status, "body": {"inline_string": body}},
        "response_headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in headers.items()
        ],
    }
