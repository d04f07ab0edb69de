"""Settings: the only place that reads the environment.

Every setting has a default, an environment variable `CITYBRAIN_<NAME>` and, where people set it often, an option of
`citybrain up`. `docs/operations.md` lists them in one table; a test holds the two together. A value that does not parse
is refused by name, never repaired.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from command_center.reality import RealTenant
from devices.stations import STREAMED
from ingest.doors import Listener, PushAddress, StationDoors

PREFIX = "CITYBRAIN_"
ANCHOR_EVERY_MAX_S = 3600.0  # the journal's head leaves the host at least hourly
EVERY_ADDRESS = ("0.0.0.0", "::", "*")
JOURNAL_KEEP_LEAST_DAYS = 184.0  # six months, the longest ones (网络安全法 第二十一条)


class WrongSetting(Exception):
    """A setting that cannot be used; the text names it, its value and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this installation runs. Field comments are the table of docs/operations.md."""

    data_dir: Path = Path("var/data")
    tenant: str = "main"
    tenant_kind: str = "real"  # real, demo, exercise, test
    host: str = "127.0.0.1"
    port: int = 8480  # plain HTTP, only on 127.0.0.1
    https_port: int = 8443
    public_hosts: str = ""
    database: str = "auto"
    broker: str = "auto"
    broker_host: str = "127.0.0.1"
    broker_listen: str = "127.0.0.1"  # address that the embedded broker listens on
    broker_files: str = ""  # folder in which a broker's container looks for its accounts
    broker_log: str = ""  # that broker's log, where we can read it
    broker_port: int = 0  # 0: a free port, kept for the next start
    clock: str = "real"  # real, scaled, stepped
    speed: float = 1.0
    start: str = ""  # ISO time of a scaled or stepped clock's first start
    log_max_bytes: int = 20 * 1024**3
    log_keep_h: float = 48.0
    archive_days: float = 400.0  # how long what has left the log is kept as Parquet; 0: no archive
    archive_path: str = ""  # folder of the archive, on another disk
    retention_days: float = 400.0
    minute_days: float = 800.0  # statistics of minutes, of series that report more often
    hour_days: float = 4000.0  # statistics of hours; those of days stay
    log_level: str = "info"
    dev_stack: str = ""
    metrics_token: str = ""
    access_policy: str = ""  # file instead of command_center/access/policy.yaml
    oidc: str = ""  # file that describes an identity provider (docs/guide-admin.md)
    oidc_client_secret: str = ""
    account_writes_per_s: float = 20.0  # 0: no limit
    address_writes_per_s: float = 200.0
    simulate: str = ""  # scenario whose district fills the tenant
    simulator: bool = True  # run the scenario as a child
    duty_desk: bool = True  # the scenario's scripted duty desk; false leaves acknowledging and verifying to a person
    seed: int = 20190809
    stop_deadline_s: float = 8.0
    database_password: str = ""
    broker_tls_port: int = 0  # a second listener of the broker, for devices with a certificate; 0: none
    broker_protocol: str = "5"  # 3.1.1 for brokers that speak no MQTT 5
    broker_username: str = "citybrain"
    broker_password: str = ""
    # stations that dial in over TCP
    stations: str = ""  # PROTOCOL=ADDRESS:PORT, several with spaces between: hj212=10.20.0.5:9212
    station_networks: str = "127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16"  # that they may dial in from
    # platforms that push over HTTP
    push_listen: str = ""  # http://ADDRESS:PORT or https://ADDRESS:PORT; a named address; empty: nobody may
    push_sources: str = ""  # the document that says who may, and in whose name (docs/guide-vendor.md)
    # the journal's proof and what leaves this system
    anchor_sinks: str = (
        ""  # where signed heads of the journal go: file:/share, udp://host:514, tcp://host:601, https://...
    )
    anchor_token: str = ""
    anchor_every_s: float = 3600.0
    journal_keep_days: float = 400.0  # rows that are older may be archived and dropped, on request
    outbox_webhooks: str = ""  # the only URLs that messages to people may be posted to
    outbox_file: str = ""  # directory in which messages to people are laid for another program
    video_url: str = ""  # the city's video platform, as http(s)://HOST[:PORT]; its account stands in secrets/video.json
    video_media_hosts: str = ""  # hosts besides the platform's own that its recordings may be fetched from
    video_clips_max_bytes: int = 50 * 1024**3  # of all clips that incidents asked for

    @property
    def secrets_dir(self) -> Path:
        return self.data_dir / "secrets"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "log"

    @property
    def archive_dir(self) -> Path:
        return Path(self.archive_path) if self.archive_path else self.data_dir / "archive"

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    @property
    def clips_dir(self) -> Path:
        return self.data_dir / "clips"

    @property
    def append_socket(self) -> Path:
        return self.log_dir / "append.sock"

    @property
    def real(self) -> bool:
        return self.tenant_kind == "real"

    def real_tenant(self) -> RealTenant:
        """The proof that outbound adapters ask for. Raises NotReal in a demonstration, an exercise or a test."""
        return RealTenant.of(tenant=self.tenant, kind=self.tenant_kind)


_CHOICES = {
    "tenant_kind": ("real", "demo", "exercise", "test"),
    "clock": ("real", "scaled", "stepped"),
    "broker_protocol": ("5", "3.1.1"),
    "log_level": ("debug", "info", "warning", "error"),
}


def _parse(name: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):  # before int: True is an int
            return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
        if isinstance(default, Path):
            return Path(text)
    except (ValueError, KeyError) as error:
        expected = type(default).__name__
        raise WrongSetting(f"{PREFIX}{name.upper()}={text!r}: expected {expected}") from error
    return text


def check(settings: Settings) -> Settings:
    """Refuse values outside their range or choice. Raises WrongSetting."""
    for name, choices in _CHOICES.items():
        value = getattr(settings, name)
        if value not in choices:
            raise WrongSetting(f"{name}={value!r}: expected one of {', '.join(choices)}")
    for name in ("port", "https_port", "broker_port", "broker_tls_port"):
        value = getattr(settings, name)
        if not 0 <= value <= 65535:
            raise WrongSetting(f"{name}={value}: expected a port number from 0 (choose one) to 65535")
    for name in ("account_writes_per_s", "address_writes_per_s", "archive_days"):
        if not getattr(settings, name) >= 0:
            nothing = "no archive" if name == "archive_days" else "no limit"
            raise WrongSetting(f"{name}={getattr(settings, name)}: expected 0 ({nothing}) or more")
    if settings.speed <= 0:
        raise WrongSetting(f"speed={settings.speed}: expected more than 0")
    if settings.clock == "real" and settings.speed != 1.0:
        raise WrongSetting("speed: a real clock runs at 1; use clock=scaled")
    if settings.real and settings.clock != "real":
        raise WrongSetting("clock: a real tenant runs on the real clock; use tenant_kind demo, exercise or test")
    station_doors(settings)
    if settings.video_clips_max_bytes <= 0:
        raise WrongSetting(f"video_clips_max_bytes={settings.video_clips_max_bytes}: expected more than 0")
    push_address(settings)
    if not 0 < settings.anchor_every_s <= ANCHOR_EVERY_MAX_S:
        raise WrongSetting(f"anchor_every_s={settings.anchor_every_s:g}: expected more than 0, at most an hour")
    if settings.journal_keep_days < JOURNAL_KEEP_LEAST_DAYS:
        raise WrongSetting(
            f"journal_keep_days={settings.journal_keep_days:g}: expected at least {JOURNAL_KEEP_LEAST_DAYS:g}"
        )
    if not settings.tenant.replace("_", "").isalnum() or not settings.tenant[0].isalpha():
        raise WrongSetting(f"tenant={settings.tenant!r}: expected a letter, then letters, digits or _")
    return settings


def station_doors(settings: Settings) -> StationDoors:
    """What `stations` and `station_networks` say. Raises WrongSetting."""
    listeners = []
    for text in settings.stations.split():
        codec, _, address = text.partition("=")
        host, _, port = address.rpartition(":")
        if codec not in STREAMED or not host or not port.isdigit() or not 0 < int(port) <= 65535:
            expected = f"PROTOCOL=ADDRESS:PORT with one of {', '.join(STREAMED)}"
            raise WrongSetting(f"stations={text!r}: expected {expected}")
        host = host.strip("[]")
        if host in EVERY_ADDRESS:
            # No encryption, a six-digit password: such a door is opened towards one network, not towards all.
            raise WrongSetting(f"stations={text!r}: expected a named address, not every address of the machine")
        listeners.append(Listener(codec=codec, host=host, port=int(port)))
    try:
        networks = tuple(ipaddress.ip_network(text) for text in settings.station_networks.split())
    except ValueError as error:
        raise WrongSetting(f"station_networks={settings.station_networks!r}: {error}") from error
    return StationDoors(listeners=tuple(listeners), networks=networks)


def push_address(settings: Settings) -> PushAddress | None:
    """What `push_listen` says; None: nobody may push. Raises WrongSetting."""
    text = settings.push_listen
    if not text:
        return None
    scheme, _, address = text.partition("://")
    host, _, port = address.rpartition(":")
    if scheme not in ("http", "https") or not host or not port.isdigit() or not 0 < int(port) <= 65535:
        raise WrongSetting(f"push_listen={text!r}: expected http://ADDRESS:PORT or https://ADDRESS:PORT")
    host = host.strip("[]")
    if host in EVERY_ADDRESS:
        raise WrongSetting(f"push_listen={text!r}: expected a named address, not every address of the machine")
    if not settings.push_sources:
        raise WrongSetting("push_sources='': expected the document of those who may push, since push_listen is set")
    return PushAddress(host=host, port=int(port), tls=scheme == "https")


def from_environment(environ: Mapping[str, str] | None = None, **options: Any) -> Settings:
    """Defaults, then the environment, then options that are not None. Raises WrongSetting, also for unknown variables."""
    environ = os.environ if environ is None else environ
    known = {f.name: f.default for f in fields(Settings)}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known:
            raise WrongSetting(f"{variable}: there is no such setting")
        values[name] = _parse(name, text, known[name])
    values.update({name: value for name, value in options.items() if value is not None})
    settings = replace(Settings(), **values)
    return check(replace(settings, data_dir=settings.data_dir.expanduser().absolute()))


def save(settings: Settings, path: Path) -> None:
    """Write the resolved settings for the child processes; readable by the owner only."""
    data = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(data, file)
    temporary.replace(path)


def load(path: Path) -> Settings:
    data = json.loads(path.read_text())
    data["data_dir"] = Path(data["data_dir"])
    return check(Settings(**data))
