"""`citybrain doctor`: is everything here that the system needs, and which database tier and broker would it use?

Each check looks at one thing, changes nothing, and says in Chinese and English what it found and what to do about it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from runtime.anchor_sinks import build_sinks
from runtime.embedded import unprivileged
from runtime.embedded.errors import EmbeddedError
from runtime.embedded.mosquitto import MosquittoBroker
from runtime.embedded.plugin import can_build, can_rewrite
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.settings import Settings, WrongSetting
from storage.database import Database
from storage.errors import SchemaMissing, StorageError

WEB_DIST = Path(__file__).resolve().parents[1] / "web" / "dist"
PAGES = (
    *("login.html", "wall.html", "desk.html", "field.html", "registers.html"),
    *("duty.html", "quality.html", "town.html", "grid.html", "vendor.html", "admin.html"),
)
FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
)
CJK_FONTS = (
    "notosanscjk",
    "notoserifcjk",
    "notosanssc",
    "sourcehan",
    "wqy",
    "simsun",
    "simhei",
    "msyh",
    "droidsansfallback",
    "pingfang",
)
NOT_BEFORE = datetime(2025, 1, 1, tzinfo=UTC)  # this code is younger than that; a clock before it has lost its battery
SPARE_BYTES = 5 * 1024**3  # for the database of a demo and what the log does not count
DISK_LEAST_BYTES = 1024**3
CONNECT_TIMEOUT_S = 3
ADJTIMEX_UNSYNCHRONISED = 5  # TIME_ERROR, adjtimex(2)


class Grade(StrEnum):
    """How a check ended; only `failed` keeps the system from starting or from keeping its promises."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


MARKS = {Grade.OK: "正常 ok", Grade.WARNING: "注意 warning", Grade.FAILED: "失败 failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding. `key` is stable, for programs."""

    key: str
    title_zh: str
    title_en: str
    grade: Grade
    detail_zh: str
    detail_en: str

    @property
    def failed(self) -> bool:
        return self.grade is Grade.FAILED

    @property
    def mark(self) -> str:
        return MARKS[self.grade]

    def as_dict(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}


def run_checks(settings: Settings) -> list[Check]:
    """Every check, in the order in which a start would need them."""
    return list(_checks(settings))


def _checks(settings: Settings) -> Iterator[Check]:
    yield python_version()
    yield database(settings)
    yield broker(settings)
    yield from ports(settings)
    yield browser_assets(WEB_DIST)
    yield fonts([Path(folder).expanduser() for folder in FONT_FOLDERS])
    yield clock(datetime.now(UTC), _synchronised())
    yield namespaces()
    yield disk(settings.data_dir, settings.log_max_bytes)
    yield anchors(settings)


def python_version() -> Check:
    version = sys.version.split()[0]
    return Check(
        key="python", title_zh="Python", title_en="Python", grade=Grade.OK, detail_zh=version, detail_en=version
    )


def database(settings: Settings) -> Check:
    """The tier that `auto` would take, or that the given server has."""
    make = _maker("database", "数据库", "database")
    if settings.database != "auto":
        return _given_database(settings, make)
    stack = Path(settings.dev_stack) if settings.dev_stack else None
    try:
        install = EmbeddedPostgres(settings.data_dir, dev_stack=stack).locate()
    except EmbeddedError as error:
        return make(Grade.FAILED, f"没有可用的 PostgreSQL：{error}", str(error))
    where = f"{install.image or ''}{install.bin_dir}"
    if install.timescale:
        return make(Grade.OK, f"{install.label}（超表），{where}", f"{install.label} (hypertables), {where}")
    zh = f"{install.label}，按时间原生分区，{where}；装有 TimescaleDB 时自动使用"
    return make(
        Grade.OK, zh, f"{install.label}, native partitions by time, {where}; TimescaleDB is used where it is installed"
    )


def _given_database(settings: Settings, make: Callable[[Grade, str, str], Check]) -> Check:
    async def tier() -> str:
        async with Database(settings.database, settings.tenant, connect_timeout_s=CONNECT_TIMEOUT_S) as given:
            try:
                return str(await given.tier())
            except SchemaMissing:
                return f"PostgreSQL {await given.server_version()}"

    try:
        found = asyncio.run(tier())
    except StorageError as error:
        return make(Grade.FAILED, f"连接不上：{error}", f"cannot connect: {error}")
    return make(Grade.OK, f"外部数据库，{found}", f"external server, {found}")


def broker(settings: Settings) -> Check:
    """The broker that `auto` would take; nothing is downloaded here."""
    make = _maker("broker", "消息代理", "MQTT broker")
    if settings.broker != "auto":
        host, _, port = settings.broker.rpartition("://")[2].rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
        except (OSError, ValueError) as error:
            return make(
                Grade.FAILED, f"{settings.broker} 连接不上：{error}", f"{settings.broker} cannot be reached: {error}"
            )
        return make(Grade.OK, f"外部代理 {settings.broker}", f"external broker {settings.broker}")
    try:
        program = MosquittoBroker(settings.data_dir, port=0, tenant=settings.tenant).locate(download=False)
    except EmbeddedError as error:
        if shutil.which("apt-get") is None:
            return make(Grade.FAILED, f"没有可用的代理：{error}", str(error))
        return make(
            Grade.WARNING,
            "未安装 Mosquitto；首次启动时从 Debian 软件源取来，不需 root",
            "Mosquitto is not installed; the first start fetches Debian's package, without root",
        )
    if not program.keeps_promises:
        return make(Grade.WARNING, "amqtt：不保证送达，仅供演示", "amqtt: no delivery guarantee, for a demo only")
    rewrites = can_build() and can_rewrite(program.version)
    return make(
        Grade.OK,
        f"Mosquitto {program.version}，{program.executable}；被拒消息由{'插件' if can_build() else '调试日志'}得知；"
        + ("其他平台的设备可按原主题接入" if rewrites else "其他平台的主题不改写（需 2.0 版、gcc 和头文件）"),
        f"Mosquitto {program.version}, {program.executable}; refusals told by "
        + ("our plugin" if can_build() else "the debug log (faster with gcc, libmosquitto-dev, mosquitto-dev)")
        + ("; devices of other platforms keep their topics" if rewrites else "; topics of other platforms are refused"),
    )


def ports(settings: Settings) -> Iterator[Check]:
    """Whether the ports are free, unless this very installation holds them."""
    running = (settings.run_dir / "broker.pid").exists() and not _free(settings.host, settings.port)
    named = {
        "port": ("网页端口", "HTTP port", settings.port),
        "https_port": ("HTTPS 端口", "HTTPS port", settings.https_port),
        "broker_port": ("MQTT 端口", "MQTT port", settings.broker_port),
    }
    for key, (title_zh, title_en, port) in named.items():
        make = _maker(key, title_zh, title_en)
        if port == 0:
            yield make(Grade.OK, "启动时自动选择", "chosen at start")
        elif _free(settings.host, port):
            yield make(Grade.OK, f"{port} 空闲", f"{port} is free")
        elif running:
            yield make(Grade.OK, f"{port} 由正在运行的本系统使用", f"{port} is in use by the running system")
        else:
            variable = f"CITYBRAIN_{key.upper()}"
            yield make(
                Grade.FAILED,
                f"{port} 已被占用；用 {variable} 另选",
                f"{port} is in use; choose another with {variable}",
            )


def browser_assets(dist: Path) -> Check:
    """The built pages."""
    make = _maker("browser_assets", "网页文件", "browser assets")
    missing = [name for name in PAGES if not (dist / name).is_file()]
    if missing:
        names = ", ".join(missing)
        return make(
            Grade.FAILED,
            f"缺 {names}；运行 python3 scripts/bootstrap.py",
            f"missing {names}; run python3 scripts/bootstrap.py",
        )
    return make(Grade.OK, f"{len(PAGES)} 个页面，{dist}", f"{len(PAGES)} pages in {dist}")


def fonts(folders: list[Path]) -> Check:
    """Chinese glyphs for a browser on this machine; other machines bring their own."""
    make = _maker("fonts", "中文字体", "CJK fonts")
    for folder in folders:
        for path in folder.rglob("*.[ot]t[cf]") if folder.is_dir() else ():
            if any(name in path.name.lower().replace("-", "").replace("_", "") for name in CJK_FONTS):
                return make(Grade.OK, path.name, path.name)
    return make(
        Grade.WARNING,
        "本机浏览器会显示方框；安装 fonts-noto-cjk",
        "a browser on this machine shows boxes; install fonts-noto-cjk",
    )


def clock(now: datetime, synchronised: bool | None) -> Check:
    """The machine's clock: sane, and disciplined by someone."""
    make = _maker("clock", "系统时钟", "machine clock")
    shown = f"{now:%Y-%m-%d %H:%M:%S}Z"
    if now < NOT_BEFORE:
        return make(
            Grade.FAILED,
            f"{shown}，早于本软件；先校时",
            f"{shown} is before this software was made; set the clock first",
        )
    if synchronised is False:
        return make(Grade.WARNING, f"{shown}，未与时间服务器同步", f"{shown}, not synchronised with a time server")
    return make(Grade.OK, shown, shown)


def _synchronised() -> bool | None:
    """What the kernel knows of its clock's discipline (adjtimex(2), read only); None where it cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    unused = ctypes.create_string_buffer(512)  # struct timex, 208 bytes on 64-bit Linux; modes = 0 changes nothing
    with contextlib.suppress(OSError, AttributeError):
        state = int(ctypes.CDLL(None).adjtimex(unused))
        return None if state < 0 else state != ADJTIMEX_UNSYNCHRONISED
    return None


def namespaces() -> Check:
    """How database and broker lose their privileges when we are root."""
    make = _maker("user_namespaces", "用户命名空间", "user namespaces")
    how = unprivileged.confinement()
    if how is unprivileged.Confinement.NONE:
        return make(Grade.OK, "普通用户，无需", "an ordinary user, not needed")
    if how is unprivileged.Confinement.NAMESPACE:
        return make(Grade.OK, "可用", "available")
    return make(
        Grade.WARNING,
        "内核不许；数据库和代理以 nobody 运行",
        "forbidden by the kernel; database and broker run as nobody",
    )


def disk(data_dir: Path, log_max_bytes: int) -> Check:
    """Room for the log at its bound and for the database."""
    make = _maker("disk", "磁盘空间", "disk space")
    place = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    wanted = log_max_bytes + SPARE_BYTES
    zh = f"{place} 余 {free / 1024**3:.1f} GiB，日志上限加数据库需 {wanted / 1024**3:.1f} GiB"
    en = f"{free / 1024**3:.1f} GiB free at {place}; the log's bound and the database want {wanted / 1024**3:.1f} GiB"
    if free < DISK_LEAST_BYTES:
        return make(Grade.FAILED, zh, en)
    return make(Grade.OK if free >= wanted else Grade.WARNING, zh, en)


def anchors(settings: Settings) -> Check:
    """Whether the journal's head leaves this host."""
    make = _maker("anchors", "审计链存证", "journal anchors")
    try:
        names = [sink.name for sink in build_sinks(settings)]
    except WrongSetting as error:
        return make(Grade.FAILED, str(error), str(error))
    if names:
        return make(Grade.OK, f"送往 {'，'.join(names)}", f"sent to {', '.join(names)}")
    if not settings.real:
        return make(Grade.OK, "非真实租户，只存本机", "not a real tenant: kept on this host only")
    return make(
        Grade.WARNING,
        "没有本机以外的接收端，改写无从发现；设置 CITYBRAIN_ANCHOR_SINKS",
        "no receiver off this host, so a rewritten journal goes unnoticed; set CITYBRAIN_ANCHOR_SINKS",
    )


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _maker(key: str, title_zh: str, title_en: str) -> Callable[[Grade, str, str], Check]:
    def make(grade: Grade, detail_zh: str, detail_en: str) -> Check:
        return Check(
            key=key, title_zh=title_zh, title_en=title_en, grade=grade, detail_zh=detail_zh, detail_en=detail_en
        )

    return make
