"""A thin client of the Kubernetes API over plain objects.

Credentials, TLS and the connection pool are the client library's. Its own retries are used for what may be repeated
without thought; writes are repeated by whoever can tell what a repetition means. Nothing here is global: two clients
may talk to two clusters in one process.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from activities.kube.access import configure
from activities.kube.errors import Changed, Denied, Expired, NotFound
from activities.kube.hub import WatchHub
from activities.kube.resources import Resource
from tailramp.errors import Unreachable

if TYPE_CHECKING:  # it takes half a second to import, and a command that needs no cluster should not pay for it
    from kubernetes.aio.client import ApiClient

Object = dict[str, Any]
Operation = dict[str, Any]
"""One step of a JSON patch (RFC 6902)."""

Keepers = tuple[str, ...]
"""Finalizers: names of those who must agree before an object that was deleted is gone."""

FIELD_MANAGER = "tailramp"
SECONDS = 5.0
"""How long one attempt of a call may take."""

PAGE = 500
"""How many objects one answer lists at most."""

WATCH_SECONDS = 30
"""After which the API server ends a watch, so that one on a connection that has died is noticed."""

_SHORTEST_STREAM_SECONDS = 1.0
"""A stream that ends sooner is begun again only after as long a pause: the next one may end as soon."""

_FAILED_TEST = "the server rejected our request due to an error in our request"


class EventKind(StrEnum):
    LISTED = "listed"
    """These are all of them: what was known before and is not among them is gone."""
    CHANGED = "changed"
    GONE = "gone"


@dataclass(frozen=True)
class Event:
    """What a watch tells; ``objects`` is one, except after ``LISTED``."""

    kind: EventKind
    objects: list[Object]


class KubeClient:
    """One cluster.

    ``kubeconfig`` is a file and ``context`` one of its contexts; which cluster it is without them says ``access``.
    Nothing is read or connected before the first call. ``manager`` is the name under which the API server keeps account
    of who wrote which field.

    Every method raises Unreachable if the API server does not answer in time or answers with a fault of its own,
    NotFound, Changed, or Denied with the server's words.
    """

    def __init__(
        self,
        kubeconfig: Path | None = None,
        context: str | None = None,
        *,
        seconds: float = SECONDS,
        attempts: int = 3,
        manager: str = FIELD_MANAGER,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._seconds = seconds
        self._attempts = attempts
        self._manager = manager
        self._connection: _Connection | None = None
        self._opening = asyncio.Lock()
        self.hub = WatchHub(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.api.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        return await self._call("GET", resource.path(namespace, name))

    async def find(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """Like ``get``, with None for an object that is not there."""
        try:
            return await self.get(resource, namespace, name)
        except NotFound:
            return None

    async def find_all(
        self, resource: Resource, namespace: str | None, selector: str = "", fields: str = ""
    ) -> list[Object]:
        """All objects of a namespace, or of the cluster, whose labels ``selector`` and whose ``fields`` choose."""
        found: list[Object] = []
        more, anew = "", False
        while True:
            query = [("limit", str(PAGE)), *([("labelSelector", selector)] if selector else [])]
            query += [("fieldSelector", fields)] if fields else []
            query += [("continue", more)] if more else []
            try:
                page = await self._call("GET", resource.path(namespace), query)
            except Expired:  # the server has forgotten the list that these pages are of
                if anew or not more:
                    raise
                found, more, anew = [], "", True
                continue
            found += page.get("items", [])
            more = page.get("metadata", {}).get("continue", "")
            if not more:
                return found

    async def watch(
        self, resource: Resource, namespace: str, *, name: str = "", selector: str = ""
    ) -> AsyncGenerator[Event, None]:
        """All objects of a namespace, or those with a name or labels, and then every change of one, for ever.

        A stream that ends is resumed where it was; where the API server has forgotten that place, everything is listed
        anew.  Raises Unreachable if the API server does not answer: whoever wants to know more begins again.  Denied
        means that it will not tell.
        """
        chosen = [("labelSelector", selector)] * bool(selector) + [("fieldSelector", f"metadata.name={name}")] * bool(
            name
        )
        path = resource.path(namespace)
        version = ""
        while True:
            if not version:
                page = await self._call("GET", path, chosen)
                version = str(page.get("metadata", {}).get("resourceVersion", ""))
                yield Event(EventKind.LISTED, page.get("items", []))
            query = [*chosen, ("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", version)]
            begun = time.monotonic()
            async with aclosing(self._stream(path, [*query, ("timeoutSeconds", str(WATCH_SECONDS))])) as lines:
                async for said in lines:
                    found = said.get("object", {})
                    if said.get("type") == "ERROR":
                        if found.get("code") != HTTPStatus.GONE:
                            why = found.get("message", "no reason given")
                            raise Unreachable(f"the watch of {path} broke off: {why}")
                        version = ""
                        break
                    version = str(found.get("metadata", {}).get("resourceVersion", version))
                    if said.get("type") in {"ADDED", "MODIFIED", "DELETED"}:
                        yield Event(EventKind.GONE if said["type"] == "DELETED" else EventKind.CHANGED, [found])
            if time.monotonic() - begun < _SHORTEST_STREAM_SECONDS:
                await asyncio.sleep(_SHORTEST_STREAM_SECONDS)

    async def create(self, resource: Resource, namespace: str | None, body: Object, *, dry_run: bool = False) -> Object:
        """Raises Changed if an object of that name is there already."""
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return await self._call("POST", resource.path(namespace), self._write_query(dry_run), body)

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        operations: Sequence[Operation],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Apply a JSON patch; raises Changed if one of its tests fails."""
        path = resource.path(namespace, name) + (f"/{subresource}" if subresource else "")
        return await self._call("PATCH", path, self._write_query(dry_run), list(operations))

    async def delete(self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None) -> Keepers:
        """Delete an object; with ``uid`` only that one, and Changed is raised for another of the same name.

        Returns the finalizers for which it is still there, and is served as before, until whoever set them takes them
        away; none once it is gone.
        """
        body = {"propagationPolicy": "Background", **({"preconditions": {"uid": uid}} if uid else {})}
        answer = await self._call("DELETE", resource.path(namespace, name), body=body)
        return tuple((answer.get("metadata") or {}).get("finalizers") or ())

    async def knows(self, resource: Resource) -> bool:
        """Whether the API server serves this kind, which it tells everybody; True where it was made not to."""
        try:
            found = await self._call("GET", resource.group_path)
        except NotFound:
            return False
        except Denied:
            return True
        return any(each.get("name") == resource.plural for each in found.get("resources") or [])

    async def review(self, resource: Resource, namespace: str | None, verb: str, name: str = "") -> bool:
        """Whether this client's user may do ``verb`` with the object ``name`` of this kind, "" with all of them, by the
        API server's own answer."""
        attributes = {"namespace": namespace, "verb": verb, "group": resource.group, "resource": resource.plural}
        attributes |= {"name": name} if name else {}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = await self._call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body)
        return bool(answer.get("status", {}).get("allowed"))

    async def _call(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Object | list[Operation] | None = None,
    ) -> Object:
        async with self._connected() as connection:
            status, data = await _request(connection.api, self._seconds, method, path, query, body)
        if status == HTTPStatus.UNAUTHORIZED:  # a token that has expired: another one is in its place by now
            await self._retire(connection)
            async with self._connected() as connection:
                status, data = await _request(connection.api, self._seconds, method, path, query, body)
        if status < 400:
            return data
        reason, message = str(data.get("reason", "")), str(data.get("message", f"status {status}"))
        if status == 404:
            raise NotFound(f"{path}: {message}")
        if status == 409 or (status == 422 and _FAILED_TEST in message):
            raise Changed(f"{path}: {message}")
        if status == HTTPStatus.GONE:
            raise Expired(f"{path}: {message}")
        if status == 429 or status >= 500:
            raise Unreachable(f"the API server cannot do {method} {path} now ({status} {reason}): {message}")
        named = (data.get("details") or {}).get("causes") or []
        causes = frozenset(str(cause.get("reason", "")) for cause in named)
        for_good = status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} or bool(causes)
        raise Denied(
            f"the API server refuses {method} {path} ({status} {reason}): {message}", causes, for_good=for_good
        )

    async def _stream(self, path: str, query: Sequence[tuple[str, str]]) -> AsyncGenerator[Object, None]:
        """The lines of an answer that goes on; ends when the server ends it."""
        import aiohttp

        headers = {"Accept": "application/json"}
        limits = aiohttp.ClientTimeout(sock_connect=self._seconds, sock_read=WATCH_SECONDS + self._seconds)
        async with self._connected() as connection:
            api = connection.api
            serialized = await api.param_serialize(
                "GET", path, query_params=list(query), header_params=headers, auth_settings=["BearerToken"]
            )
            try:
                response = (await api.call_api(*serialized, _request_timeout=limits)).response
                async with response:
                    if response.status == HTTPStatus.UNAUTHORIZED:
                        await self._retire(connection)
                    if response.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                        raise Denied(f"the API server refuses to watch {path} ({response.status})")
                    if response.status >= HTTPStatus.BAD_REQUEST:
                        said = {"code": response.status, "message": f"status {response.status}"}
                        yield {"type": "ERROR", "object": said}
                        return
                    async for line in response.content:
                        yield json.loads(line)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                why = str(error) or type(error).__name__
                raise Unreachable(f"the watch of {path} broke off: {why}") from None

    def _write_query(self, dry_run: bool) -> list[tuple[str, str]]:
        # Without Strict a misspelt field is dropped silently, and what was meant to be matched matches everything.
        query = [("fieldManager", self._manager), ("fieldValidation", "Strict")]
        return [*query, ("dryRun", "All")] if dry_run else query

    @asynccontextmanager
    async def _connected(self) -> "AsyncGenerator[_Connection]":
        """The connection of this client, for as long as a call takes."""
        async with self._opening:
            if self._connection is None:
                self._connection = await self._open()
            connection = self._connection
        connection.calls += 1
        try:
            yield connection
        finally:
            connection.calls -= 1
            await connection.close_if_idle()

    async def _retire(self, connection: "_Connection") -> None:
        """Use it for no further call; those that are under way keep it."""
        connection.retired = True
        if self._connection is connection:  # else another call has met the same refusal, and begun anew
            self._connection = None
        await connection.close_if_idle()

    async def _open(self) -> "_Connection":
        from kubernetes.aio.client import ApiClient, Configuration

        from activities.kube.patience import HonourRetryAfter

        configuration: Configuration = Configuration()
        configuration.retries = HonourRetryAfter(self._attempts)
        await configure(configuration, self._kubeconfig, self._context)
        try:
            api = ApiClient(configuration)
        except OSError as error:  # a certificate or a key that is none
            raise Unreachable(f"there is no way to the Kubernetes API {configuration.host}: {error}") from None
        api.user_agent = self._manager
        return _Connection(api)


@dataclass
class _Connection:
    """What was opened with one set of credentials, and how many ``calls`` use it now."""

    api: "ApiClient"
    calls: int = 0
    retired: bool = False

    async def close_if_idle(self) -> None:
        if self.retired and not self.calls:
            await self.api.close()


async def _request(
    api: "ApiClient",
    seconds: float,
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    body: Object | list[Operation] | None,
) -> tuple[int, Object]:
    """Status and body of an answer.  Raises Unreachable if none comes within ``seconds``."""
    import aiohttp
    from kubernetes.aio.config import ConfigException

    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json-patch+json" if method == "PATCH" else "application/json"
    try:
        serialized = await api.param_serialize(
            method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        response = await api.call_api(*serialized, _request_timeout=aiohttp.ClientTimeout(total=seconds))
        text = await response.read()
    except (aiohttp.ClientError, ConfigException, TimeoutError, OSError) as error:
        said = str(error) or type(error).__name__
        raise Unreachable(f"the API server {api.configuration.host} does not answer: {said}") from None
    try:
        data = json.loads(text)
    except ValueError:
        data = {}
    return response.status, data if isinstance(data, dict) else {}
