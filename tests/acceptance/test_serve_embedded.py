"""`reconcile serve` with the embedded database, which may get another address."""

import httpx

from reconciler.database.embedded import EmbeddedServer
from tests.eventually import eventually
from tests.ofrep_server import TOKEN, running_server
from tests.site import Site

EMBEDDED: dict[str, str | None] = {"DATABASE_URL": None}


def test_a_server_follows_the_embedded_database_to_its_new_address(site: Site) -> None:
    assert site.reconcile("--yes", env=EMBEDDED).exit_code == 0
    embedded = EmbeddedServer(site.folder / ".reconcile")
    before = embedded.status().url
    file = site.folder / "rollout.yaml"
    try:
        with running_server("--file", str(file)) as served:
            eventually(served.is_ready)

            embedded.stop()
            after = embedded.start()
            assert after != before
            assert site.reconcile("stop", "--reason", "moved", "--yes", env=EMBEDDED).exit_code == 0

            def reason() -> str:
                answer = httpx.post(
                    f"{served.url}/ofrep/v1/evaluate/flags",
                    json={"context": {"targetingKey": "acme/site"}},
                    headers={"Authorization": f"Bearer {TOKEN}"},
                )
                return str(answer.json()["flags"][0]["metadata"]["rule"])

            eventually(lambda: reason() == "emergency_stop")
    finally:
        embedded.stop()
