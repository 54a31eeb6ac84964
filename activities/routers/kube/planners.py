"""The planner of each kind of route."""

from activities.kube.client import Object
from activities.routers.kube.binding import Binding
from activities.routers.kube.gateway_api import GatewayApi
from activities.routers.kube.ingress_nginx import IngressNginx
from activities.routers.kube.planner import Planner
from tailramp.errors import Refused


def planner_of(binding: Binding) -> Planner:
    match binding.kind:
        case "ingress-nginx":
            return IngressNginx(binding)
        case "gateway-api":
            return GatewayApi(binding)
        case "gateway-label":
            raise Refused("this route is made of no objects: its gateways follow the record itself")


def settled(binding: Binding, main: Object) -> Binding:
    """The binding with everything that is told by the main route now and must stay so for a whole ramp."""
    if binding.kind != "gateway-api" or binding.exact is not None:
        return binding
    return binding.model_copy(update={"exact": GatewayApi(binding).lists_values(main)})
