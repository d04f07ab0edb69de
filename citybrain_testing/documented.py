"""Holds answers against the OpenAPI document, more strictly than a reader would: a field that the document does not name is wrong too."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match


class Documented:
    """`document`: what `/openapi.json` says."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._paths: Mapping[str, Any] = document["paths"]
        self._components = copy.deepcopy(document["components"]["schemas"])
        for schema in self._components.values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)
        self._validator = cache(self._made)
        self._templates = [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in self._paths]

    def complaint_about(self, answer: httpx.Response) -> str:
        """As `complaint`, for the first operation that the request fits, as the router finds it; "" where there is none."""
        method, sent = answer.request.method, answer.request.url.raw_path.partition(b"?")[0].decode("ascii", "replace")
        for pattern, path in self._templates:
            if method.lower() in self._paths[path] and pattern.fullmatch(sent):
                return self.complaint(method, path, answer)
        return ""

    def complaint(self, method: str, path: str, answer: httpx.Response) -> str:
        """What is wrong with an answer to an operation (`path` as the document writes it); "" where nothing is."""
        operation = self._paths.get(path, {}).get(method.lower())
        if operation is None:
            return f"{method} {path} is not documented"
        responses = operation["responses"]
        status = str(answer.status_code)
        if status not in responses:
            return f"status {status} is not documented ({', '.join(responses)}): {answer.text[:160]}"
        content = responses[status].get("content", {})
        if not content:
            return "" if not answer.content else f"status {status} has a body, and none is documented"
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if kind not in content:
            return f"status {status} is {kind or 'without a type'}, documented: {', '.join(content)}"
        if not kind.endswith("json"):
            return ""
        if "schema" not in content[kind]:
            return ""  # GeoJSON: a file, described by RFC 7946
        error = best_match(self._validator(method.lower(), path, status, kind).iter_errors(answer.json()))
        return "" if error is None else f"status {status}, {'/'.join(map(str, error.path))}: {error.message[:300]}"

    def _made(self, method: str, path: str, status: str, kind: str) -> Draft202012Validator:
        schema = self._paths[path][method]["responses"][status]["content"][kind]["schema"]
        return Draft202012Validator({**schema, "components": {"schemas": self._components}})
