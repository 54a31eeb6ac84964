"""The router for gateways without patterns: our own gateways in front of them hold the assignment and name the slot."""

from activities.routers.gateway_label.fleet import GatewayFleet
from activities.routers.gateway_label.router import GatewayLabel

__all__ = ["GatewayFleet", "GatewayLabel"]
