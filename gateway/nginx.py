"""nginx with Lua as tailramp's gateway, for people who run OpenResty or nginx and would not add Envoy.

It only names the slot to a gateway behind it. It reads the two files that an Envoy in its place would read, runs the
same Lua, and answers the same questions on its admin port; so `tailramp follow`, the router and the checks need not
know which of the two stands there. What it cannot do is refused here in words.
"""

import re
from pathlib import Path
from typing import Final, Self

from pydantic import field_validator, model_validator

from gateway.addresses import host_and_port, is_ip
from gateway.label_document import LABEL_HEADER
from gateway.lua import LuaValue, lua_literal
from gateway.settings import GatewaySettings

_HERE: Final = Path(__file__).parent
_MODULES: Final = ("routes", "counts", "health", "request", "admin")
_OF_THE_MODULE: Final = ("ndk_http_module.so", "ngx_http_lua_module.so")
# nginx would read a $ as a variable, and a quote or a backslash as something of its own.
_PLAIN_PATH: Final = re.compile(r"/[^\"'$\\;{}\x00-\x1f\x7f]*")
_PLACE: Final = re.compile("@([a-z_]+)@")
_DNS: Final = 53
_NAME: Final = re.compile(r"[a-z0-9-]+")


class NginxGateway(GatewaySettings):
    """One nginx in front of the gateway that serves one route's slots by their label.

    Frozen. Raises pydantic.ValidationError, naming the field and the mend, for values with which nginx would not start,
    or would start and put everybody on the default.
    """

    resolver: str | None = None
    """The IP address of a name server, with its port if that is not 53. nginx asks the machine's own only when it
    starts, and would go on sending users to an address that has been given to somebody else."""
    modules: Path | None = None
    """The folder with nginx's modules where Lua is one of them, as in Debian; OpenResty has it built in."""

    @field_validator("route_file", "access_log", "modules")
    @classmethod
    def _plain(cls, value: Path | None) -> Path | None:
        if value is not None and not _PLAIN_PATH.fullmatch(str(value)):
            raise ValueError(f"{str(value)!r} has a sign that nginx reads as its own: choose a plain absolute path")
        return value

    @field_validator("resolver")
    @classmethod
    def _name_server(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            host, port = (value, _DNS) if is_ip(value) else host_and_port(value)
        except ValueError:
            host, port = value, _DNS
        if not is_ip(host):
            raise ValueError(f"the resolver {value!r} is not an IP address: give the one of your cluster's DNS")
        return _endpoint(host, port)

    @model_validator(mode="after")
    def _names_the_slot(self) -> Self:
        if self.lease_file is None or len(set(self.clusters.values())) != 1:
            raise ValueError("nginx only names the slot to one gateway behind it: use Envoy to send slots apart")
        return self

    @model_validator(mode="after")
    def _can_read_the_identity(self) -> Self:
        if self.jwt is not None:
            raise ValueError("nginx verifies no tokens, so identity.claim would be anybody's word: use Envoy")
        kind, name = self._identity_place
        if kind != "cookie" and not _NAME.fullmatch(name):
            raise ValueError(f"nginx drops a header named {name!r}: use letters, digits and hyphens")
        return self

    @model_validator(mode="after")
    def _finds_who_stands_behind(self) -> Self:
        host, _ = self._behind
        if not is_ip(host) and self.resolver is None:
            raise ValueError(
                f"{host} is a name, and nginx would ask for its address only when it starts: name a resolver, or give"
                " an IP address"
            )
        return self

    @property
    def _behind(self) -> tuple[str, int]:
        return host_and_port(next(iter(self.clusters.values())))

    def configuration(self) -> str:
        """The whole configuration, for `nginx -e stderr -c FILE`.

        It keeps its pid and its temporary files beside the route file, and runs in the foreground. It has the salt in
        it, as Envoy's bootstrap has.
        """
        host, port = self._behind
        endpoint = _endpoint(host, port)
        if is_ip(host):
            behind, upstream = "behind", _upstream(endpoint, self.upstream_idle_timeout)
        else:  # a variable is resolved anew, and has no connections to keep
            behind, upstream = "$tailramp_behind", f'map "" $tailramp_behind {{ default "{endpoint}"; }}'
        values = {
            "load_modules": " ".join(
                f'load_module "{self.modules}/{name}";' for name in _OF_THE_MODULE if self.modules
            ),
            "folder": str(self.route_file.parent),
            "access_log": _access_log(self.access_log),
            "resolver": "" if self.resolver is None else f"resolver {self.resolver} valid=5s;",
            "modules": "\n".join(self._preloaded()),
            "upstream": upstream,
            "behind": behind,
            "listener": _endpoint(self.listener_host, self.listener_port),
            "admin": _endpoint(self.admin_host, self.admin_port),
            "connect_timeout": _duration(self.connect_timeout),
            "stream_idle_timeout": _duration(self.stream_idle_timeout),
        }
        # In one pass: what is put in, such as a salt, may look like a place for more.
        return _PLACE.sub(lambda place: values[place[1]], (_HERE / "nginx.conf").read_text("utf-8"))

    def _preloaded(self) -> list[str]:
        """Each Lua module as nginx finds it without a file."""
        host, port = self._behind
        behind: dict[str, LuaValue] = {"host": _bracketed(host), "port": port}
        if self.behind_host is not None:
            behind["name"] = self.behind_host
        settings: dict[str, LuaValue] = {
            "route": self.route_config_name,
            "route_file": str(self.route_file),
            "slots": dict.fromkeys(self.clusters, True),
            "behind": behind,
            "probe_path": self.probe_path,
            "label_header": LABEL_HEADER,
            "described": self.described,
        }
        texts = {
            "settings": f"return {lua_literal(settings)}\n",
            "bucket": f"{self.script()}\nreturn {{ on_request = envoy_on_request }}\n",
            **{name: (_HERE / f"nginx_{name}.lua").read_text("utf-8") for name in _MODULES},
        }
        return [f'package.preload["tailramp.{name}"] = function()\n{text}end' for name, text in texts.items()]


def _upstream(endpoint: str, idle_seconds: float) -> str:
    # Nobody is turned away because somebody else was: a server that failed once is asked again.
    keep = f"keepalive 64; keepalive_timeout {_duration(idle_seconds)};"
    return f"upstream behind {{ server {endpoint} max_fails=0; {keep} }}"


def _access_log(path: Path | None) -> str:
    if path is None:
        return "access_log off;"
    fields = {
        "time": "$time_iso8601",
        "method": "$request_method",
        "path": "$uri",
        "bucket": "$tailramp_bucket",
        "slot": "$tailramp_slot",
        "status": "$status",
        "seconds": "$request_time",
        "bytes_sent": "$body_bytes_sent",
    }
    line = ",".join(f'"{name}":"{value}"' for name, value in fields.items())
    return f"log_format tailramp escape=json '{{{line}}}'; access_log \"{path}\" tailramp;"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _endpoint(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port}"


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"
