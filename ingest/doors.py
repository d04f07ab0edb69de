"""Where stations may dial in over TCP, as settings say it: light, since every process reads its settings."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
