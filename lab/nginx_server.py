"""A real nginx with Lua: the other gateway of our own, beside Envoy.

No package of Python's brings it, and where it comes from only an administrator can install it: `apt-get install nginx
libnginx-mod-http-lua lua-cjson`, or OpenResty. So it is looked for, and what needs it is skipped, in these words, where
it is not.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from gateway.nginx import NginxGateway
from lab.http_probe import answers_ok
from lab.process import ManagedProcess
from lab.programs import ProgramNotFoundError
from lab.server import READY_SECONDS, Server

VARIABLE = "TAILRAMP_NGINX"
_NAMES = ("openresty", "nginx")
_LUA = "ngx_http_lua_module.so"
# The lab's promise that nothing outlives the tests holds for the process that it starts. nginx's workers are started by
# that one, and would serve on without it.
_DIE_WITH_THE_FIRST = """
local ffi = require("ffi")
ffi.cdef("int prctl(int, unsigned long, ...); int getppid(void);")
ffi.C.prctl(1, 9)
if ffi.C.getppid() ~= require("ngx.process").get_master_pid() then
    os.exit(1)
end
"""
_MEND = "Install it (Debian: nginx libnginx-mod-http-lua lua-cjson), or let TAILRAMP_NGINX name one that you have."


@dataclass(frozen=True)
class Nginx:
    """`modules` is the folder with the module for Lua, or None if it is built in."""

    program: Path
    modules: Path | None


@cache
def find_nginx() -> Nginx:
    """An nginx of this machine that knows Lua: the one that TAILRAMP_NGINX names, or one on PATH.

    Raises ProgramNotFoundError, with what to install, where there is none.
    """
    named = os.environ.get(VARIABLE)
    # Debian keeps servers where only root looks.
    path = os.pathsep.join([*os.get_exec_path(), "/usr/sbin"])
    seen = [found for name in ([named] if named else _NAMES) if (found := shutil.which(name, path=path))]
    for program in seen:
        told = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=20, check=False).stderr
        folder = re.search(r"--modules-path=(\S+)", told)
        if folder and (Path(folder[1]) / _LUA).exists():
            return Nginx(Path(program), Path(folder[1]))
        if re.search(r"--add-module=\S*lua", told):
            return Nginx(Path(program), None)
    why = f"{', '.join(seen)} knows no Lua" if seen else f"no {named or 'nginx'} is on this machine"
    raise ProgramNotFoundError(f"{why}. {_MEND}")


def why_no_nginx() -> str:
    """What is missing for one, or nothing."""
    try:
        find_nginx()
    except ProgramNotFoundError as error:
        return str(error)
    return ""


class NginxServer(Server):
    """An nginx started with the configuration of `gateway`, on the ports that it names, with two workers."""

    name: ClassVar[str] = "nginx"

    def __init__(self, directory: Path, gateway: NginxGateway) -> None:
        super().__init__(directory)
        self.gateway = gateway

    @property
    def admin_url(self) -> str:
        """What it tells of itself, as Envoy's admin interface does; without a slash at its end."""
        return f"http://{self.gateway.admin_host}:{self.gateway.admin_port}"

    def reload(self) -> None:
        """Have new workers take over from those that run, which finish what they have begun."""
        os.kill(self.process.pid, signal.SIGHUP)

    def _command(self) -> tuple[list[str], dict[str, str]]:
        self.gateway.route_file.parent.mkdir(parents=True, exist_ok=True)
        gateway = self.gateway.model_copy(update={"modules": find_nginx().modules})
        text = gateway.configuration().replace("worker_processes auto;", "worker_processes 2;")
        text = text.replace("init_worker_by_lua_block {", f"init_worker_by_lua_block {{\n{_DIE_WITH_THE_FIRST}", 1)
        self.configuration.write_text(text, encoding="utf-8")
        argv = [str(find_nginx().program), "-e", "stderr", "-c", str(self.configuration)]
        if os.geteuid() == 0:  # the folders of tests are their user's alone
            argv += ["-g", "user root;"]
        return argv, {}

    @property
    def configuration(self) -> Path:
        """Written anew by every start; a reload reads what stands there."""
        return self.directory / "nginx.conf"

    async def _wait_ready(self, process: ManagedProcess) -> None:
        url = f"{self.admin_url}/ready"
        await process.wait_ready(lambda: answers_ok(url), READY_SECONDS, f"{url} answers 200")
