"""The two files to start from, with a comment at whatever is not plain: what ``tailramp init`` writes."""

import json
import re
from collections.abc import Callable
from string import Template
from typing import Final

Say = Callable[[str], str]

_COMMENT: Final = re.compile(r"(?<=# )(?!probeSecret)(?P<sentence>.+)$", re.MULTILINE)

_CANARY: Final = Template("""\
# The researcher's file: what to try, on whom, and what it must not exceed.
canary:
  model: $model
  buckets: "00-04"        # 5 % of the users; "00-99" is everyone, "" takes it back
  autoRollback: true      # A failed check rolls back; false pauses and waits for a person.
  maxLatency: 2000ms      # Limit of the p99.
  maxToxicity: 0.05       # Limit of the share of toxic answers.
""")

_PLATFORM: Final = Template("""\
# The platform team's file: what no researcher should have to know.
# `tailramp schema platform` describes every field.
apiVersion: tailramp/v1
route:
  namespace: $namespace
  name: $name
router:
  kind: envoy-file
  file: $file  # Envoy watches it; a relative path starts at this file.
  admin: http://127.0.0.1:9901
  gateway: http://127.0.0.1:8080          # Where users come in.
  # probeSecret: $${TAILRAMP_PROBE_SECRET}  # Only the worker resolves it; no secret stands in this file.
slots:                                    # Two or more; which one is live is read from the route.
  blue:
    url: http://127.0.0.1:8001
    metrics: 'slot="blue"'                # Matchers of its servers' metrics.
    gatewayMetrics: 'envoy_cluster_name="blue"'
  green:
    url: http://127.0.0.1:8002
    metrics: 'slot="green"'
    gatewayMetrics: 'envoy_cluster_name="green"'
identity:
  header: $header                       # The trusted header that holds the user id.
  salt: $salt  # Another salt shuffles all users: choose once and keep.
prometheus:
  url: http://127.0.0.1:9090
ramp:
  steps: [1%, 5%, 10%, 25%, 50%, 100%]    # Shares of the researcher's buckets.
  hold: 10m                               # How long each step is watched.
  bake: 30m                               # How long the old slot stays warm at the end.
checks:
  server: llm                             # Or vllm, sglang, tgi, triton, kserve: their metrics are known.
  maxErrors: 5%                           # Limit of the share of 5xx answers at the gateway.
  maxHang: 5m                             # A request open for longer hangs: above the longest answer.
""")


def canary_file(*, model: str, say: Say = str) -> str:
    """The researcher's file with its comments said by ``say``."""
    return _said(_CANARY.substitute(model=json.dumps(model, ensure_ascii=False)), say)


def platform_file(*, route: str, header: str, salt: str, say: Say = str) -> str:
    """The platform team's file for ``<namespace>/<name>``, with its comments said by ``say``."""
    namespace, _, name = route.partition("/")
    text = _PLATFORM.substitute(
        namespace=_quoted_where_needed(namespace),
        name=_quoted_where_needed(name),
        file=f"/etc/envoy/routes/{name}.json",
        header=header,
        salt=json.dumps(salt, ensure_ascii=False),
    )
    return _said(text, say)


def _quoted_where_needed(name: str) -> str:
    import yaml

    return name if yaml.safe_load(name) == name else json.dumps(name)


def _said(text: str, say: Say) -> str:
    return _COMMENT.sub(lambda comment: say(comment["sentence"]), text)


CANARY: Final = canary_file(model="llama-2-70b-chat-v1.3")
PLATFORM: Final = platform_file(route="default/chat", header="X-User-Id", salt="choose-once-and-keep")
