"""The smallest pair of files that validates: what ``tailramp validate --help`` shows to start from."""

from typing import Final

CANARY: Final = """\
canary:
  model: "llama-2-70b-chat-v1.3"
  buckets: "00-04"        # 5 %
  autoRollback: true
  maxLatency: 2000ms      # limit of the p99
  maxToxicity: 0.05
"""

PLATFORM: Final = """\
apiVersion: tailramp/v1
route:
  name: chat
router:
  kind: envoy-file
  file: /etc/envoy/routes/chat.json      # Envoy watches it
  admin: http://127.0.0.1:9901
  gateway: http://127.0.0.1:8080
slots:
  blue:
    url: http://127.0.0.1:8001
    metrics: 'slot="blue"'
    gatewayMetrics: 'envoy_cluster_name="blue"'
  green:
    url: http://127.0.0.1:8002
    metrics: 'slot="green"'
    gatewayMetrics: 'envoy_cluster_name="green"'
identity:
  header: X-User-Id
  salt: "choose-once-and-keep"
prometheus:
  url: http://127.0.0.1:9090
"""


def as_help(text: str) -> str:
    """``text`` as click shows it line for line."""
    return "\b\n" + "".join(f"    {line}\n" for line in text.splitlines())
