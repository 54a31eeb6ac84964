"""What all tests share: where two files of tests run at once, each has ports of its own."""

import os

from lab.process import PORTS_VARIABLE, part_of_ports

if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ[PORTS_VARIABLE] = part_of_ports(
        int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    )
