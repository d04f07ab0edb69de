"""The proof that a tenant is real. What reaches a person or a machine outside asks for it, and there is no other way to it.

`RealTenant.of` is called in one place, `runtime/settings.py` (an architecture test holds that). A proof that was made in any
other way, by copying a class, skipping its constructor or unpickling, is not in the list of those that were given out.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn, final

from command_center.errors import CommandError

REAL: Final = "real"


class NotReal(CommandError):
    """Something that reaches outside was asked for in a tenant that is not real."""


_given: dict[int, RealTenant] = {}  # by identity; a process knows one tenant, so this never grows beyond a few


@final
class RealTenant:
    """Given to who builds outbound adapters of a real tenant."""

    __slots__ = ("tenant",)
    tenant: str

    def __init__(self) -> None:
        raise NotReal("only the settings of a real tenant give this proof")

    @classmethod
    def of(cls, *, tenant: str, kind: str) -> RealTenant:
        """Raises NotReal unless the tenant is real."""
        if kind != REAL:
            raise NotReal(f"tenant {tenant!r} is of kind {kind!r}: nothing of it leaves this system")
        proof = object.__new__(cls)
        object.__setattr__(proof, "tenant", tenant)
        _given[id(proof)] = proof
        return proof

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("RealTenant has no subclasses")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a proof does not change")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a proof is neither copied nor pickled")


def require_real(proof: object) -> RealTenant:
    """The proof, if it was really given out. Raises NotReal for anything else."""
    if type(proof) is not RealTenant or _given.get(id(proof)) is not proof:
        raise NotReal(f"{type(proof).__name__} is no proof that this tenant is real")
    return proof
