"""What the OpenAPI document promises against what the application does: `schemathesis` makes requests from the document, good and
bad, with ids that exist and ids that do not; each is asked as a person of every broad role.

No answer may be a server error, and each must be one that the document has: its status, its content type, its schema. Everything
is real but the database (a store in memory), seeds are fixed, and the number of examples is small: this is a floor, not a hunt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from citybrain_testing.access_world import AccessWorld, access_world
from citybrain_testing.api_rim import fake_deps
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.matrix import ROWS
from command_center.access.scope import EVERYWHERE
from command_center.api.app import build_app, furnish
from command_center.api.limits import Limits
from command_center.model import Role

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:schemathesis.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonschema.*"),
]

EXAMPLES = 12
AS = (Role.OPERATOR, Role.LEADER, Role.REGISTRAR, Role.ADMIN, Role.SECURITY)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DOCUMENT = build_app(fake_deps()).openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
ROUTES = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def world() -> AccessWorld:
    made = asyncio.run(access_world())
    furnish(made.app, replace(made.app.state.deps, limits=Limits(account_per_s=0, address_per_s=0)))
    return made


@pytest.fixture(scope="module")
def client(world: AccessWorld) -> Iterator[AsgiClient]:
    with AsgiClient(world.app) as found:
        yield found


def cases(world: AccessWorld, operation: Any) -> st.SearchStrategy[Any]:
    """Requests as described, with ids of the world and with others; and requests that are not as described."""
    key = (operation.method.upper(), operation.path)
    known = {name: world.names.get(value, value) for name, value in ROWS[key].params.items()}
    if known:
        return st.one_of(operation.as_strategy(path_parameters=known), *both(operation))
    return st.one_of(*both(operation))


def both(operation: Any) -> list[st.SearchStrategy[Any]]:
    return [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]


def send(client: AsgiClient, case: Any, token: str) -> Any:
    made = case.as_transport_kwargs(base_url="http://city.test", headers={"Authorization": f"Bearer {token}"})
    options = {key: made[key] for key in ("params", "json", "headers") if made.get(key) is not None}
    if made.get("data") is not None:
        options["content"] = made["data"]
    return client.request(made["method"], made["url"], **options)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_answer_is_one_that_the_document_has(
    world: AccessWorld, client: AsgiClient, method: str, path: str
) -> None:
    operation = SCHEMA[path][method.upper()]

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # the first failure says enough; making it small takes a minute
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(world, operation))
    def ask(case: Any) -> None:
        for role in AS:
            token = world.token(role, EVERYWHERE, second_factor=True)
            case.validate_response(send(client, case, token), checks=CHECKS)

    ask()
