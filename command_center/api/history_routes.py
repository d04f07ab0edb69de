"""Import of history over HTTP: the file is the raw body, the answer is lines of JSON while it is worked through."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from command_center.api.auth import actor_of
from command_center.api.middleware import MAX_HISTORY_BYTES
from command_center.api.problems import Problem
from command_center.api.system_routes import deps_of
from command_center.authority import Action, require
from command_center.errors import Unavailable
from command_center.history_import import ImportRun, Upload
from command_center.observation_files import FileFormat

router = APIRouter(prefix="/api/v1", tags=["devices"])

FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
Short = Annotated[str, Query(max_length=200)]


@router.post("/observations/import", openapi_extra={"requestBody": {"required": True, "content": FILE}})
async def import_observations(
    request: Request,
    format: FileFormat = FileFormat.CSV,  # noqa: A002  (the door's name)
    filename: Short = "",
    reason: Annotated[str, Query(max_length=2_000)] = "",
) -> Response:
    """Bring history: CSV, NDJSON or Parquet with the columns of the export, as the body. Good rows complete history as backfill, wrong ones
    are named by line, field, what was expected and what was there. The answer is a line of JSON for each refused row, `progress` now
    and then, and `done` or `stopped` as its last line; an answer without such an end was cut off, and the file may be sent again."""
    service = deps_of(request).history_import
    require(actor_of(request), Action.IMPORT_HISTORY)
    if service is None:
        raise Unavailable("the database of observations is not reachable")
    service.admit(actor_of(request))
    upload = await _taken_in(request, deps_of(request).uploads, format, filename)
    return _Lines(await service.begin(actor_of(request), upload, reason=reason))


class _Lines(StreamingResponse):
    """The lines of a run, which ends with its answer, also where nobody reads it any more."""

    def __init__(self, run: ImportRun) -> None:
        super().__init__(run.lines(), media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._run.close()


async def _taken_in(request: Request, folder: Path | None, form: FileFormat, name: str) -> Upload:
    """The body in a file without a name, which is gone with us; at most as long as announced (the rim has looked)."""
    file: Any = await asyncio.to_thread(tempfile.TemporaryFile, dir=folder)
    digest, size = hashlib.sha256(), 0
    try:
        async for part in request.stream():
            size += len(part)
            _check_size(size)
            digest.update(part)
            await asyncio.to_thread(file.write, part)
        await asyncio.to_thread(file.seek, 0)
    except BaseException:
        file.close()
        raise
    return Upload(file=file, form=form, name=name, size=size, sha256=digest.hexdigest())


def _check_size(size: int) -> None:
    if size > MAX_HISTORY_BYTES:
        raise Problem(413, "too-large", f"the file may have at most {MAX_HISTORY_BYTES} bytes")
