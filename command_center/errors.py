"""What can go wrong in the command centre, named after what happened; `api` maps each to an HTTP status."""

from __future__ import annotations


class CommandError(Exception):
    """Root of the command centre's expected failures."""


class NotFound(CommandError):
    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"{kind} {identifier!r} does not exist or is outside your area")
        self.kind, self.identifier = kind, identifier


class Forbidden(CommandError):
    def __init__(self, actor: str, action: str, why: str) -> None:
        super().__init__(f"{actor} may not {action}: {why}")
        self.actor, self.action, self.why = actor, action, why


class SecondFactorNeeded(Forbidden):
    """The act takes two factors, and this login had one."""

    def __init__(self, actor: str, action: str) -> None:
        super().__init__(actor, action, "this needs a second factor: set one up (POST /me/totp) and log in with it")


class IllegalTransition(CommandError):
    def __init__(self, kind: str, identifier: str, state: str, event: str) -> None:
        super().__init__(f"{kind} {identifier!r} is {state}: {event} is not possible now")
        self.kind, self.identifier, self.state, self.event = kind, identifier, state, event


class Conflict(CommandError):
    """Somebody else changed it meanwhile, or the same idempotency key came with another body."""


class Invalid(CommandError):
    """The request itself is wrong; the text names what was wrong and what was expected."""


class Refused(CommandError):
    """Something that is never done unless every condition holds; `reasons` name each one that does not."""

    def __init__(self, what: str, reasons: list[str]) -> None:
        super().__init__(f"{what}: " + "; ".join(reasons))
        self.what, self.reasons = what, reasons


class Unavailable(CommandError):
    """The database is not reachable: the caller may try again after `retry_after_s`."""

    def __init__(self, why: str, retry_after_s: int = 5) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s
