"""Devices that speak a station protocol: which station number is whose, and what its values are called here.

Two documents say it. The register binds a device to the number that its frames carry:

    attributes: {stations: {hj212: {station: 010000A8900016F000169DC0, password: "123456"}}}

and the device's model maps the protocol's names to the city's properties, with the factor between the units:

    codecs: {hj212: {map: {2061/a34004-Avg: {to: pm25_1h_ug_m3}}, ignore: ["2061/*-Min"]}}

A unit belongs to the model and never to the protocol's code alone: HJ 212 prints ng/m3 for a factor that stations send in ug/m3.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from devices.codecs.gb26875 import Gb26875Decoder
from devices.codecs.hj212 import Hj212Decoder
from devices.codecs.jt808 import Jt808Decoder, with_code
from devices.codecs.samples import Sample
from devices.codecs.senml import SenmlDecoder
from devices.codecs.sl651 import Sl651Decoder
from devices.codecs.station import Decoder, Group, Reading, Report, Said
from devices.credentials import SALT_BYTES, hash_password, verify_password
from devices.dialects import decoders, families
from devices.properties import ObservedProperty
from devices.registry import Device, Registry

ATTRIBUTE = "stations"
STATION_MAX = 64  # characters of a station number


class Station(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How one device is known in one protocol. `password_hash` "": the protocol's password is not asked for."""

    station: str
    password_hash: str = ""
    min_interval_s: int = 600  # HJ 212: period of the minute data (CN 2051)
    allow: list[str] = []  # networks that it may dial in from; []: every one that the listener takes


NOBODY = Station(station="")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Mapped(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A protocol's value becomes `to` = value * scale + offset; texts and bools stay as they are."""

    to: str
    scale: float = 1.0
    offset: float = 0.0


class CodecMap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Of one model and one protocol. `ignore`: names (with * and ?) that are known and not wanted."""

    map: dict[str, Mapped] = {}
    ignore: list[str] = []

    def wants(self, name: str) -> bool:
        return not any(fnmatchcase(name, pattern) for pattern in self.ignore)


NO_MAP = CodecMap()


class DeviceModelLike(Protocol):
    """What is needed of a device model here (`devices.models` stands above this module)."""

    @property
    def codecs(self) -> Mapping[str, CodecMap]: ...
    @property
    def properties(self) -> Mapping[str, ObservedProperty]: ...


DECODERS: Mapping[str, Callable[[Station], Decoder]] = {
    "hj212": lambda station: Hj212Decoder(min_interval_s=station.min_interval_s),
    "sl651": lambda _: Sl651Decoder(),
    "gb26875": lambda _: Gb26875Decoder(),
    "jt808": lambda _: Jt808Decoder(),
    "senml": lambda _: SenmlDecoder(),
    "senml-cbor": lambda _: SenmlDecoder(cbor=True),
    **decoders(),
}
FAMILIES = tuple(dict.fromkeys(families().get(codec, codec) for codec in DECODERS))
STREAMED = ("hj212", "sl651", "gb26875", "jt808")  # whose frames know where they end, so that they can come over TCP
SESSIONS = ("jt808",)  # that show a code once; over TCP nothing is believed before it (ingest/tcp_in.py)
CODE_BYTES = 10


def family(codec: str) -> str:
    """The name under which models map a codec's values and devices have its station numbers: that of the platform, where several
    codecs are one platform's."""
    return families().get(codec, codec)


def stations_of(device: Device) -> dict[str, Station]:
    """By protocol; {} for most. Raises msgspec.ValidationError for an attribute that the register should have refused."""
    listed = device.attributes.get(ATTRIBUTE)
    return msgspec.convert(listed, dict[str, Station]) if listed else {}


def station_of(device: Device, codec: str) -> Station:
    """As which station a device is known in a protocol; one without a number where it is known as none."""
    try:
        return stations_of(device).get(codec, NOBODY)
    except msgspec.ValidationError:
        return NOBODY


def station_problems(device: Device) -> Iterator[str]:
    """What is wrong with `attributes.stations`. `password` may stand there in clear: `sealed` makes a hash of it."""
    listed = device.attributes.get(ATTRIBUTE)
    where = f"attributes.{ATTRIBUTE}"
    if listed is None:
        return
    if not isinstance(listed, Mapping) or not listed:
        yield f"{where}: expected a mapping of protocols, one of {', '.join(FAMILIES)}"
        return
    for codec, entry in listed.items():
        if codec not in FAMILIES:
            yield f"{where}.{codec}: expected one of {', '.join(FAMILIES)}"
        if not isinstance(entry, Mapping):
            yield f"{where}.{codec}: expected a mapping with station, got {type(entry).__name__}"
            continue
        password = entry.get("password")
        if password is not None and not (isinstance(password, str) and 0 < len(password) <= STATION_MAX):
            yield f"{where}.{codec}.password: expected 1 to {STATION_MAX} characters"
        try:
            station = msgspec.convert({k: v for k, v in entry.items() if k != "password"}, Station)
        except msgspec.ValidationError as error:
            yield f"{where}.{codec}: {error}"
            continue
        plain = (
            station.station.isascii() or codec in families().values()
        )  # other platforms' children may have Chinese names
        if not plain or not 0 < len(station.station) <= STATION_MAX:
            yield f"{where}.{codec}.station: expected 1 to {STATION_MAX} ASCII characters"
        yield from (f"{where}.{codec}.allow: {problem}" for problem in _network_problems(station.allow))
        if station.min_interval_s <= 0:
            yield f"{where}.{codec}.min_interval_s: expected seconds, more than 0"


def _network_problems(networks: Iterable[str]) -> Iterator[str]:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            yield f"expected networks like 10.20.0.0/16: {error}"


def sealed(device: Device) -> Device:
    """The device with hashes where its document had passwords.

    A station password is six digits and goes over the wire in clear in every frame: the hash keeps it out of the log, of
    answers and of backups, no more, and a salt that follows from the names is as good as a drawn one.
    """
    listed = device.attributes.get(ATTRIBUTE)
    if not isinstance(listed, Mapping) or not any("password" in entry for entry in listed.values()):
        return device
    stations = {}
    for codec, entry in listed.items():
        stations[codec] = {key: value for key, value in entry.items() if key != "password"}
        if "password" in entry:
            salt = hashlib.blake2b(f"{codec}/{device.device_id}".encode(), digest_size=SALT_BYTES).digest()
            stations[codec]["password_hash"] = hash_password(entry["password"], salt=salt)
    return msgspec.structs.replace(device, attributes={**device.attributes, ATTRIBUTE: stations})


def with_known_passwords(device: Device, known: Device | None) -> Device:
    """The device with the hashes that are known where its document names the same station and says nothing of a password: what
    was read (answers show no hashes) may be written back without opening the door."""
    listed = device.attributes.get(ATTRIBUTE)
    before = {} if known is None else known.attributes.get(ATTRIBUTE) or {}
    if not isinstance(listed, Mapping) or not before:
        return device
    stations = {}
    for codec, entry in listed.items():
        had = before.get(codec, {})
        same = had.get("station") == entry.get("station") and "password_hash" in had and "password_hash" not in entry
        stations[codec] = {**entry, "password_hash": had["password_hash"]} if same else entry
    return msgspec.structs.replace(device, attributes={**device.attributes, ATTRIBUTE: stations})


def shown_attributes(device: Device) -> dict[str, Any]:
    """A device's attributes without the hashes of station passwords."""
    listed = device.attributes.get(ATTRIBUTE)
    if not isinstance(listed, Mapping):
        return device.attributes
    stations = {codec: {k: v for k, v in entry.items() if k != "password_hash"} for codec, entry in listed.items()}
    return {**device.attributes, ATTRIBUTE: stations}


@lru_cache(maxsize=65_536)
def password_is(password: str, hashed: str) -> bool:
    """As `verify_password`, remembered: a station shows the same password in each of its frames."""
    return verify_password(password, hashed)


def disbelief(device: Device, codec: str, report: Report, peer: Address | None = None) -> str:
    """Why a frame in a device's name is not believed; "" if it is. `peer`: where it came from, if that is known by itself (over a
    broker the login says who came)."""
    station = station_of(device, codec)
    if peer is not None and station.allow and not any(peer in ipaddress.ip_network(text) for text in station.allow):
        return f"{codec} station {report.station!r}: came from {peer}, expected {', '.join(station.allow)}"
    if codec in SESSIONS:
        return _session_disbelief(device, station, codec, report)
    if station.password_hash and not password_is(report.password or "", station.password_hash):
        return f"{codec} station {report.station!r}: wrong password"
    return ""


def session_code(device: Device, codec: str) -> str:
    """What a registration is answered with and a login has to show: 20 hexadecimal digits that follow from the password, so that a
    new password ends the old code. Without a password it is no secret: station number and network are the identity then."""
    station = station_of(device, codec)
    text = f"{codec}/{device.device_id}/{station.station}/{station.password_hash}"
    return hashlib.blake2b(text.encode(), digest_size=CODE_BYTES).hexdigest()


def _session_disbelief(device: Device, station: Station, codec: str, report: Report) -> str:
    """A login shows its session code, or the password itself where a person set the terminal up. A registration shows the password as
    its terminal ID, else whoever knows the phone number would be given the code. Other frames show nothing."""
    shown, hashed = report.password or "", station.password_hash
    if report.said is Said.LOGIN:
        right = hmac.compare_digest(shown.encode(), session_code(device, codec).encode())
        if not right and not (hashed and password_is(shown, hashed)):
            return (
                f"{codec} station {report.station!r}: wrong code in {report.command}: expected that of its registration"
            )
    if report.said is Said.REGISTRATION and hashed and not password_is(shown, hashed):
        return f"{codec} station {report.station!r}: wrong password: expected it as the terminal ID of {report.command}"
    return ""


def answer_of(report: Report, device: Device, codec: str) -> bytes | None:
    """What the station waits for; with the device's own code, which no decoder knows, where it registers."""
    if report.said is Said.REGISTRATION and report.answer is not None:
        return with_code(report.answer, session_code(device, codec))
    return report.answer


class StationIndex:
    """Who has which station number, at the registry's present revision."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._revision = -1
        self._devices: dict[tuple[str, str], str] = {}

    def device_of(self, codec: str, station: str) -> Device | None:
        """None: nobody has that number."""
        if self._revision != self._registry.revision:
            self._devices = dict(_numbers(self._registry.devices.values()))
            self._revision = self._registry.revision
        device_id = self._devices.get((codec, station))
        return None if device_id is None else self._registry.devices.get(device_id)


def taken_numbers(registry: Registry, devices: Iterable[Device]) -> list[str]:
    """Station numbers of `devices` that another device has, in words."""
    changed = list(devices)
    listed = [device for device in changed if device.attributes.get(ATTRIBUTE)]
    if not listed:
        return []  # nearly always; the register may be large
    own = {device.device_id for device in changed}
    seen = dict(_numbers(d for d in registry.devices.values() if d.device_id not in own))
    wrong = []
    for (codec, station), device_id in _numbers(listed):
        other = seen.setdefault((codec, station), device_id)
        if other != device_id:
            wrong.append(f"{device_id}: {codec} station {station!r} belongs to another device already")
    return wrong


def _numbers(devices: Iterable[Device]) -> Iterator[tuple[tuple[str, str], str]]:
    for device in devices:
        for codec, entry in (device.attributes.get(ATTRIBUTE) or {}).items():
            yield (codec, str(entry.get("station", ""))), device.device_id


@dataclass(frozen=True, slots=True)
class Translated:
    """A report under the city's names: a sample for each time, the keys that the station says it has not, and what is wrong."""

    samples: list[Sample]
    missing: list[str]
    problems: list[str]


def translate(
    report: Report, device: Device, codec: str, model: DeviceModelLike | None, *, receive_us: int
) -> Translated:
    """What a frame says of one device. A name that the model's map does not know stays as `codec:name`: it is shown to the
    vendor, it is not lost. Where the frame states units (SenML), a property's own name needs no map, but its own unit.

    A frame with several times (five-minute batches of an hour, a factor's own sample time) speaks about now with its newest;
    the older ones are history by the station's own word, not a wrong clock.
    """
    found = Translated([], [], [])
    times = [_time_us(group, receive_us) for group in report.groups]
    newest = max((time_us for time_us in times if time_us is not None), default=None)
    for index, (group, time_us) in enumerate(zip(report.groups, times, strict=True)):
        values: dict[str, Any] = {}
        quality: dict[str, int] = {}
        over: set[str] = set()
        for reading in group.readings:
            mapped = _mapped(reading, codec, model, found.problems)
            if mapped is None:
                continue
            if reading.over:
                over.add(mapped.to)
            elif reading.value is None:
                found.missing.append(mapped.to)
                continue
            if reading.quality is not None:
                quality[mapped.to] = reading.quality
            values[mapped.to] = _converted(reading.value, mapped)
        if values:
            past = newest is not None and time_us is not None and time_us < newest and not report.each_by_its_time
            sample = Sample(
                device_id=device.device_id,
                values=values,
                ts_us=time_us,
                q=quality,
                backfill=report.backfill or past,
                path=f"{codec}[{index}]",
                over=frozenset(over),
                crc_alternative=report.crc_alternative,
            )
            found.samples.append(sample)
    return found


def _time_us(group: Group, receive_us: int) -> int | None:
    return receive_us + group.offset_us if group.time_us is None and group.offset_us else group.time_us


def _mapped(reading: Reading, codec: str, model: DeviceModelLike | None, problems: list[str]) -> Mapped | None:
    """Where a reading goes; None: the model does not want it, or it comes in a unit that would be read wrongly."""
    mapping = model.codecs.get(codec, NO_MAP) if model is not None else NO_MAP
    mapped = mapping.map.get(reading.name)
    if mapped is not None:
        return mapped
    if not mapping.wants(reading.name):
        return None
    known = model.properties.get(reading.name) if model is not None else None
    if known is None:
        return Mapped(to=f"{codec}:{reading.name}")
    if reading.unit and reading.unit != known.uom:
        problems.append(f"{reading.name}: expected unit {known.uom}, got {reading.unit[:20]!r}")
        return None
    return Mapped(to=reading.name)


def _converted(value: float | str | None, mapped: Mapped) -> float | str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return value * mapped.scale + mapped.offset if (mapped.scale, mapped.offset) != (1.0, 0.0) else value
