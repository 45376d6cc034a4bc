"""A handler for AWS Lambda, and the loop of its runtime: an event a line, an answer a line."""

import json
import os
import sys
from typing import Any

from rollout_client import RolloutClient

client = RolloutClient(os.environ["DATABASE_URL"])


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    eligible = client.is_eligible(event["repository"], "f", wait=10)
    processor = "github_actions" if eligible else "inngest"
    client.record(event["repository"], "f", processor, succeeded=True)
    return {"eligible": eligible, "written": client.flush(timeout=10)}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(handler(json.loads(line), None)) + "\n")
        sys.stdout.flush()
