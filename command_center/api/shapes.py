"""Answers that the rim itself puts together, as types: for the OpenAPI document and whoever reads it.

What the rooms answer is described by their own types (`command_center/api/openapi.py` has the table). Times end in `_us` (city
microseconds), `_machine_us` or are ISO 8601 (`_at`, `city_time`). A field with a default may be left out.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from command_center.access.people import Person
from command_center.access.scope import Scope
from command_center.anchors import Anchor
from command_center.chain import Head
from command_center.duty.model import Absence, Gap, Overlap, Shift
from command_center.model import Alarm, Incident, Role, Task
from command_center.registers.import_ports import ImportState
from command_center.registers.targets import Committed, Field
from devices.registry import Device
from rules.transitions import Transition


class Banner(msgspec.Struct, frozen=True, kw_only=True):
    """What stands across every screen of a tenant that is not real."""

    zh: str
    en: str


# -- session -----------------------------------------------------------------------------------------------------------


class SessionUser(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    name: str
    roles: list[Role]
    unit_id: str = ""
    vendor: str = ""
    scope: Scope = Scope()
    second_factor_missing: bool = False


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """`csrf`: for the header X-CSRF-Token of a page that writes with the cookie."""

    user: SessionUser
    csrf: str
    expires_at: str


class LoggedIn(Me, frozen=True, kw_only=True):
    token: str


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    sid: str
    current: bool
    issued_at: str
    seen_at: str
    expires_at: str
    address: str
    client: str
    second_factor: bool


class NewSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The second factor's secret, shown once: as text, as an otpauth URI and as a code to scan."""

    secret: str
    uri: str
    qr_svg: str


class KeyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of WebAuthn in its JSON form (PublicKeyCredential.parse...OptionsFromJSON): for creating a key or for asking one."""

    challenge: str
    timeout: int = 0
    rp: dict[str, str] = {}
    user: dict[str, str] = {}
    pubKeyCredParams: list[dict[str, Any]] = []  # noqa: N815  (the browsers' names)
    excludeCredentials: list[dict[str, Any]] = []  # noqa: N815
    authenticatorSelection: dict[str, Any] = {}  # noqa: N815
    attestation: str = ""
    hints: list[str] = []
    rpId: str = ""  # noqa: N815
    allowCredentials: list[dict[str, Any]] = []  # noqa: N815
    userVerification: str = ""  # noqa: N815


class SecurityKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    name: str
    rp_id: str
    created_at: str
    last_used_at: str | None


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    recovery_codes: list[str]


# -- system ------------------------------------------------------------------------------------------------------------


class OidcButton(msgspec.Struct, frozen=True, kw_only=True):
    zh: str
    en: str


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ok"]
    banner: Banner | None = None
    oidc: OidcButton | None = None


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    ready: bool
    checks: dict[str, Any] = {}


class CityClock(msgspec.Struct, frozen=True, kw_only=True):
    tenant: str
    kind: Literal["real", "scaled", "stepped"]
    rate: float
    city_us: int
    city_time: str
    run_id: str
    tick_us: int
    banner: Banner | None = None


class NotAllowed(msgspec.Struct, frozen=True, kw_only=True):
    error: Literal["not_allowed"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`allow` and `deny` for EMQX; `ok` and an error for VerneMQ."""

    result: Literal["allow", "deny", "ok"] | NotAllowed


# -- devices -----------------------------------------------------------------------------------------------------------


class Series(msgspec.Struct, frozen=True, kw_only=True):
    datastream: int
    property: str
    uom: str
    kind: str


class DeviceView(Device, frozen=True, kw_only=True):
    """`latest`: by property, as the live picture has it."""

    status: Literal["online", "offline", "no_data", "unknown"]
    latest: dict[str, list[Any]]
    datastreams: list[Series]


class NewDevice(msgspec.Struct, frozen=True, kw_only=True):
    """`credential` is shown this once; null where the device had one and keeps it."""

    device: Device
    credential: str | None


class ImportedDevices(msgspec.Struct, frozen=True, kw_only=True):
    revision: int
    credentials: dict[str, str]


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    device_id: str
    credential: str


class ThresholdProposal(msgspec.Struct, frozen=True, kw_only=True):
    """`revision` of the register where an emergency change was applied at once."""

    device_id: str
    property: str
    approval_id: str
    revision: int = 0
    taken_back: bool = False


class PropertyCount(msgspec.Struct, frozen=True, kw_only=True):
    property: str
    datastream: int
    received: int


class DeviceCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a device's messages. Lists are newest first; each row has the columns of its table."""

    device_id: str
    received: int
    flagged: int
    clock_fault: int
    backfilled: int
    conflicts: int
    dead_lettered: int
    refused: int
    last_receive_us: int | None
    clock_offset_s: float | None
    properties: list[PropertyCount]
    state: list[dict[str, Any]]
    attributes: list[dict[str, Any]]
    last_messages: list[dict[str, Any]]
    last_events: list[dict[str, Any]]
    dead_letters: list[DeadLetter]
    refusals: list[dict[str, Any]]
    notes: list[dict[str, Any]]


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A stored value. `text` for properties typed text; else `result`."""

    phenomenon_us: int
    receive_us: int
    device_us: int | None
    result: float | None
    text: str | None
    quality: int
    source: int


class ObservationBucket(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of [t_us, t_us + bucket_s)."""

    t_us: int
    count: int
    min: float | None
    max: float | None
    mean: float | None
    last: float | None
    last_text: str | None
    good: float


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Observation]
    uom: str
    property: str
    next: None


class ObservationBuckets(msgspec.Struct, frozen=True, kw_only=True):
    """Where `bucket_s` was asked for."""

    items: list[ObservationBucket]
    uom: str
    property: str
    next: None


class AreaBucket(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of [t_us, t_us + bucket_s) over all samples of all series; `series`: how many have any, `good`: share with quality 1."""

    t_us: int
    count: int
    min: float | None
    max: float | None
    mean: float | None
    good: float
    series: int


class AreaBuckets(msgspec.Struct, frozen=True, kw_only=True):
    """`series`: how many the caller may see in the area."""

    items: list[AreaBucket]
    uom: str
    property: str
    area: str
    series: int
    next: None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """`raw` is base64 of the message (at most 64 KiB), `text` the same where it is readable UTF-8."""

    position: int
    device_id: str
    receive_us: int
    reason: str
    data: Any
    sha256: str
    size_bytes: int
    raw: str | None
    text: str | None
    replayed: Literal["taken", "partly"] | None  # what came of it when it was put in again


# -- alarms, incidents, tasks --------------------------------------------------------------------------------------------


class AlarmView(Alarm, frozen=True, kw_only=True):
    transitions: list[Transition]


class IncidentView(Incident, frozen=True, kw_only=True):
    tasks: list[Task]
    alarms: list[Alarm]


class InTheLog(msgspec.Struct, frozen=True, kw_only=True):
    """The control record's place in the log: in effect when the rules have read that far."""

    position: int


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Null where no open road leads there. `avoided`: closures."""

    eta_s: float | None
    distance_m: float | None
    geometry: LineString | None
    avoided: list[str]


class LineString(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["LineString"]
    coordinates: list[tuple[float, float]]


class ActiveRule(msgspec.Struct, frozen=True, kw_only=True):
    rule_id: str
    version: str
    document: dict[str, Any]
    author: str = ""
    approver: str = ""
    source: str = ""
    position: int = 0
    at_us: int = 0


class LayerRow(msgspec.Struct, frozen=True, kw_only=True):
    layer: str
    title_zh: str
    title_en: str
    features: int
    etag: str


# -- registers, imports ----------------------------------------------------------------------------------------------------


class KindRow(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    zh: str
    en: str
    group: str
    located: str
    position_required: bool
    statement: bool
    verify: bool
    source: str
    fields: list[Field]
    count: int
    may_write: bool


class AreaNode(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    name: str
    level: str
    parent: str
    has_polygon: bool
    children: list[AreaNode]


class ImportRow(msgspec.Struct, frozen=True, kw_only=True):
    import_id: str
    kind: str
    filename: str
    format: str
    sha256: str
    size: int
    sheet: str
    crs: str
    state: ImportState
    owner: str
    created_us: int
    changed_us: int
    counts: dict[str, int]
    done: dict[str, Any]
    reason: str


class ImportDone(Committed, frozen=True, kw_only=True):
    skipped: int


class PlaceHit(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str
    entry_id: str
    address: str
    lon: float
    lat: float
    area: str
    score: float


# -- journal, duty, people ---------------------------------------------------------------------------------------------------


class Sink(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    waiting: int
    dropped: int
    taken_us: int | None


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    head: Head
    anchor: Anchor | None
    public_key: str
    sinks: list[Sink] = []
    overdue: bool = False
    off_host: bool = False


class RosterSpan(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Shift]
    next: None
    overlaps: list[Overlap]
    gaps: list[Gap]
    absences: list[Absence]


class AbsenceMade(msgspec.Struct, frozen=True, kw_only=True):
    absence: Absence
    shifts: list[Shift]


class DaySheet(msgspec.Struct, frozen=True, kw_only=True):
    columns: list[str]
    rows: list[list[str]]


class NewPerson(msgspec.Struct, frozen=True, kw_only=True):
    """`password` is shown this once."""

    user: Person
    password: str


class PasswordShown(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    password: str


class ApiKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    name: str
    roles: list[Role]
    created_by: str
    created_machine_us: int
    expires_machine_us: int
    scope: Scope
    vendor: str
    unit_id: str
    revoked_machine_us: int | None
    revoked_by: str
    last_used_machine_us: int | None


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """`token` is shown this once."""

    key: ApiKeyRow
    token: str
