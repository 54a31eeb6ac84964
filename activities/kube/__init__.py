"""The Kubernetes API as tailramp uses it: plain objects, few verbs, a time limit on every call.

What an adapter writes are a handful of fields of objects whose kinds it may not even know (a route's backend can be of
any group), so objects are plain dictionaries here and the typed models of the client library stay out of the way.
"""

from activities.kube.client import KubeClient
from activities.kube.errors import Changed, Denied, NotFound
from activities.kube.resources import Resource

__all__ = ["Changed", "Denied", "KubeClient", "NotFound", "Resource"]
