"""Errors as `application/problem+json` (RFC 9457): what was wrong, what was expected, in the same form everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from command_center import errors
from command_center.api.plain import sayable
from command_center.registers.writing import WrongValues
from gis.formats.sheet import FileTooLarge, FileWrong, UnknownFormat
from stream.errors import LogError

SECRET_FIELDS = frozenset({"password", "token", "otp", "old", "new", "code"})  # never echoed
ECHO_CHARS = 120
LOG_RETRY_S = 5  # the owner of the log is back within a few seconds of a crash


class Problem(Exception):
    """An answer of the rim itself. `slug` names the problem for programs, `detail` says it to a person."""

    def __init__(self, status: int, slug: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.slug, self.detail = status, slug, detail
        self.headers = dict(headers or {})


def problem_response(
    status: int,
    slug: str,
    detail: str,
    *,
    errors_: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:citybrain:problem:{slug}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _whole(detail),
    }
    if errors_ is not None:
        body["errors"] = errors_
    return Response(msgspec.json.encode(sayable(body)), status, dict(headers or {}), "application/problem+json")


def _whole(text: str) -> str:
    """What was sent may hold half a character (a lone surrogate), which no answer can."""
    return text.encode("utf-8", "replace").decode()


def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [_field_error(e) for e in error.errors()]
    detail = "; ".join(f"{e['field']}: {e['expected']}" for e in found[:5])
    return problem_response(422, "validation", detail, errors_=found)


def _field_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """`{field, expected, got?}`; what was sent is cut short, and never shown for a secret."""
    path = [str(part) for part in error.get("loc", ())]
    found: dict[str, Any] = {"field": _whole(".".join(path)), "expected": _whole(str(error.get("msg", "")))}
    got = error.get("input")
    simple = got is None or isinstance(got, (str, int, float, bool))
    if simple and not SECRET_FIELDS.intersection(path):
        found["got"] = _whole(got[:ECHO_CHARS]) if isinstance(got, str) else got
    return found


def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    slug = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return problem_response(error.status_code, slug, str(error.detail), headers=error.headers)


def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error.status, error.slug, error.detail, headers=error.headers)


def _command(_: Request, error: Exception) -> Response:
    """The command centre's expected failures, by name."""
    match error:
        case errors.NotFound():
            return problem_response(404, "not-found", str(error))
        case errors.SecondFactorNeeded():
            return problem_response(403, "second-factor-required", str(error))
        case errors.Forbidden():
            return problem_response(403, "forbidden", str(error))
        case errors.IllegalTransition():
            return problem_response(409, "illegal-transition", str(error))
        case errors.Conflict():
            return problem_response(409, "conflict", str(error))
        case errors.Refused():
            unmet = [{"field": error.what, "expected": reason} for reason in error.reasons]
            return problem_response(409, "refused", str(error), errors_=unmet)
        case WrongValues():
            rows = [{"field": p.key, "expected": p.en, "zh": p.zh, "en": p.en, "got": p.value} for p in error.problems]
            return problem_response(422, "invalid", str(error), errors_=rows)
        case errors.Unavailable():
            headers = {"Retry-After": str(error.retry_after_s)}
            return problem_response(503, "unavailable", str(error), headers=headers)
        case _:
            return problem_response(422, "invalid", str(error))


def _file(_: Request, error: Exception) -> Response:
    """A file that we cannot take: of no kind that we read, too large, or broken."""
    assert isinstance(error, FileWrong)
    status, slug = 422, "file-wrong"
    if isinstance(error, UnknownFormat):
        status, slug = 415, "unknown-format"
    elif isinstance(error, FileTooLarge):
        status, slug = 413, "too-large"
    return problem_response(status, slug, str(error))


def _log_away(_: Request, error: Exception) -> Response:
    """The log refuses (full, busy) or did not answer in time: nothing is lost by asking again."""
    why = str(error) or "the log did not answer in time"
    return problem_response(503, "unavailable", why, headers={"Retry-After": str(LOG_RETRY_S)})


def _internal(_: Request, error: Exception) -> Response:
    """The traceback goes to the log (the server writes it); the caller learns only that it was our fault."""
    return problem_response(500, "internal", "an error on our side; it has been logged")


def install(app: FastAPI) -> None:
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(errors.CommandError, _command)
    app.add_exception_handler(FileWrong, _file)
    app.add_exception_handler(LogError, _log_away)
    app.add_exception_handler(TimeoutError, _log_away)
    app.add_exception_handler(Exception, _internal)
