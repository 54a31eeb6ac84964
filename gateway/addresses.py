"""Addresses of listeners and servers, as people write them and as Envoy takes them."""

import ipaddress
import re


def socket_address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_and_port(endpoint: str) -> tuple[str, int]:
    """Take ``host:port`` apart; an IPv6 address stands in brackets.  ValueError, with the mend, for anything else."""
    host, colon, port = endpoint.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not host or (":" in host) != bracketed or not re.fullmatch(r"[A-Za-z0-9.:-]+", host):
        raise ValueError(f"{endpoint!r} is not host:port: write for example 127.0.0.1:8000 or [::1]:8000")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{endpoint!r} has no port from 1 to 65535 after the colon")
    return host, int(port)
