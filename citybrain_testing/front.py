"""A person of any role at the HTTP door, over the world of `access_world`."""

from __future__ import annotations

import asyncio
from typing import Any

from citybrain_testing.access_world import AccessWorld, access_world
from citybrain_testing.asgi_client import AsgiClient
from command_center.access.scope import EVERYWHERE
from command_center.model import Role


class Front:
    """Call it with a role, a method and a path. `client` is a context."""

    def __init__(self) -> None:
        self.world: AccessWorld = asyncio.run(access_world())
        self.client = AsgiClient(self.world.app)
        self.tokens = {role: self.world.token(role, EVERYWHERE) for role in Role}

    def __call__(self, role: Role, method: str, path: str, body: Any = None, key: str = "") -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} | ({"Idempotency-Key": key} if key else {})
        return self.client.request(method, path, json=body, headers=headers)
