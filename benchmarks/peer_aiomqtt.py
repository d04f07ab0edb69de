"""What a competent person writes in an afternoon: `aiomqtt` in, JSON decoded, `executemany` into PostgreSQL. A peer of `ingest`.

    python -m benchmarks.peer_aiomqtt SETTINGS.json       {host, port, username, password, topic, database}

QoS 1, a session that is kept, one transaction for what has come within 50 ms; no identity, no quality, no rules, no latest values.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import psycopg

TABLE = """
CREATE TABLE IF NOT EXISTS reading (
    device text NOT NULL, property text NOT NULL, at timestamptz NOT NULL, value double precision NOT NULL,
    PRIMARY KEY (device, property, at)
)"""
INSERT = "INSERT INTO reading VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
LINGER_S = 0.05


def rows_of(payload: bytes) -> list[tuple[str, str, datetime, float]]:
    """The rows of a gateway's message."""
    return [
        (device, key, datetime.fromtimestamp(sample["ts"] / 1000, UTC), float(value))
        for device, samples in json.loads(payload).items()
        for sample in samples
        for key, value in sample["values"].items()
    ]


async def serve(settings: dict[str, Any]) -> None:
    connection = await psycopg.AsyncConnection.connect(settings["database"])
    await connection.execute(TABLE)
    await connection.commit()
    waiting: list[tuple[str, str, datetime, float]] = []
    login = {"username": settings["username"], "password": settings["password"], "identifier": "peer"}
    async with aiomqtt.Client(settings["host"], settings["port"], clean_session=False, **login) as client:
        await client.subscribe(settings["topic"], qos=1)
        print("subscribed", flush=True)

        async def write() -> None:
            while True:
                await asyncio.sleep(LINGER_S)
                batch = waiting.copy()
                waiting.clear()
                if batch:
                    async with connection.cursor() as cursor:
                        await cursor.executemany(INSERT, batch)
                    await connection.commit()

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            async for message in client.messages:
                waiting += rows_of(bytes(message.payload))


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
