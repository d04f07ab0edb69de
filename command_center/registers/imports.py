"""The import engine: a file becomes a dry run that names every bad cell, and then, all or none, rows of a register.

A dry run is a row in the database with its file sealed beside it, so that a wizard survives a reload; it expires after a day. It
is computed anew each time it is looked at: what stands may have changed meanwhile, and a commit writes what it has just checked.
Importing the same file twice changes nothing.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from shapely.geometry.base import BaseGeometry

from command_center.access.personal import Sealer
from command_center.authority import Action, require
from command_center.errors import Conflict, Invalid, NotFound, Unavailable
from command_center.model import Actor, Role
from command_center.ports import Emit, Store
from command_center.records import Timer
from command_center.registers import import_rows as reading
from command_center.registers.import_columns import Column, best_sheet, chosen, guess, id_field, known_headings
from command_center.registers.import_ports import IMPORT_MOVES, ImportJob, ImportState
from command_center.registers.import_rows import Change, Layout, Positions, Reading
from command_center.registers.targets import Committed, ImportTarget, Problem, Row
from command_center.work import Env, Work, working
from gis.crs import WGS84, Detection, UnknownCrs, crs_code, detect_offset
from gis.formats.files import sniff
from gis.formats.limited import read_limited
from gis.formats.sheet import Format, Sheet, text_of

log = structlog.get_logger(__name__)
replace = msgspec.structs.replace

KEEP_S = 24 * 3600.0
EXPIRY = "import_expiry"  # kind of the timer
SHOWN = 2_000  # problems and changes that an answer lists; the counts are of all
MAX_REASON, MAX_NAME = 2_000, 200
Read = Callable[[bytes, Format, frozenset[str]], Awaitable[list[Sheet]]]
OPEN_MOST = 20  # files of one person that wait for a commit: 32 MiB each must not fill a disk
KEPT_SHEETS = 4  # parsed files kept in memory, so that changing a column does not parse again


@dataclass(frozen=True, slots=True)
class Geography:
    """What coordinates are compared with: the district, and what is registered by name. WGS 84."""

    boundary: BaseGeometry | None = None
    references: Mapping[str, BaseGeometry] = field(default_factory=dict)


class CrsFound(msgspec.Struct, frozen=True, kw_only=True):
    """`declared` by the clerk or by the file ("" where neither says), `used` for this run; a warning where `detected` differs."""

    declared: str
    detected: str
    used: str
    offset_m: float | None = None
    swapped: bool = False
    warning_zh: str = ""
    warning_en: str = ""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    import_id: str
    kind: str
    filename: str
    format: str
    state: ImportState
    sheet: str
    sheets: list[str]
    crs: CrsFound
    columns: list[Column]
    counts: dict[str, int]
    problems: list[Problem]
    changes: list[Change]
    truncated: bool = False  # more problems or changes than are listed
    expires_us: int = 0  # machine wall time


@dataclass(slots=True)
class _Analysis:
    crs: CrsFound
    problems: list[Problem]
    changes: list[Change]
    rows: list[Row]  # those that would change something
    same: int
    wrong: int

    def counts(self, total: int) -> dict[str, int]:
        new = sum(c.what == "new" for c in self.changes)
        return {
            "rows": total,
            "new": new,
            "changed": len(self.changes) - new,
            "same": self.same,
            "wrong": self.wrong,
        }


class ImportService:
    """`targets`: by kind. `geography` is asked for each dry run. The rim calls these; each asks the matrix first."""

    def __init__(
        self,
        *,
        store: Store,
        env: Env,
        emit: Emit,
        sealer: Sealer,
        targets: Mapping[str, ImportTarget],
        geography: Callable[[], Awaitable[Geography]] | None = None,
        read: Read = read_limited,
    ) -> None:
        self._store, self._env, self._emit, self._sealer = store, env, emit, sealer
        self.targets = targets
        self._geography, self._read = geography, read
        self._parsed: OrderedDict[tuple[str, str, str], list[Sheet]] = OrderedDict()
        self._committing: set[str] = set()

    def target(self, kind: str) -> ImportTarget:
        """Raises NotFound."""
        if kind not in self.targets:
            raise NotFound("kind of import", kind)
        return self.targets[kind]

    async def start(
        self, actor: Actor, *, kind: str, filename: str, content: bytes, crs: str = "", sheet: str = ""
    ) -> DryRun:
        """Take a file in: nothing of it is written. Raises FileWrong and its kinds, Invalid, Forbidden, NotFound."""
        require(actor, Action.IMPORT)
        target = self.target(kind)
        await target.current(actor, [])  # who may not write this kind learns it before a minute of parsing
        declared = _crs(crs)
        filename = _file_name(filename)
        fmt = await asyncio.to_thread(sniff, content, filename)
        digest = hashlib.sha256(content).hexdigest()
        sheets = await self._sheets(content, digest, fmt, target)
        one = _sheet_named(sheets, sheet) if sheet else best_sheet(sheets, target)
        import_id = f"im-{secrets.token_hex(8)}"
        job = ImportJob(
            import_id=import_id,
            kind=kind,
            filename=filename,
            format=fmt.value,
            sha256=digest,
            size=len(content),
            sheet=one.name,
            crs=declared,
            columns=guess(one.columns, target),
            state=ImportState.DRY,
            owner=actor.username,
            created_us=self._env.clock.city_us(),
            changed_us=self._env.clock.city_us(),
            counts={},
            sealed=await asyncio.to_thread(self._seal, import_id, content),
        )
        analysis = await self._analyse(actor, job, sheets)
        job = replace(job, counts=analysis.counts(len(one.rows)))
        async with self._working(actor) as work:
            await _make_room(work, actor.username)
            await work.tx.insert_import(job)
            due_us = await work.person_timer(_timer_id(import_id), EXPIRY, import_id, KEEP_S)
            await work.journal("import", import_id, "dry_run", None, _facts(job))
        return _dry_run(job, sheets, analysis, due_us)

    async def look(self, actor: Actor, import_id: str) -> DryRun:
        """The dry run again, against what stands now. Raises NotFound, Conflict when it is over."""
        return await self.rework(actor, import_id)

    async def rework(
        self,
        actor: Actor,
        import_id: str,
        *,
        columns: Mapping[str, str | None] | None = None,
        crs: str | None = None,
        sheet: str | None = None,
    ) -> DryRun:
        """The dry run with other columns, another system or sheet. Raises NotFound, Invalid, Conflict when it is over."""
        require(actor, Action.IMPORT)
        job = await self._job(actor, import_id)
        target = self.target(job.kind)
        sheets = await self._content(job, target)
        before = job
        if sheet is not None and sheet != job.sheet:
            one = _sheet_named(sheets, sheet)
            job = replace(job, sheet=sheet, columns=guess(one.columns, target))
        one = _sheet_named(sheets, job.sheet)
        if columns:
            job = replace(job, columns=chosen(one.columns, target, columns, job.columns))
        if crs is not None:
            job = replace(job, crs=_crs(crs))
        analysis = await self._analyse(actor, job, sheets)
        job = replace(job, counts=analysis.counts(len(one.rows)), changed_us=self._env.clock.city_us())
        async with self._working(actor) as work:
            if not await work.tx.update_import(job, states=[ImportState.DRY]):
                raise _over(import_id)
            timer = await work.tx.timer(_timer_id(import_id))
            if (job.columns, job.crs, job.sheet) != (before.columns, before.crs, before.sheet):
                await work.journal("import", import_id, "rework", _choices(before), _choices(job))
        return _dry_run(job, sheets, analysis, timer.due_us if timer else 0)

    async def commit(
        self, actor: Actor, import_id: str, *, reason: str, skip_wrong: bool = False
    ) -> tuple[Committed, int]:
        """Write what a fresh dry run finds new or changed, all or none; wrong rows only where `skip_wrong` leaves them out.

        Returns what was written and how many rows were left out. Raises Invalid, Conflict, Forbidden, NotFound.
        """
        require(actor, Action.IMPORT)
        if not reason.strip() or len(reason) > MAX_REASON:
            raise Invalid(f"reason: why is this imported? 1 to {MAX_REASON} characters")
        if import_id in self._committing:
            raise Conflict(f"import {import_id} is being written just now")
        self._committing.add(import_id)
        try:
            return await self._commit(actor, import_id, reason.strip(), skip_wrong)
        finally:
            self._committing.discard(import_id)

    async def _commit(self, actor: Actor, import_id: str, reason: str, skip_wrong: bool) -> tuple[Committed, int]:
        job = await self._job(actor, import_id)
        target = self.target(job.kind)
        sheets = await self._content(job, target)
        analysis = await self._analyse(actor, job, sheets)
        if analysis.wrong and not skip_wrong:
            first = analysis.problems[0]
            raise Invalid(
                f"{analysis.wrong} 行有误（如第 {first.row} 行：{first.zh}）；改正后重试，或选择跳过有误的行 / "
                f"{analysis.wrong} rows are wrong (row {first.row}: {first.en}): correct them, or commit with skip_wrong"
            )
        done = await target.commit(actor, analysis.rows, reason=reason)
        done = replace(done, same=done.same + analysis.same)
        counts = {"created": done.created, "changed": done.changed, "same": done.same, "skipped": analysis.wrong}
        over = replace(
            job,
            state=ImportState.COMMITTED,
            changed_us=self._env.clock.city_us(),
            counts=analysis.counts(len(_sheet_named(sheets, job.sheet).rows)),
            done=counts,
            reason=reason,
            sealed="",
        )
        await self._mark(actor, job, over)
        return done, analysis.wrong

    async def _mark(self, actor: Actor, job: ImportJob, over: ImportJob) -> None:
        """The rows are written by now, and what is shown once (credentials) must reach its reader: nothing here may refuse."""
        self._parsed.pop((job.sha256, job.format, job.kind), None)
        try:
            async with self._working(actor) as work:
                await work.tx.update_import(over, states=_before(ImportState.COMMITTED))
                await work.tx.drop_timer(_timer_id(job.import_id))
                await work.journal("import", job.import_id, "commit", _facts(job), _facts(over), over.reason)
        except Unavailable as error:  # it stays a dry run that changes nothing any more, and expires
            log.warning("import_not_marked", import_id=job.import_id, reason=str(error))

    async def imports(self, actor: Actor, limit: int = 50) -> list[ImportJob]:
        """The last ones, without their files: one's own, everybody's for an administrator."""
        require(actor, Action.IMPORT)
        if not 1 <= limit <= 500:
            raise Invalid(f"limit {limit}: expected 1 to 500")
        async with self._store.read() as tx:
            return await tx.imports("" if actor.has(Role.ADMIN) else actor.username, limit)

    # --- inside

    async def _job(self, actor: Actor, import_id: str) -> ImportJob:
        """A dry run that is still open; only its owner's, since its file holds what he brought."""
        async with self._store.read() as tx:
            job = await tx.import_job(import_id)
        if job is None or job.owner != actor.username:
            raise NotFound("import", import_id)
        if job.state is not ImportState.DRY:
            raise _over(import_id)
        return job

    async def _content(self, job: ImportJob, target: ImportTarget) -> list[Sheet]:
        key = (job.sha256, job.format, job.kind)
        if key in self._parsed:
            self._parsed.move_to_end(key)
            return self._parsed[key]
        content = await asyncio.to_thread(self._open, job.import_id, job.sealed)
        return await self._sheets(content, job.sha256, Format(job.format), target)

    async def _sheets(self, content: bytes, digest: str, fmt: Format, target: ImportTarget) -> list[Sheet]:
        key = (digest, fmt.value, target.kind)
        if key not in self._parsed:
            found = await self._read(content, fmt, known_headings(target))
            self._parsed[key] = found
            while len(self._parsed) > KEPT_SHEETS:
                self._parsed.popitem(last=False)
        return self._parsed[key]

    async def _analyse(self, actor: Actor, job: ImportJob, sheets: list[Sheet]) -> _Analysis:
        """What the file would do now. Parsing and comparing run in a thread: the loop has alarms to carry."""
        target = self.target(job.kind)
        sheet = _sheet_named(sheets, job.sheet)
        plan = await asyncio.to_thread(reading.layout, sheets, sheet, job.columns, target)
        entry_ids = await asyncio.to_thread(reading.ids, plan)
        current = await target.current(actor, await asyncio.to_thread(lambda: sorted({i for i in entry_ids if i})))
        raw = await asyncio.to_thread(reading.raw_positions, plan)
        crs = await self._crs_of(plan, job, raw)
        positions = await asyncio.to_thread(reading.turn, plan, raw, crs.used)
        found = await asyncio.to_thread(reading.read_rows, plan, entry_ids, current, positions)
        return await self._compared(actor, plan, found, current, crs, positions)

    async def _compared(
        self,
        actor: Actor,
        plan: Layout,
        found: Reading,
        current: Mapping[str, Row],
        crs: CrsFound,
        positions: Positions,
    ) -> _Analysis:
        target = plan.target
        said = await target.check(actor, found.rows)
        problems = [*found.problems, *(_in_file(plan, p) for p in said)]
        bad = {p.row for p in said}
        good = [r for r in found.rows if r.row not in bad]
        alike = await target.settled(good) if isinstance(target, reading.Settles) else good
        changes, rows, same = await asyncio.to_thread(_changes, target, good, alike, current)
        problems.sort(key=lambda p: (p.row, p.column))
        return _Analysis(crs, problems, changes, rows, same, len({p.row for p in problems}))

    async def _crs_of(self, plan: Layout, job: ImportJob, raw: reading.Raw) -> CrsFound:
        declared = job.crs or plan.sheet.crs
        if raw.empty:
            return CrsFound(declared=declared, detected=declared or WGS84, used=declared or WGS84)
        place = Geography() if self._geography is None else await self._geography()
        names = await asyncio.to_thread(lambda: [text_of(plan.cell(row, "name")) for row in plan.sheet.rows])
        found: Detection = await asyncio.to_thread(
            detect_offset,
            *reading.sample(raw),
            declared or WGS84,
            boundary=place.boundary,
            names=names,
            references=place.references,
        )
        return CrsFound(
            declared=declared,
            detected=found.detected,
            used=declared or found.detected,
            offset_m=found.offset_m,
            swapped=found.swapped,
            warning_zh=found.warning_zh,
            warning_en=found.warning_en,
        )

    def _seal(self, import_id: str, content: bytes) -> str:
        return self._sealer.seal(base64.b64encode(zlib.compress(content, 6)).decode(), f"import/{import_id}/file")

    def _open(self, import_id: str, sealed: str) -> bytes:
        return zlib.decompress(base64.b64decode(self._sealer.unseal(sealed, f"import/{import_id}/file")))

    def _working(self, actor: Actor) -> Any:
        return working(self._store, self._env, self._emit, actor)


async def expired(work: Work, timer: Timer) -> None:
    """A dry run that nobody committed within a day: its file goes."""
    await work.tx.drop_timer(timer.timer_id)
    job = await work.tx.import_job(timer.entity_id)
    if job is not None and job.state is ImportState.DRY:
        await _expire(work, job)


async def _make_room(work: Work, owner: str) -> None:
    """One person keeps so many open dry runs; the oldest go before their day."""
    mine = [job for job in await work.tx.imports(owner, 2 * OPEN_MOST) if job.state is ImportState.DRY]
    for job in mine[OPEN_MOST - 1 :]:
        await work.tx.drop_timer(_timer_id(job.import_id))
        await _expire(work, job)


async def _expire(work: Work, job: ImportJob) -> None:
    over = replace(job, state=ImportState.EXPIRED, changed_us=work.at_us, sealed="")
    if await work.tx.update_import(over, states=_before(ImportState.EXPIRED)):
        await work.journal("import", job.import_id, "expire", _facts(job), _facts(over))


def _before(to: ImportState) -> list[ImportState]:
    return [state for state, following in IMPORT_MOVES.items() if to in following]


def _changes(
    target: ImportTarget, rows: Sequence[Row], settled: Sequence[Row], current: Mapping[str, Row]
) -> tuple[list[Change], list[Row], int]:
    """What would change, the rows that would change it as the file says them, and how many would not."""
    changes, wanted = [], []
    for row, alike in zip(rows, settled, strict=True):
        change = reading.difference(target.fields, current.get(row.entry_id), alike)
        if change is not None:
            changes.append(change)
            wanted.append(row)
    return changes, wanted, len(rows) - len(wanted)


def _in_file(plan: Layout, problem: Problem) -> Problem:
    """A target names fields; a clerk looks for the heading of his file."""
    key = problem.column.partition("[")[0]
    heading = plan.heading(id_field(plan.target) if key == "entry_id" else key)
    return replace(problem, column=heading or problem.column)


def _sheet_named(sheets: Sequence[Sheet], name: str) -> Sheet:
    for sheet in sheets:
        if sheet.name == name:
            return sheet
    raise Invalid(f"sheet {name!r}: expected one of {', '.join(s.name for s in sheets)}")


def _crs(name: str) -> str:
    """A code, or "" for a file that shall tell itself. Raises Invalid."""
    if name.strip().lower() in ("", "auto", "unknown"):
        return ""
    try:
        return crs_code(name)
    except UnknownCrs as error:
        raise Invalid(str(error)) from error


def _file_name(name: str) -> str:
    plain = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable()).strip()
    if not plain or len(plain) > MAX_NAME:
        raise Invalid(f"filename: expected the file's name, 1 to {MAX_NAME} characters")
    return plain


def _timer_id(import_id: str) -> str:
    return f"import:{import_id}"


def _over(import_id: str) -> Conflict:
    return Conflict(f"import {import_id} is committed or expired: upload the file again")


def _facts(job: ImportJob) -> dict[str, Any]:
    """What the journal keeps: name, hash and counts, never a cell."""
    return {
        "kind": job.kind,
        "filename": job.filename,
        "sha256": job.sha256,
        "size": job.size,
        "state": job.state.value,
        "counts": job.counts,
        **({"done": job.done} if job.done else {}),
    }


def _choices(job: ImportJob) -> dict[str, Any]:
    return {"sheet": job.sheet, "crs": job.crs, "columns": {c.source: c.field for c in job.columns}}


def _dry_run(job: ImportJob, sheets: Sequence[Sheet], analysis: _Analysis, due_us: int) -> DryRun:
    return DryRun(
        import_id=job.import_id,
        kind=job.kind,
        filename=job.filename,
        format=job.format,
        state=job.state,
        sheet=job.sheet,
        sheets=[s.name for s in sheets],
        crs=analysis.crs,
        columns=job.columns,
        counts=job.counts,
        problems=analysis.problems[:SHOWN],
        changes=analysis.changes[:SHOWN],
        truncated=len(analysis.problems) > SHOWN or len(analysis.changes) > SHOWN,
        expires_us=due_us,
    )
