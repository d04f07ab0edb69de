"""What access needs of this installation: policy, sessions beside the data, keys, sealer, approvals, and who watches them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_center.access.approvals import Approvals
from command_center.access.factors import SecondFactors
from command_center.access.keys import KeyRing, KeyService
from command_center.access.oidc import load_oidc
from command_center.access.people import PeopleService
from command_center.access.policy import AccessPolicy, load_policy
from command_center.access.security_keys import SecurityKeys
from command_center.access.thresholds import ThresholdChange
from command_center.access.watch import AccountWatch
from command_center.api.limits import Limits
from command_center.api.sessions import Sessions
from command_center.device_register import RegisterService
from command_center.ports import Emit, Store
from command_center.records import UserRecord
from command_center.users import UserService
from command_center.work import Env
from devices.clock import Clock
from runtime.oidc import OidcProvider
from runtime.secrets import ServiceSecrets, sealer_of
from runtime.settings import Settings

SESSIONS_FILE = "sessions.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The parts, made for one another."""

    sessions: Sessions
    ring: KeyRing
    users: UserService
    people: PeopleService
    factors: SecondFactors
    security_keys: SecurityKeys
    keys: KeyService
    approvals: Approvals
    limits: Limits
    oidc: OidcProvider | None
    watch: AccountWatch

    def deps(self) -> Mapping[str, Any]:
        """The fields of `ApiDeps` that these are."""
        return {
            "users": self.users,
            "sessions": self.sessions,
            "key_ring": self.ring,
            "people": self.people,
            "factors": self.factors,
            "security_keys": self.security_keys,
            "keys": self.keys,
            "approvals": self.approvals,
            "limits": self.limits,
            "oidc": self.oidc,
        }


def build_access(
    settings: Settings,
    secrets: ServiceSecrets,
    clock: Clock,
    store: Store,
    env: Env,
    emit: Emit,
    registers: RegisterService,
) -> Access:
    sessions = Sessions(
        secrets.signing_key.encode(),
        clock,
        tenant=settings.tenant,
        policy=policy_of(settings),
        file=settings.run_dir / SESSIONS_FILE,
    )
    ring = KeyRing(clock)
    users = UserService(store, clock)

    def follow(record: UserRecord, keep: str = "") -> None:
        sessions.user_changed(record.user, password_us=record.password_us, keep=keep)

    limits = Limits(account_per_s=settings.account_writes_per_s, address_per_s=settings.address_writes_per_s)
    return Access(
        sessions=sessions,
        ring=ring,
        users=users,
        people=PeopleService(users, store, clock, on_change=follow),
        factors=SecondFactors(store, clock, sealer_of(secrets), issuer=f"City Brain {settings.tenant}"),
        security_keys=SecurityKeys(store, clock),
        keys=KeyService(store, clock, ring),
        approvals=Approvals(store, env, emit, ThresholdChange(registers)),
        limits=limits,
        oidc=oidc_of(settings, clock),
        watch=AccountWatch(store, clock, ring, on_user=follow, take_logins=sessions.take_logins),
    )


def oidc_of(settings: Settings, clock: Clock) -> OidcProvider | None:
    """The identity provider of CITYBRAIN_OIDC. Raises ValueError naming what is wrong."""
    if not settings.oidc:
        return None
    config = load_oidc(Path(settings.oidc).read_text(encoding="utf-8"))
    return OidcProvider(config, settings.oidc_client_secret, clock)


def policy_of(settings: Settings) -> AccessPolicy:
    """The shipped policy, or the file of CITYBRAIN_ACCESS_POLICY. Raises ValueError naming what is wrong."""
    text = Path(settings.access_policy).read_text(encoding="utf-8") if settings.access_policy else None
    return load_policy(settings.tenant_kind, text)
