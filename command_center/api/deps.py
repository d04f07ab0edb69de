"""What the HTTP rim is handed: ports to the rooms behind it, and facts about this installation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from command_center.access.approvals import Approvals
from command_center.access.factors import SecondFactors
from command_center.access.keys import KeyRing, KeyService
from command_center.access.oidc import OidcConfig
from command_center.access.people import PeopleService
from command_center.access.security_keys import SecurityKeys
from command_center.api.limits import Limits
from command_center.api.sessions import Sessions
from command_center.audit import AuditService
from command_center.device_access import DeviceAccess
from command_center.device_care.rates import Rates
from command_center.device_care.service import DeviceCare
from command_center.device_commands.service import DeviceCommands
from command_center.duty.service import DutyService
from command_center.facade import CommandFacade
from command_center.grid.service import GridService
from command_center.history_import import HistoryImport
from command_center.letters import LetterFilter, LetterService
from command_center.model import Actor, Alarm, User
from command_center.quality import QualityService
from command_center.registers.addresses import AddressService
from command_center.registers.exports import ExportService
from command_center.registers.imports import ImportService
from command_center.registers.service import EntryRegister
from command_center.registers.zones import ZoneService
from command_center.township import Township
from command_center.video.clips import ClipService
from command_center.video.service import VideoService
from devices.clock import Clock
from devices.registry import Device, Registry
from gis.hub import Hub, PastEvent


class Users(Protocol):
    """The register of people and machines. Raises `Unavailable` when the database is not reachable."""

    async def verify(self, username: str, password: str) -> User | None:
        """The user, or None where name or password is wrong or the user is disabled. Takes as long for either."""
        ...

    async def wrong_code(self, username: str) -> None:
        """A wrong second factor was given with the right password: it counts as a failed login."""
        ...


class History(Protocol):
    """Stored observations and what was refused. Times are city microseconds. Raises `Unavailable` without the database."""

    async def observations(self, datastream: int, from_us: int, to_us: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """Rows `{phenomenon_us, result, text, quality, source}`, oldest first."""
        ...

    async def buckets(self, datastream: int, from_us: int, to_us: int, bucket_us: int) -> Sequence[Mapping[str, Any]]:
        """`{t_us, count, min, max, mean, last}` per bucket that has data, oldest first."""
        ...

    async def area_buckets(
        self, series: Sequence[int], from_us: int, to_us: int, bucket_us: int
    ) -> Sequence[Mapping[str, Any]]:
        """`{t_us, count, min, max, mean, good, series}` per bucket of whole hours, over all samples of all series, oldest first."""
        ...

    async def check(self, device_id: str) -> Mapping[str, Any]:
        """What was received, flagged and refused from a device, with reasons a vendor understands."""
        ...

    async def dead_letters(
        self, asked: LetterFilter, limit: int, cursor: str
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """Newest first."""
        ...


class Registers(Protocol):
    """Writes to the device register; each makes a `registry` control record."""

    async def add_device(self, actor: Actor, document: Mapping[str, Any]) -> tuple[Device, str]:
        """Register; returns the device and its credential, which is shown this once. Raises Invalid, Conflict."""
        ...

    async def import_devices(
        self, actor: Actor, documents: Sequence[Mapping[str, Any]], *, reason: str
    ) -> tuple[int, Mapping[str, str]]:
        """Register many new devices in one revision; the revision and the credentials by device id, shown this once.

        All or none. Raises Invalid naming every wrong field, Conflict naming the ids that are taken, Forbidden.
        """
        ...

    def children(self, actor: Actor, device_id: str) -> list[Device]:
        """The devices that a gateway speaks for. Raises Forbidden, NotFound."""
        ...


class BrokerDoor(Protocol):
    """The accounts of the broker, in memory."""

    @property
    def loaded(self) -> bool: ...
    def allows(self, username: str, password: str) -> bool: ...
    def knows(self, username: str) -> bool:
        """Whether this username may do anything at the broker."""
        ...


class Oidc(Protocol):
    """An identity provider (`runtime.oidc`). Raises Unavailable when it does not answer, Forbidden when its word does not hold."""

    config: OidcConfig

    async def authorization_url(self, *, state: str, nonce: str, challenge: str) -> str: ...
    async def claims(self, *, code: str, verifier: str, nonce: str) -> Mapping[str, Any]:
        """The checked claims of the id_token that the code is worth."""
        ...


class Layers(Protocol):
    """Static map layers."""

    def names(self) -> Sequence[Mapping[str, Any]]:
        """`{layer, title_zh, title_en, features, etag}`."""
        ...

    def geojson(self, layer: str) -> tuple[bytes, str] | None:
        """The FeatureCollection and its ETag; None for an unknown layer."""
        ...


class Picture(Protocol):
    """The live picture, which needs no database (`command_center.picture.PictureFollower`)."""

    @property
    def registry(self) -> Registry: ...
    def status_of(self, device_id: str) -> str: ...
    def latest_of(self, device_id: str) -> Mapping[str, Sequence[Any]]:
        """property -> [value, quality, t_us]"""
        ...

    def open_alarms(self) -> list[Alarm]: ...


LoadHistory = Callable[[str, int, int], Awaitable[Sequence[PastEvent] | None]]
"""(channel, since seq, limit) -> all events after it, oldest first; None when there are more than `limit` or none kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDeps:
    """Everything that `build_app` needs. Optional parts that are None answer 503 or are left out."""

    tenant: str
    run_id: str
    clock: Clock
    tick_us: int
    facade: CommandFacade
    users: Users
    hub: Hub
    picture: Picture
    signing_key: bytes
    history: History | None = None
    registers: Registers | None = None
    entries: EntryRegister | None = None  # registers of areas, objects at risk, people, resources
    device_access: DeviceAccess | None = None
    device_care: DeviceCare | None = None
    letters: LetterService | None = None
    history_import: HistoryImport | None = None
    uploads: Path | None = None  # where a large file lies while it is worked through; None: the system's place for such
    device_commands: DeviceCommands | None = None
    video: VideoService | None = None
    clips: ClipService | None = None
    rates: Rates | None = None
    quality: QualityService | None = None
    zones: ZoneService | None = None
    township: Township | None = None
    grid: GridService | None = None
    broker_door: BrokerDoor | None = None
    broker_secret: str = ""  # what another broker shows with its questions; empty: nobody is answered
    layers: Layers | None = None
    duty: DutyService | None = None
    imports: ImportService | None = None
    exports: ExportService | None = None
    addresses: AddressService | None = None
    load_history: LoadHistory | None = None
    rules: Callable[[], Sequence[Mapping[str, Any]]] = list
    readiness: Callable[[], Mapping[str, Any]] = lambda: {
        "ready": True,
        "checks": {},
    }  # {"ready": bool, "checks": {...}}
    advance: Callable[[float], Awaitable[None]] | None = (
        None  # stepped clock: seconds; returns when the log has drained
    )
    banner: Mapping[str, str] | None = None  # {"zh": "演示", "en": "Demo"}
    assets: Path | None = None  # web/dist
    ca_pem: Path | None = None  # where TLS is on
    metrics_token: str = ""
    metrics_text: Callable[[], str] | None = None  # of all processes; None: this one's alone
    allowed_origins: Sequence[str] = field(default=())  # besides the host that the request names itself
    audit: AuditService | None = None
    sessions: Sessions | None = None  # None: in memory only, by the shipped policy
    key_ring: KeyRing | None = None
    people: PeopleService | None = None
    factors: SecondFactors | None = None
    security_keys: SecurityKeys | None = None
    keys: KeyService | None = None
    approvals: Approvals | None = None
    oidc: Oidc | None = None
    limits: Limits = field(default_factory=Limits)
    node: str = "command"
