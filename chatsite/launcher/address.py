"""Where the site listens, and what to tell a person about it."""

from __future__ import annotations

import http.client
import ipaddress
import os
import socket
from dataclasses import dataclass

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound


class AddressError(Exception):
    """The address cannot be used; the message is for a person."""


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port to listen on; port 0 is replaced by a free one."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = WILDCARDS.get(self.host, self.host)
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def answers(self) -> bool:
        """Whether the web process answers its health check."""
        connection = http.client.HTTPConnection(WILDCARDS.get(self.host, self.host), self.port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def read_address() -> Address:
    """From HOST and PORT; raises AddressError for what cannot be a port."""
    host = os.environ.get("HOST") or "127.0.0.1"
    word = os.environ.get("PORT") or "8000"
    if not word.isdecimal() or int(word) > 65535:
        raise AddressError(f"PORT must be a number from 0 to 65535, not {word!r}.")
    return claim(Address(host, int(word)))


def claim(address: Address) -> Address:
    """Binds the address for a moment: nothing should be started when it is taken."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise AddressError(
            f"HOST {address.host!r} is no address of this machine: {error.strerror}."
        ) from error
    family, kind, protocol, _, place = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
            port = int(probe.getsockname()[1])
        except PermissionError as error:
            raise AddressError(
                f"Port {address.port} needs special rights. Choose one above 1023: PORT=8000 make run"
            ) from error
        except OSError as error:
            raise AddressError(
                f"Port {address.port} on {address.host} cannot be used ({error.strerror}): "
                "probably another program listens there.\n"
                f"Stop that one, or choose another port: PORT={address.port + 1} make run"
            ) from error
    return Address(address.host, port)
