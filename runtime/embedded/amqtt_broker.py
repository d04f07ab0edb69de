"""The broker of last resort: `amqtt`, where Mosquitto is neither installed nor to be had. No delivery is guaranteed (不保证送达).

It lost every acknowledged message when its subscriber was killed (contract.md section 3), so no test and no claim uses it; it is
there so that a laptop without Debian can show the demo. Authentication and access are those of the same two files that Mosquitto
reads; they are read again when they change.

    python -m runtime.embedded.amqtt_broker MOSQUITTO_CONF
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.broker import Broker
from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from runtime.embedded.accounts import Accounts

STOP_TIMEOUT_S = 5.0
PLUGINS = __spec__.name if __spec__ is not None else __name__


def setting(conf: str, name: str) -> str:
    """Value of a setting in a `mosquitto.conf`. Raises KeyError when it is not there."""
    for line in conf.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return value.strip()
    raise KeyError(name)


class PasswordFile(BaseAuthPlugin):
    """Only who stands in the password file."""

    @dataclass
    class Config:
        password_file: str = ""
        acl_file: str = ""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._accounts = Accounts(Path(self.config.password_file), Path(self.config.acl_file))

    async def authenticate(self, *, session: Session) -> bool | None:
        return bool(session.username) and self._accounts.knows(session.username, session.password or "")


class AclFile(BaseTopicPlugin):
    """Only the topics that the ACL file grants."""

    @dataclass
    class Config:
        password_file: str = ""
        acl_file: str = ""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._accounts = Accounts(Path(self.config.password_file), Path(self.config.acl_file))

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        if session is None or not session.username or not topic:
            return False
        access = "write" if action is Action.PUBLISH else "read"
        return self._accounts.allows(session.username, topic, access)


def broker_config(conf: str) -> dict[str, Any]:
    """amqtt's configuration from a `mosquitto.conf`."""
    port, _, host = setting(conf, "listener").partition(" ")
    files = {"password_file": setting(conf, "password_file"), "acl_file": setting(conf, "acl_file")}
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{host or '127.0.0.1'}:{port}"}},
        "plugins": {f"{PLUGINS}.PasswordFile": files, f"{PLUGINS}.AclFile": files},
    }


async def serve(conf: str) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # the files are looked at for every login
    broker = Broker(broker_config(conf))
    await broker.start()
    await stop.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]).read_text()))
