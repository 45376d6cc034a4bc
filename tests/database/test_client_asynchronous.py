"""The client in asyncio: the loop never blocks while a call waits."""

import asyncio
from datetime import timedelta

from rollout_client import AsyncRolloutClient, Job, RolloutClient
from tests.database.test_client import ACME, OTHER, load
from tests.postgres import Database


def test_decisions_are_plain_calls_and_waiting_is_awaited(database: Database) -> None:
    load(database)

    async def use() -> list[str]:
        async with AsyncRolloutClient(RolloutClient(database.url)) as client:
            assert await client.wait_until_ready()
            assert client.is_eligible(ACME, "f")
            assert client.explain(ACME, "f").eligible
            assert client.route(ACME, Job("f")).processor == "github_actions"
            assert client.record(ACME, "f", "github_actions", succeeded=True)
            assert not client.status().is_stale
            return [each async for each in client.eligible("f")]

    assert asyncio.run(use()) == [ACME, OTHER]
    assert database.value("SELECT sum(total_jobs) FROM rollout_metrics") == 1


def test_the_event_loop_runs_while_the_client_waits() -> None:
    async def use() -> bool:
        never = timedelta(milliseconds=200)
        client = AsyncRolloutClient(
            RolloutClient("postgresql://u@127.0.0.1:1/nowhere", start_timeout=never)
        )
        ticked = asyncio.Event()
        asyncio.get_running_loop().call_soon(ticked.set)
        entering = asyncio.create_task(client.__aenter__())
        await ticked.wait()
        is_waiting = not entering.done()
        await entering
        await client.close()
        return is_waiting

    async def use_briefly() -> bool:
        async with asyncio.timeout(30):
            return await use()

    assert asyncio.run(use_briefly())
