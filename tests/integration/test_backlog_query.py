"""What deploy/k8s/keda asks of the journal: taken by PostgreSQL, counted right, found by an index."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import yaml

from adapter.journal.migrate import migrate
from adapter.services.registry import known_actions

if TYPE_CHECKING:
    from tests.conftest import Database

OBJECTS = Path(__file__).resolve().parents[2] / "deploy/k8s/keda/scaledobjects.yaml"


def queries() -> dict[str, str]:
    return {
        one["metadata"]["name"].removeprefix("adapter-"): one["spec"]["triggers"][0]["metadata"]["query"]
        for one in yaml.safe_load_all(OBJECTS.read_text("utf-8"))
        if one["kind"] == "ScaledObject"
    }


async def test_each_row_that_a_worker_has_to_do_with_counts_for_one_group(database: Database) -> None:
    connection = await asyncpg.connect(
        host=database.host, port=database.port, user=database.user, password=database.password, database=database.name
    )
    await migrate(connection)
    actions = {**known_actions({}), "shep.AsyncEcho": "shep", "smev3.request": "smev3"}
    rows = [
        (uuid4(), action, state, datetime.now(UTC))
        for action in actions
        for state in ("received", "submitting", "answered", "waiting", "retrying", "replied")
    ]
    await connection.executemany(
        "insert into exchanges (id, action, source, state, deadline, fingerprint) values ($1, $2, $2, $3, $4, '')", rows
    )
    counted = {group: await connection.fetchval(query) for group, query in queries().items()}
    gateways = list(actions.values())
    assert counted == {group: 3 * gateways.count(group) for group in counted}
    await connection.execute("set enable_seqscan = off")
    for query in queries().values():
        plan = "\n".join(row[0] for row in await connection.fetch(f"explain {query}"))
        assert "exchanges_open" in plan, "the query runs every fifteen seconds: it may not read what has ended"
    await connection.close()
