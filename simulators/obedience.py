"""How a simulated device obeys `down/cmd`: each id once, nothing late, and a reply that is repeated when the command is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KEEP_REPLIES = 256  # commands remembered; a sender repeats one for minutes, not for hundreds of later ones
CLOCK_SET = "clock_set"

# Does what a method says with its parameters; raises ValueError with what is wrong with them.
Act = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True)
class Obedience:
    """The command memory of one device. `acts` are the methods that it knows."""

    acts: Mapping[str, Act]
    executed: int = 0
    repeated: int = 0
    _replies: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)

    def obey(self, command: Mapping[str, Any], own_us: int) -> dict[str, Any]:
        """The body of `up/cmd/{id}`. `own_us`: the device's own idea of the time.

        A command that came before gets its first reply again and is not done twice: QoS 1 repeats, and so does a sender
        that did not hear us.
        """
        command_id = str(command.get("id", "unknown"))
        before = self._replies.get(command_id)
        if before is not None:
            self.repeated += 1
            return before
        reply = self._try(command, own_us)
        self._replies[command_id] = reply
        while len(self._replies) > KEEP_REPLIES:
            self._replies.popitem(last=False)
        return reply

    def _try(self, command: Mapping[str, Any], own_us: int) -> dict[str, Any]:
        method, expires_ms = command.get("method"), command.get("expires_at")
        act = self.acts.get(str(method))
        if act is None:
            return self._failed(own_us, f"unknown method {method!r}")
        # A wrong clock cannot judge whether the command that would set it is late.
        if method != CLOCK_SET and isinstance(expires_ms, int) and own_us // 1000 > expires_ms:
            return self._failed(own_us, f"expired at {expires_ms}")
        try:
            act(command.get("params") or {})
        except ValueError as error:
            return self._failed(own_us, str(error))
        self.executed += 1
        return {"state": "executed", "ts": own_us // 1000}

    @staticmethod
    def _failed(own_us: int, why: str) -> dict[str, Any]:
        return {"state": "failed", "ts": own_us // 1000, "result": why}
