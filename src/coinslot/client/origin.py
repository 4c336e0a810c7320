"""Where a request goes, and whether money may be talked about there."""

from __future__ import annotations

from ipaddress import ip_address

from msgspec import Struct


class Origin(Struct, frozen=True):
    """Scheme, host and port of the URL that one request is sent to (RFC 9110 §4.3.1).

    The host is in lower case, in its ASCII form, an IPv6 address without brackets. `port` is None if it is
    the scheme's own.
    """

    scheme: str
    host: str
    port: int | None = None

    @property
    def is_safe(self) -> bool:
        """Whether a credential may be sent there: https, or a host that is this machine.

        draft-httpauth-payment §Transport Security forbids all else.
        """
        return self.scheme == "https" or (self.scheme == "http" and is_loopback(self.host))

    def goes_by(self, realm: str) -> bool:
        """Whether `realm` is this host, with or without its port. All names of this machine are one host."""
        name = realm.lower()
        if name in (self.host, self.authority):
            return True
        host, _, port = name.rpartition(":")
        host = host if port.isdigit() else name
        return is_loopback(self.host) and is_loopback(host.strip("[]"))

    @property
    def authority(self) -> str:
        """The host, and the port if it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def is_loopback(host: str) -> bool:
    """Whether `host` is `localhost`, in 127.0.0.0/8 or `::1`, in the usual spelling."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
