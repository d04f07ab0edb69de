"""People of an identity provider (OpenID Connect): who they are here follows from their groups there, by a table that is data.

An account made this way has no password of ours and a name that no local account can have, so nobody becomes `admin` by being
called so elsewhere. Groups are read anew at each login; an account that was disabled here stays out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from command_center.access.scope import Scope
from command_center.errors import Forbidden
from command_center.model import Role, User

PREFIX = "oidc-"
MULTI = frozenset({"mfa", "otp", "hwk", "fpt", "swk", "sc"})  # RFC 8176: ways to log in that are more than a password


class GroupRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What members of a group may be here. Several groups add up."""

    group: str
    roles: tuple[Role, ...]
    areas: tuple[str, ...] = ()  # empty: the whole tenant
    unit_id: str = ""
    vendor: str = ""


class OidcConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider. `redirect_uri` is our callback as browsers reach it: `https://HOST/api/v1/oidc/callback`."""

    issuer: str
    client_id: str
    redirect_uri: str
    groups: tuple[GroupRule, ...]
    groups_claim: str = "groups"
    title_zh: str = "统一身份认证"
    title_en: str = "Single sign-on"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    user: User
    second_factor: bool


def load_oidc(text: str) -> OidcConfig:
    """Raises ValueError naming what is wrong."""
    try:
        found = msgspec.convert(yaml.safe_load(text), OidcConfig)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ValueError(f"OIDC configuration: {error}") from error
    for name in ("issuer", "redirect_uri"):
        value = getattr(found, name)
        if not value.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError(f"OIDC configuration: {name} {value!r}: expected https")
    if not found.groups:
        raise ValueError("OIDC configuration: groups: nobody could log in")
    return found


def identity_of(config: OidcConfig, claims: Mapping[str, Any]) -> Identity:
    """Who the checked claims of an id_token are here. Raises Forbidden for one in no group that the table names."""
    subject = str(claims["sub"])
    username = PREFIX + hashlib.sha256(f"{config.issuer}|{subject}".encode()).hexdigest()[:20]
    given = claims.get(config.groups_claim, [])
    groups = {given} if isinstance(given, str) else set(given) if isinstance(given, list) else set()
    rules = [rule for rule in config.groups if rule.group in groups]
    if not rules:
        raise Forbidden(username, "log in", "none of your groups has a role here")
    everywhere = any(not rule.areas for rule in rules)
    areas = () if everywhere else tuple(sorted({area for rule in rules for area in rule.areas}))
    ways = claims.get("amr", [])
    user = User(
        username=username,
        name=str(claims.get("name") or claims.get("preferred_username") or subject)[:120],
        roles=sorted({role for rule in rules for role in rule.roles}),
        unit_id=next((rule.unit_id for rule in rules if rule.unit_id), ""),
        vendor=next((rule.vendor for rule in rules if rule.vendor), ""),
        scope=Scope(areas=areas),
    )
    return Identity(user=user, second_factor=isinstance(ways, list) and not MULTI.isdisjoint(map(str, ways)))
