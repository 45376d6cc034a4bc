"""The workflows that the story does not use, and rules for all of them."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from reconciler import __version__
from tests.github.events import push, schedule
from tests.github.runner import WORKFLOWS, Runner
from tests.github.server import REPOSITORY, FakeGitHub
from tests.postgres import PROJECT
from tests.site import Site

FEATURE = "hybrid_progressive_capture"
PROGRESSION = f"""\
version: 1
features:
  {FEATURE}:
    percentage: 0
    progression:
      - {{percentage: 10, soak: 1d}}
      - {{percentage: 25, soak: 3d}}
"""
ROLLOUT = ".github/workflows/rollout.yml"
OWN = sorted(WORKFLOWS.glob("rollout-*.yml"))
CALLERS = sorted((WORKFLOWS.parents[1] / "examples" / "github").glob("*.yml"))


@pytest.fixture
def adopted(site: Site) -> Site:
    """A site with its workflows, applied."""
    shutil.copytree(PROJECT / "examples" / "github", site.folder / ".github" / "workflows")
    site.write(PROGRESSION)
    site.commit("Roll out on GitHub, stage by stage")
    site.push()
    assert site.reconcile().exit_code == 0
    return site


def secrets(site: Site) -> dict[str, str]:
    url = site.database.url
    return {"ROLLOUT_DATABASE_URL": url, "ROLLOUT_READER_DATABASE_URL": url}


def test_the_next_stage_is_proposed_once_with_its_blast_radius(
    adopted: Site, hub: FakeGitHub, runner: Runner
) -> None:
    first = runner.run(ROLLOUT, "schedule", schedule("23 6 * * *"), secrets(adopted))
    second = runner.run(ROLLOUT, "schedule", schedule("23 6 * * *"), secrets(adopted))

    assert first.succeeded, first.log
    assert second.succeeded, second.log
    assert hub.changes() == [("POST", f"/repos/{REPOSITORY}/pulls")]
    (pull,) = hub.pulls.values()
    assert pull["title"] == f"Promote {FEATURE}: 0 → 10"
    assert "repositories are eligible" in pull["body"]
    assert "percentage: 10\n" in adopted.remote_text(f"rollout/promote-{FEATURE}-10")
    assert "percentage: 0\n" in adopted.remote_text("main")


def test_the_drift_job_needs_no_checkout(adopted: Site, hub: FakeGitHub, runner: Runner) -> None:
    adopted.database.execute("UPDATE rollout_configuration SET rollout_percentage = 90")

    done = runner.run(ROLLOUT, "schedule", schedule("17 * * * *"), secrets(adopted))

    assert done.succeeded, done.log
    (issue,) = hub.open_issues()
    assert "rollout_percentage 0 → 90, changed live by hand: the apply reverts it" in issue["body"]


def test_a_run_by_hand_applies_only_the_default_branch(
    adopted: Site, hub: FakeGitHub, runner: Runner
) -> None:
    secret = {"database_url": adopted.database.url}

    on_main = runner.run("rollout-apply.yml", "workflow_dispatch", {}, secret)
    adopted.git("checkout", "--quiet", "-B", "other")
    elsewhere = runner.run("rollout-apply.yml", "workflow_dispatch", {}, secret)

    assert on_main.succeeded, on_main.log
    assert (on_main.commands, elsewhere.commands) == (["github apply"], [])


@pytest.mark.parametrize("job", ["apply", pytest.param("drift", marks=pytest.mark.nightly)])
def test_a_manual_caller_runs_only_the_selected_job(
    adopted: Site, hub: FakeGitHub, runner: Runner, job: str
) -> None:
    done = runner.run(ROLLOUT, "workflow_dispatch", {"inputs": {"job": job}}, secrets(adopted))

    assert done.succeeded, done.log
    assert done.jobs == {job}


def test_the_tests_run_on_each_python_version(site: Site, hub: FakeGitHub, runner: Runner) -> None:
    check = site.folder / ".ci" / "run"
    check.parent.mkdir()
    check.write_text('#!/bin/sh\necho "$PYTHON" >> "$TEST_FOLDER/summary"\n')
    check.chmod(0o755)
    site.commit("Check")
    site.push()

    done = runner.run("ci.yml", "push", push(site.git("rev-parse", "HEAD")))

    assert done.succeeded, done.log
    matrix = yaml.safe_load((WORKFLOWS / "ci.yml").read_text())["jobs"]["test"]["strategy"][
        "matrix"
    ]
    assert len(done.summary.splitlines()) == len(matrix["python"])


def test_a_release_publishes_what_was_built_once_and_attested(
    site: Site, hub: FakeGitHub, runner: Runner
) -> None:
    build = site.folder / "scripts" / "build-release"
    build.parent.mkdir()
    build.write_text(
        "#!/bin/sh\nmkdir -p $1/packages\ntouch $1/packages/a.whl $1/requirements.txt\n"
    )
    build.chmod(0o755)
    contents = build.with_name("build-sbom")
    contents.write_text("#!/bin/sh\nmkdir -p $1\ntouch $1/sbom.cdx.json\n")
    contents.chmod(0o755)
    site.commit("Build")
    site.push()

    done = runner.run("release.yml", "push", push(site.git("rev-parse", "HEAD")))

    assert done.succeeded, done.log
    assert done.summary.splitlines() == [
        "attest dist/packages/a.whl dist/requirements.txt",
        "attest dist/packages/a.whl contents/sbom.cdx.json",
        "publish dist/packages/a.whl",
        f"gh release create main --repo {REPOSITORY} --verify-tag"
        " dist/requirements.txt contents/sbom.cdx.json",
    ]


@pytest.mark.parametrize("caller", CALLERS, ids=lambda path: path.stem)
def test_a_caller_names_the_packages_of_this_release(caller: Path) -> None:
    jobs = yaml.safe_load(caller.read_text())["jobs"].values()

    for job in jobs:
        owner = job["uses"].partition("/")[0]
        assert job["with"]["requirements"] == (
            f"https://github.com/{owner}/rollout-reconciler/releases/download/v{__version__}/requirements.txt"
        )


@pytest.mark.parametrize("workflow", OWN, ids=lambda path: path.stem)
def test_each_installs_what_its_caller_names_and_holds_no_logic(workflow: Path) -> None:
    text = workflow.read_text()
    found = yaml.safe_load(text)

    assert found["permissions"] == {}
    # YAML 1.1 reads the key `on` as true.
    requirements = found[True]["workflow_call"]["inputs"]["requirements"]
    # The place of a release is the caller's choice; another project's address must not be the default.
    assert requirements["required"] is True
    assert "default" not in requirements
    assert "https://" not in text
    for job in found["jobs"].values():
        assert job["timeout-minutes"] <= 30
        for step in job["steps"]:
            if run := step.get("run"):
                assert "${{" not in run, "somebody's text could become a command"
                assert re.match(
                    r'(uv pip install --require-hashes --requirement "\$\{REQUIREMENTS:\?[a-zA-Z_ ]+\}"'
                    "|reconcile [a-z -]+[a-z])",
                    run,
                )
                assert "\n" not in run.strip()
            else:
                assert re.fullmatch(r"[a-z-]+/[a-z-]+@[0-9a-f]{40}", step["uses"])


@pytest.mark.parametrize("workflow", OWN, ids=lambda path: path.stem)
def test_runs_for_two_files_do_not_wait_for_each_other(workflow: Path) -> None:
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        assert job["concurrency"]["group"].endswith("-${{ inputs.file || 'rollout.yaml' }}")
        assert job["env"]["ROLLOUT_FILE"] == "${{ inputs.file || 'rollout.yaml' }}"


@pytest.mark.parametrize("workflow", OWN, ids=lambda path: path.stem)
def test_the_guide_lists_inputs_secrets_and_permissions(workflow: Path) -> None:
    guide = (PROJECT / "docs" / "github.md").read_text()
    found = yaml.safe_load(workflow.read_text())
    called = found[True]["workflow_call"]
    asked = {
        f"{name}: {access}"
        for job in found["jobs"].values()
        for name, access in job["permissions"].items()
    }
    row = re.search(
        rf"^\| `{workflow.name}` \| (`\w+`(?: `\w+`)*|none) \| (.+) \|$", guide, re.MULTILINE
    )

    assert row is not None
    assert set(row[1].replace("`", "").split()) == set(called.get("secrets", ["none"]))
    assert set(re.findall("`([^`]+)`", row[2])) == asked
    for name, given in called["inputs"].items():
        assert f"\n| `{name}` |" in guide
        assert given["description"]
