"""Which gateways nginx can be, which it cannot and in what words, and whom it finds behind a name."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError
from running_envoy import Upstream, until
from running_nginx import StartNginx, document, needs_nginx, settings

from gateway.nginx import NginxGateway
from lab.nginx_server import find_nginx
from lab.process import free_port
from lab.programs import ProgramNotFoundError
from tailramp.assignment import Assignment

TOKENS = {"issuer": "https://id.example.cn", "jwks_file": "/keys.json"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clusters": {"blue": "10.0.0.1:80", "green": "10.0.0.2:80"}}, "only names the slot.*use Envoy"),
        ({"lease_file": None}, "only names the slot"),
        ({"identity_claim": "sub", "jwt": TOKENS}, "nginx verifies no tokens"),
        ({"identity_header": "x.user.id"}, "nginx drops a header named 'x.user.id'"),
        ({"identity_api_key": "x~key"}, "nginx drops a header named"),
        ({"clusters": {"blue": "alb.llm:80"}}, "alb.llm is a name.*name a resolver"),
        ({"clusters": {"blue": "alb.llm:80"}, "resolver": "kube-dns"}, "the resolver 'kube-dns' is not an IP address"),
        ({"resolver": "kube-dns:53"}, "the resolver 'kube-dns:53' is not an IP address"),
        ({"route_file": "/a b/$x/routes.json"}, "a sign that nginx reads as its own"),
        ({"access_log": '/var/log/"x"'}, "a sign that nginx reads as its own"),
        ({"access_log": "/var/log/a\nb"}, "a sign that nginx reads as its own"),
        ({"identity_header": "X-Model-Route"}, "cannot hold the user id"),
    ],
)
def test_what_nginx_cannot_be_is_refused_in_words(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    good = settings(tmp_path, "10.0.0.1:80")
    NginxGateway.model_validate(good)
    with pytest.raises(ValidationError, match=words):
        NginxGateway.model_validate(good | changes)


@needs_nginx
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"listener_host": "0.0.0.0", "admin_host": "::1"},
        {"clusters": {"blue": "[::1]:8000"}},
        {"clusters": {"blue": "alb.llm:8000", "green-2": "alb.llm:8000"}, "resolver": "10.96.0.10"},
        {"clusters": {"blue": "alb.llm:8000"}, "resolver": "[::1]:5353", "behind_host": "chat.example"},
        {"access_log": "/dev/null", "salt": '"\n盐}', "connect_timeout": 0.001, "stream_idle_timeout": 86_400},
        {"probe_secret_file": "/nowhere/secret", "probe_path": "/v1/models?a=\"]]b'{"},
        {"identity_cookie": "a.b_c|~"},
    ],
)
async def test_nginx_accepts_what_is_rendered(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = tmp_path / "a folder with blanks"
    (folder / "gateway").mkdir(parents=True)
    found = find_nginx()
    gateway = NginxGateway.model_validate(settings(folder, "10.0.0.1:80", modules=found.modules) | changes)
    conf = tmp_path / "nginx.conf"
    conf.write_text(gateway.configuration(), encoding="utf-8")
    argv = [found.program, "-t", "-e", "stderr", "-c", conf]
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_nginx_that_was_named_and_is_not_there_is_not_replaced_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRAMP_NGINX", "/nowhere/nginx")
    with pytest.raises(ProgramNotFoundError, match="no /nowhere/nginx is on this machine"):
        find_nginx.__wrapped__()
    monkeypatch.setenv("TAILRAMP_NGINX", "/bin/true")
    with pytest.raises(ProgramNotFoundError, match="/bin/true knows no Lua"):
        find_nginx.__wrapped__()


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for an IPv4 address with ``address``."""

    address = "127.0.0.1"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        is_v4 = data[end - 4 : end - 2] == b"\0\1"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + bytes(map(int, self.address.split(".")))
        head = data[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_v4 else b"\0\0") + b"\0\0\0\0"
        self._transport.sendto(head + data[12:end] + (record if is_v4 else b""), addr)


@needs_nginx
async def test_a_name_is_asked_for_again_when_its_address_has_moved(
    start_nginx: StartNginx, upstreams: dict[str, Upstream]
) -> None:
    names = NameServer()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: names, local_addr=("127.0.0.1", free_port())
    )
    resolver = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    moved = Upstream("moved")
    await moved.start()
    try:
        behind = dict.fromkeys(("blue", "green"), f"alb.llm.example:{upstreams['blue'].port}")
        nginx = await start_nginx(document(Assignment(default="blue")), clusters=behind, resolver=resolver)
        assert (await nginx.get()).slot == "blue"
        async with await asyncio.start_server(_to(moved.port), "127.0.0.2", upstreams["blue"].port):
            names.address = "127.0.0.2"

            async def has_moved() -> bool:
                # Each worker remembers an address for itself.
                return {(await nginx.get()).slot for _ in range(20)} == {"moved"}

            await until(has_moved, "the new address is asked", limit=15)

            async def ready() -> bool:
                return await nginx.admin_reader.ready("blue") is True

            await until(ready, "health is asked there as well")
    finally:
        transport.close()
        await moved.stop()


def _to(port: int) -> Any:
    """Hands a connection's bytes on to another port."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    return handle
