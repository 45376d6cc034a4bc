"""The keys of the JSON that each command prints, and the exit codes."""

import json
from collections.abc import Iterator

from tests.acceptance.test_json_reference import FILE, REPOSITORIES, paths
from tests.contracts.record import check_lines
from tests.site import Site

RUNS = [
    ("repositories load", "r.csv"),
    ("", "--dry-run --allow soak --allow max-gain --allow freeze --reason urgent"),
    ("", "--allow soak --allow max-gain --allow freeze --reason urgent"),
    ("freezes", ""),
    ("freezes", "--at 2026-11-28T10:00Z"),
    ("freeze list", ""),
    ("freeze add", "another --from 2020-01-01T00:00 --to 2199-12-31T00:00"),
    ("categorize", ""),
    ("metrics record", "acme/tool-4 --processor github_actions --failed --error no --seconds 2"),
    ("metrics show", ""),
    ("metrics prune", "--keep 90d"),
    ("status", ""),
    ("stats", ""),
    ("cost", ""),
    ("categories", ""),
    ("explain", "acme/tool-1"),
    ("repositories list", ""),
    ("repositories list", "--ready 3"),
    ("whitelist list", ""),
    ("exclude list", ""),
    ("test-repos list", ""),
    ("health", ""),
    ("validate", ""),
    ("validate", "wrong.yaml"),
    ("promote", ""),
    ("db status", ""),
    ("db roles", "--check"),
    ("db url", ""),
    ("set", "40"),
    ("set", "40"),
    ("strategy", "whitelist"),
    ("strategy", "percentage"),
    ("auto-rollback", "off"),
    ("whitelist add", "acme/tool-5"),
    ("whitelist remove", "acme/tool-5"),
    ("exclude add", "acme/tool-6"),
    ("exclude remove", "acme/tool-6"),
    ("test-repos add", "acme/tool-7"),
    ("test-repos remove", "acme/tool-7"),
    ("stop", "--reason hurts --no-write-back"),
    ("status", ""),
    ("verify", ""),
    ("notify list", ""),
    ("notify test", "oncall"),
    ("notify deliver", ""),
    ("notify retry", ""),
    ("explain", "acme/tool-1 --at 2999-01-01"),
    ("repositories list", "--eligible --at 2999-01-01"),
    ("repositories list", "--eligible --at 1"),
    ("write-back", ""),
    ("resume", "--reason fixed --allow freeze"),
    ("rollback", "--to 10 --reason again"),
    ("resume", "--reason fixed --allow freeze"),
    ("history", ""),
]
DRIFTED = [("status", ""), ("drift", ""), ("drift adopt", ""), ("drift revert", "--allow freeze")]


def test_the_keys_of_each_command(site: Site) -> None:
    (site.folder / "r.csv").write_text(REPOSITORIES)
    (site.folder / "wrong.yaml").write_text("version: 2\n")
    site.write(FILE)
    site.commit("Begin")
    site.push()

    def lines() -> Iterator[str]:
        for command, arguments in RUNS:
            yield from keys(command, arguments)
        site.database.execute(
            "UPDATE rollout_configuration SET rollout_percentage = 5, target_repositories = '{}'"
        )
        for command, arguments in DRIFTED:
            yield from keys(command, arguments)

    def keys(command: str, arguments: str) -> Iterator[str]:
        done = site.reconcile(*command.split(), *arguments.split(), "--format", "json")
        assert done.stdout, (command, arguments, done.stderr)
        for path in paths(json.loads(done.stdout)):
            yield f"{command or 'reconcile'}: {path}"

    check_lines("json_keys", lines())


def test_exit_codes(site: Site) -> None:
    # The exit code 130 of an interrupted watch: test_watch.py.
    def code(*arguments: str) -> int:
        return site.reconcile(*arguments).exit_code

    codes = {
        "applied": code(),
        "nothing to do": code(),
        "dry run with --detailed-exitcode, no change": code("--dry-run", "--detailed-exitcode"),
    }
    older = site.git("rev-parse", "HEAD")
    site.replace("percentage: 10", "percentage: 11")
    newer = site.commit("Go on")
    codes["dry run, changes pending"] = code("--dry-run")
    codes["dry run with --detailed-exitcode, changes pending"] = code(
        "--dry-run", "--detailed-exitcode"
    )
    code()
    site.git("checkout", "--quiet", older)
    codes["a commit older than the applied one"] = code()
    site.git("checkout", "--quiet", newer)
    site.replace("percentage: 11", "percentage: 90")
    codes["refused by a guard"] = code()
    codes["dry run, refused by a guard"] = code("--dry-run")
    site.replace("percentage: 90", "percentage: 900")
    codes["invalid file"] = code("validate")
    codes["unknown command"] = code("nonsense")
    codes["unknown option"] = code("status", "--nonsense")
    codes["no such database server"] = code(
        "status", "--database-url", "postgresql://127.0.0.1:1/none"
    )

    check_lines("exit_codes", (f"{case}: {number}" for case, number in codes.items()))
