"""Presets: what to ask of a known kind of server or gateway, without writing PromQL.

`checks.server` and `checks.gateway` of the platform file choose one by name. A new kind is one more value here.
"""

from collections.abc import Mapping
from enum import StrEnum

from tailramp.presets import gateways, servers
from tailramp.presets.model import (
    Counted,
    Counters,
    GatewayPreset,
    Histogram,
    InFlight,
    ServerPreset,
    TimeUnit,
    TokenCounters,
)


class ServerName(StrEnum):
    """The kinds of LLM servers."""

    LLM = "llm"
    VLLM = "vllm"
    SGLANG = "sglang"
    TGI = "tgi"
    TRITON = "triton"
    KSERVE = "kserve"


class GatewayName(StrEnum):
    """The kinds of gateways."""

    ENVOY = "envoy"
    TRAEFIK = "traefik"
    INGRESS_NGINX = "ingress-nginx"
    ISTIO = "istio"


SERVERS: Mapping[ServerName, ServerPreset] = {
    ServerName.LLM: servers.LLM,
    ServerName.VLLM: servers.VLLM,
    ServerName.SGLANG: servers.SGLANG,
    ServerName.TGI: servers.TGI,
    ServerName.TRITON: servers.TRITON,
    ServerName.KSERVE: servers.KSERVE,
}

GATEWAYS: Mapping[GatewayName, GatewayPreset] = {
    GatewayName.ENVOY: gateways.ENVOY,
    GatewayName.TRAEFIK: gateways.TRAEFIK,
    GatewayName.INGRESS_NGINX: gateways.INGRESS_NGINX,
    GatewayName.ISTIO: gateways.ISTIO,
}

__all__ = [
    "GATEWAYS",
    "SERVERS",
    "Counted",
    "Counters",
    "GatewayName",
    "GatewayPreset",
    "Histogram",
    "InFlight",
    "ServerName",
    "ServerPreset",
    "TimeUnit",
    "TokenCounters",
]
