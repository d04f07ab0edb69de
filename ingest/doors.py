"""Where stations may dial in over TCP, as settings say it, and who a peer is: light, since every process reads its settings."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One protocol at one address. Port 0: a free one (tests)."""

    codec: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StationDoors:
    """The listeners, and the networks from which peers are let in."""

    listeners: tuple[Listener, ...] = ()
    networks: tuple[Network, ...] = ()


NO_DOORS = StationDoors()


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAddress:
    """Where platforms push over HTTP. `tls`: with the certificate of this installation."""

    host: str
    port: int
    tls: bool


def address_of(peer: str) -> Address:
    """A peer's address; an IPv4 one that came to an IPv6 listener is what it was. Raises ValueError."""
    address = ipaddress.ip_address(peer)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
