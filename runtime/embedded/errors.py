"""What can go wrong with an embedded server, each named after what happened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class EmbeddedError(Exception):
    """Root of everything that an embedded server raises."""


class NoServerFound(EmbeddedError):
    """No usable program on this machine; `tried` says where we looked and why each place was no good."""

    def __init__(self, what: str, tried: Sequence[str]) -> None:
        super().__init__(f"no usable {what} found; tried: " + "; ".join(tried))
        self.what = what
        self.tried = tuple(tried)


class CommandFailed(EmbeddedError):
    """A helper program (initdb, createdb, apt-get ...) ended with an error."""

    def __init__(self, argv: Sequence[str], status: int, output: str) -> None:
        super().__init__(f"{argv[0]} ended with status {status}: {output.strip()[-2000:]}")
        self.argv = tuple(argv)
        self.status = status
        self.output = output


class ClusterMismatch(EmbeddedError):
    """The data directory was made by a server that is not on this machine any more."""

    def __init__(self, data_dir: Path, made_by: str, found: str) -> None:
        super().__init__(
            f"{data_dir} was made by {made_by}, but this machine offers {found}; install the former or use another data directory"
        )
        self.data_dir = data_dir
        self.made_by = made_by
        self.found = found


class NotReady(EmbeddedError):
    """The server did not answer within its time."""

    def __init__(self, what: str, timeout_s: float, last: str) -> None:
        super().__init__(f"{what} did not answer within {timeout_s:g} s: {last}")
        self.what = what
        self.timeout_s = timeout_s
