"""How well each firm's devices report: what contracts are settled by, so the answer says how it was counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from command_center.authority import Action, require
from command_center.device_rights import VENDOR_ONLY
from command_center.errors import Invalid
from command_center.model import Actor
from devices.clock import Clock

MAX_SPAN_US = 31 * 86_400_000_000
NOTE_ZH = "在线：每三个上报周期为一格，格内有实时数据即在线；平台自身停机的时间不计入"
NOTE_EN = "online: heard live in a slot of three reporting intervals; the time in which the platform itself was down does not count"


class VendorRate(msgspec.Struct, frozen=True, kw_only=True):
    """Over one span. Rates are 0..1; `reporting_rate` None: nothing was expected."""

    vendor: str
    devices: int
    silent_devices: int  # nothing at all arrived live
    series: int
    expected: int  # values, by the reporting interval, from a device's registration on
    received: int  # of the expected; more than expected counts as all
    reporting_rate: float | None
    online_rate: float


class Rates(Protocol):
    async def vendor_rates(self, from_us: int, to_us: int, *, vendor: str, areas: Sequence[str]) -> list[VendorRate]:
        """By vendor. `vendor` "" and no `areas`: all."""
        ...


class RatesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    items: list[VendorRate]
    from_us: int
    to_us: int
    own_downtime_excluded: bool = True
    note_zh: str = NOTE_ZH
    note_en: str = NOTE_EN
    next: str | None = None


async def vendor_rates(actor: Actor, rates: Rates, clock: Clock, from_us: int, to_us: int) -> RatesAnswer:
    """Of the actor's firm, where it is as a vendor that he asks, and of his areas. Times are city time.

    Raises Forbidden, Invalid, and what the store raises.
    """
    require(actor, Action.READ_RATES)
    until_us = min(to_us, clock.city_us())  # what is still to come is expected of nobody
    if from_us >= until_us:
        raise Invalid("from: must be before to, and in the past")
    if until_us - from_us > MAX_SPAN_US:
        raise Invalid("from, to: expected at most 31 days")
    only_own = actor.roles <= VENDOR_ONLY
    if only_own and not actor.vendor:
        return RatesAnswer(items=[], from_us=from_us, to_us=until_us)
    found = await rates.vendor_rates(
        from_us, until_us, vendor=actor.vendor if only_own else "", areas=actor.scope.areas
    )
    return RatesAnswer(items=found, from_us=from_us, to_us=until_us)
