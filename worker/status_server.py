"""The three paths that an operator's tools ask a worker process for: ``/healthz``, ``/readyz`` and ``/metrics``.

They are answered by threads, because a server on the event loop cannot say that the event loop is stuck.
"""

import contextlib
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from worker.health import LoopGuard, Readiness, guarded
from worker.metrics import exposition, measure_loop
from worker.settings import Address, WorkerSettings

log = logging.getLogger("tailramp.health")

_NOTICE_SECONDS = 0.2  # until the server notices that it is to stop
_PLAIN = "text/plain; charset=utf-8"

Response = tuple[HTTPStatus, str, bytes]
"""Status, content type, body."""


class Status:
    """What one process says of itself."""

    def __init__(self, guard: LoopGuard, readiness: Readiness, unhealthy_seconds: float) -> None:
        self._guard = guard
        self._readiness = readiness
        self._unhealthy_seconds = unhealthy_seconds

    def answer(self, path: str, accept: str) -> Response:
        match path.partition("?")[0]:
            case "/healthz":
                stuck = self._guard.stuck
                if stuck >= self._unhealthy_seconds:
                    return _no(f"the event loop has been stuck for {stuck:.1f} s")
                return _plain(HTTPStatus.OK, "alive")
            case "/readyz":
                why_not = self._readiness.why_not()
                return _plain(HTTPStatus.OK, "ready") if why_not is None else _no(why_not)
            case "/metrics":
                body, content_type = exposition(accept)
                return HTTPStatus.OK, content_type, body
            case _:
                return _plain(HTTPStatus.NOT_FOUND, "there are /healthz, /readyz and /metrics")


def _plain(status: HTTPStatus, text: str) -> Response:
    return status, _PLAIN, f"{text}\n".encode()


def _no(why: str) -> Response:
    return _plain(HTTPStatus.SERVICE_UNAVAILABLE, why)


@contextlib.asynccontextmanager
async def observed(
    name: str, listen: Address | None, settings: WorkerSettings, not_ready: str
) -> AsyncIterator[Readiness]:
    """Guard the running loop, and answer for this process at ``listen``, until the block is left.

    ``not_ready`` is why it is not ready until its readiness is confirmed.
    """
    readiness = Readiness(not_ready)
    async with guarded(name, settings.stuck_exit_seconds) as (pulse, guard):
        measure_loop(pulse)
        with _served(name, listen, Status(guard, readiness, settings.stuck_seconds).answer):
            yield readiness


@contextlib.contextmanager
def _served(name: str, listen: Address | None, answer: Callable[[str, str], Response]) -> Iterator[None]:
    """A port that cannot be had is said and left: a missing probe is no reason to go without rollbacks."""
    if listen is None:
        yield
        return
    try:
        server = _Server(listen, answer)
    except OSError as error:
        log.error("%s: /healthz, /readyz and /metrics are not served at %s: %s", name, listen, error)
        yield
        return
    threading.Thread(target=server.serve_forever, args=(_NOTICE_SECONDS,), name="status", daemon=True).start()
    log.info("%s: /healthz, /readyz and /metrics are at http://%s", name, server.address)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listen: Address, answer: Callable[[str, str], Response]) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        self.answer = answer
        super().__init__((listen.host, listen.port), _Handler)

    @property
    def address(self) -> Address:
        return Address(str(self.server_address[0]), int(self.server_address[1]))

    def server_bind(self) -> None:
        """Without the look-up of this machine's name that the base class makes, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class's
        log.debug("a client at %s went away", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5  # seconds that a silent client may hold a thread

    def do_GET(self) -> None:
        status, content_type, body = self.server.answer(self.path, self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def version_string(self) -> str:
        return "tailramp"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        log.debug(format, *args)
