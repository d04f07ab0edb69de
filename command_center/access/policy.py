"""How people log in, as data: which roles need a second factor, how long a session lives and may lie idle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files

import msgspec
import yaml

from command_center.model import Role

MIN_IDLE_MIN = 1.0


class SessionPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Minutes and hours are machine time. The longest of a person's roles counts."""

    lifetime_h: float = 12.0
    idle_min: float = 30.0
    idle_min_by_role: Mapping[Role, float] = {}
    awake_while_live: tuple[Role, ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("lifetime_h", self.lifetime_h), ("idle_min", self.idle_min)):
            if not value > 0:
                raise ValueError(f"sessions.{name}: {value} is not above 0")

    def idle_s(self, roles: Iterable[Role]) -> float:
        return 60.0 * max([self.idle_min, *(self.idle_min_by_role.get(role, 0.0) for role in roles)])

    def live_is_use(self, roles: Iterable[Role]) -> bool:
        return any(role in self.awake_while_live for role in roles)


class AccessPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy of one tenant kind."""

    second_factor: frozenset[Role] = frozenset()
    sessions: SessionPolicy = SessionPolicy()

    def wants_second_factor(self, roles: Iterable[Role]) -> bool:
        return not self.second_factor.isdisjoint(roles)


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    second_factor: dict[str, list[Role]]
    sessions: SessionPolicy


def load_policy(tenant_kind: str, text: str | None = None) -> AccessPolicy:
    """The policy of a kind of tenant: the shipped one, or `text`. Raises ValueError naming what is wrong.

    A kind that the document does not name is treated as a real one: the stricter.
    """
    if text is None:
        text = files("command_center.access").joinpath("policy.yaml").read_text(encoding="utf-8")
    try:
        document = msgspec.convert(yaml.safe_load(text), _Document)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ValueError(f"access policy: {error}") from error
    if "real" not in document.second_factor:
        raise ValueError("access policy: second_factor.real: expected a list of roles")
    roles = document.second_factor.get(tenant_kind, document.second_factor["real"])
    return AccessPolicy(second_factor=frozenset(roles), sessions=document.sessions)
