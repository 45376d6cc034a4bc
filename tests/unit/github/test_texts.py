"""Comments, issues and pull requests: one of each, found again beside other markers."""

import io
import zipfile
from dataclasses import replace

import pytest

from reconciler.errors import NotFound, SetupInvalid
from reconciler.github.artifacts import MAX_BYTES, read_artifact
from reconciler.github.client import GitHub
from reconciler.github.comments import put_comment
from reconciler.github.issues import DesiredIssue, IssueChanges, update_issues
from reconciler.github.markers import MAX_CHARACTERS
from reconciler.github.names import Names
from reconciler.github.pull_requests import FoundPullRequest, Proposal, find_pull_request, propose
from tests.github.server import REPOSITORY, FakeGitHub, Trouble

PATH = f"/repos/{REPOSITORY}"
STRANGER = {"login": "mallory", "type": "User"}
NAMES = Names()
PREVIEW = NAMES.marker("preview")
MARKER_OF_B = NAMES.marker("drift", "b")
STATE = DesiredIssue("a", "Drift of a", "It drifted.")
OTHER = DesiredIssue("b", "Drift of b", "It drifted too.")
PROPOSAL = Proposal("rollout/promote", "main", "Take 25 % in", "The next stage.")


def bodies(fake: FakeGitHub) -> list[str]:
    return [each["body"] for each in fake.comments.values()]


def test_a_comment_is_written_once_and_then_kept_up_to_date(
    fake: FakeGitHub, github: GitHub
) -> None:
    for body in ("first", "second", "second"):
        put_comment(github, PATH, 7, PREVIEW, body)

    assert bodies(fake) == [f"second\n\n{PREVIEW}"]
    assert [method for method, _ in fake.changes()] == ["POST", "PATCH"]


def test_a_comment_is_found_among_hundreds(fake: FakeGitHub, github: GitHub) -> None:
    put_comment(github, PATH, 7, PREVIEW, "first")
    for number in range(250):
        fake.add_comment(7, f"talk {number}", STRANGER, "NONE")

    put_comment(github, PATH, 7, PREVIEW, "second")

    assert len(fake.comments) == 251


@pytest.mark.parametrize("association", ["NONE", "CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR"])
def test_a_marker_in_an_outsiders_comment_is_ignored(
    fake: FakeGitHub, github: GitHub, association: str
) -> None:
    fake.add_comment(7, PREVIEW, STRANGER, association)

    put_comment(github, PATH, 7, PREVIEW, "ours")

    assert bodies(fake) == [PREVIEW, f"ours\n\n{PREVIEW}"]


def test_a_comment_whose_answer_was_lost_is_not_written_again(
    fake: FakeGitHub, github: GitHub
) -> None:
    fake.troubles = [Trouble("POST", "comments", after=True)]

    put_comment(github, PATH, 7, PREVIEW, "once")

    assert len(fake.comments) == 1


def test_a_comment_that_did_not_arrive_is_written_again(fake: FakeGitHub, github: GitHub) -> None:
    fake.troubles = [Trouble("POST", "comments", 502)]

    put_comment(github, PATH, 7, PREVIEW, "once")

    assert len(fake.comments) == 1


def test_a_comment_stays_within_githubs_limit(fake: FakeGitHub, github: GitHub) -> None:
    put_comment(github, PATH, 7, PREVIEW, "x" * 100_000)

    (body,) = bodies(fake)
    assert len(body) == MAX_CHARACTERS
    assert body.endswith(PREVIEW)


def test_an_issue_is_opened_once_kept_up_to_date_and_closed(
    fake: FakeGitHub, github: GitHub
) -> None:
    opened = update_issues(github, PATH, NAMES, "drift", [STATE])
    same = update_issues(github, PATH, NAMES, "drift", [STATE])
    updated = update_issues(
        github, PATH, NAMES, "drift", [DesiredIssue(STATE.feature, STATE.title, "More."), OTHER]
    )
    closed = update_issues(github, PATH, NAMES, "drift", [OTHER])

    first, second = (f"https://github.com/{REPOSITORY}/issues/{number}" for number in (7, 8))
    assert opened == IssueChanges(opened=(first,))
    assert same == IssueChanges()
    assert updated == IssueChanges(opened=(second,), updated=(first,))
    assert closed == IssueChanges(closed=(first,))
    assert [each["title"] for each in fake.open_issues()] == [OTHER.title]
    assert "**Resolved.**" in fake.issues[7]["body"]


def test_a_state_that_occurs_again_gets_a_new_issue(fake: FakeGitHub, github: GitHub) -> None:
    for states in ([STATE], [], [STATE], [STATE]):
        update_issues(github, PATH, NAMES, "drift", states)

    assert [each["state"] for each in fake.issues.values()] == ["closed", "open"]


def test_a_closed_issue_stays_closed_until_its_state_occurs_again(
    fake: FakeGitHub, github: GitHub
) -> None:
    update_issues(github, PATH, NAMES, "drift", [STATE])
    fake.issues[7]["state"] = "closed"

    for states in ([STATE], [DesiredIssue(STATE.feature, STATE.title, "More.")], []):
        assert update_issues(github, PATH, NAMES, "drift", states) == IssueChanges()
    assert len(fake.issues) == 1
    update_issues(github, PATH, NAMES, "drift", [STATE])

    assert [each["state"] for each in fake.issues.values()] == ["closed", "open"]


@pytest.mark.parametrize("file", ["staging.yaml", "a/rollout.yaml", "drift", "health x"])
def test_the_job_of_one_file_leaves_the_issues_of_another_alone(
    fake: FakeGitHub, github: GitHub, file: str
) -> None:
    other = Names(file)
    for names in (NAMES, other):
        update_issues(github, PATH, names, "drift", [STATE])

    update_issues(github, PATH, other, "drift", [])
    assert [each["title"] for each in fake.open_issues()] == [STATE.title]
    update_issues(github, PATH, other, "drift", [STATE])
    update_issues(github, PATH, NAMES, "drift", [])

    assert [each["title"] for each in fake.open_issues()] == [f"{STATE.title} ({file})"]


def test_a_flood_of_issues_of_one_file_hides_none_of_another(
    fake: FakeGitHub, github: GitHub
) -> None:
    update_issues(github, PATH, Names("a.yaml"), "drift", [STATE])
    fake.issues[7]["state"] = "closed"
    flood = [DesiredIssue(f"f{number}", "t", "b") for number in range(120)]
    update_issues(github, PATH, NAMES, "drift", flood)
    update_issues(github, PATH, NAMES, "drift", [])

    assert update_issues(github, PATH, Names("a.yaml"), "drift", [STATE]) == IssueChanges()


def test_issues_of_others_are_not_changed(fake: FakeGitHub, github: GitHub) -> None:
    update_issues(github, PATH, NAMES, "health", [])
    update_issues(github, PATH, NAMES, "drift", [STATE])
    fake.issues[7]["user"] = STRANGER

    update_issues(github, PATH, NAMES, "drift", [])

    assert len(fake.open_issues()) == 1


def test_a_text_that_quotes_the_marker_of_another_state_is_not_its_issue(
    fake: FakeGitHub, github: GitHub
) -> None:
    quoting = DesiredIssue(STATE.feature, STATE.title, f"Why: `{MARKER_OF_B}`")
    for states in ([quoting], [quoting, OTHER], [OTHER]):
        update_issues(github, PATH, NAMES, "drift", states)

    assert [each["state"] for each in fake.issues.values()] == ["closed", "open"]
    assert fake.open_issues()[0]["title"] == OTHER.title


def test_an_issue_whose_answer_was_lost_is_not_opened_again(
    fake: FakeGitHub, github: GitHub
) -> None:
    fake.troubles = [Trouble("POST", "issues", after=True)]

    update_issues(github, PATH, NAMES, "drift", [STATE])

    assert len(fake.issues) == 1


def test_a_title_that_a_person_edited_is_kept(fake: FakeGitHub, github: GitHub) -> None:
    propose(github, PATH, PROPOSAL)
    fake.pulls[7]["title"] = "[OPS-7] Take 25 % in"
    propose(github, PATH, replace(PROPOSAL, body="The next stage, planned again."))
    update_issues(github, PATH, NAMES, "drift", [STATE])
    fake.issues[8]["title"] = "[SEV2] Drift of a"
    update_issues(github, PATH, NAMES, "drift", [STATE])

    assert fake.pulls[7]["title"] == "[OPS-7] Take 25 % in"
    assert fake.pulls[7]["body"] == "The next stage, planned again."
    assert fake.issues[8]["title"] == "[SEV2] Drift of a"


def test_long_issues_and_pull_requests_stay_within_githubs_limit(
    fake: FakeGitHub, github: GitHub
) -> None:
    long = DesiredIssue("a", "Drift of a", "x" * 100_000)
    update_issues(github, PATH, NAMES, "drift", [long])
    assert len(fake.issues[7]["body"]) == MAX_CHARACTERS
    assert update_issues(github, PATH, NAMES, "drift", [long]) == IssueChanges()
    update_issues(github, PATH, NAMES, "drift", [])
    propose(github, PATH, replace(PROPOSAL, body="x" * 100_000))

    assert fake.issues[7]["state"] == "closed"
    assert len(fake.issues[7]["body"]) == MAX_CHARACTERS
    assert fake.issues[7]["body"].endswith(NAMES.marker("drift", "a"))
    assert len(fake.pulls[8]["body"]) == MAX_CHARACTERS


def test_a_pull_request_is_opened_once_for_a_branch(fake: FakeGitHub, github: GitHub) -> None:
    first = propose(github, PATH, PROPOSAL)
    second = propose(github, PATH, PROPOSAL)

    assert (first.is_new, second.is_new, first.number) == (True, False, second.number)
    assert fake.changes() == [("POST", f"{PATH}/pulls")]


@pytest.mark.parametrize("status", [0, 502])
def test_a_pull_request_whose_answer_was_lost_is_found(
    fake: FakeGitHub, github: GitHub, status: int
) -> None:
    fake.troubles = [Trouble("POST", "pulls", status, after=True)]

    assert propose(github, PATH, PROPOSAL).number == 7
    assert len(fake.pulls) == 1


@pytest.mark.parametrize("status", [0, 502])
def test_a_pull_request_that_did_not_arrive_is_opened_again(
    fake: FakeGitHub, github: GitHub, waits: list[float], status: int
) -> None:
    fake.troubles = [Trouble("POST", "pulls", status)]

    assert propose(github, PATH, PROPOSAL).is_new
    assert (len(fake.pulls), len(waits)) == (1, 1)


def test_a_closed_pull_request_is_a_refusal_and_a_merged_one_is_done(
    fake: FakeGitHub, github: GitHub
) -> None:
    propose(github, PATH, PROPOSAL)
    fake.pulls[7] |= {"state": "closed"}
    declined = propose(github, PATH, PROPOSAL)
    fake.pulls[7] |= {"merged_at": "2026-11-23T12:00:00Z"}
    again = propose(github, PATH, PROPOSAL)

    assert (declined.number, declined.is_declined) == (7, True)
    assert (again.number, again.is_new) == (8, True)


def test_a_pull_request_is_found_by_its_newest_commit_only(
    fake: FakeGitHub, github: GitHub
) -> None:
    number = fake.add_pull(head="mallory:main", sha="a" * 40, base_sha="c" * 40)

    assert find_pull_request(github, PATH, "mallory:main", "a" * 40) == FoundPullRequest(
        number, "c" * 40
    )
    with pytest.raises(NotFound, match="the run of its newest commit comments"):
        find_pull_request(github, PATH, "mallory:main", "b" * 40)


def archive(
    name: str, content: bytes, mode: int = 0o100644, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        entry.compress_type = method
        opened.writestr(entry, content)
    return file.getvalue()


def scratched(content: bytes) -> bytes:
    """Return an archive whose one entry has damaged compressed data."""
    return content[:50] + b"\xff" * 10 + content[60:]


def test_a_file_of_an_artifact_is_read_and_its_store_gets_no_token(
    fake: FakeGitHub, github: GitHub
) -> None:
    fake.artifacts = {5: {"preview": archive("rollout.yaml", b"version: 1\n")}}

    assert read_artifact(github, PATH, 5, "preview", "rollout.yaml") == b"version: 1\n"


def test_a_store_on_another_host_gets_no_token(fake: FakeGitHub, github: GitHub) -> None:
    with FakeGitHub().serving() as store:
        store.artifacts = {5: {"preview": archive("rollout.yaml", b"version: 1\n")}}
        fake.artifacts = store.artifacts
        fake.store_url = store.url

        assert read_artifact(github, PATH, 5, "preview", "rollout.yaml") == b"version: 1\n"

        (asked,) = store.asked
        assert "authorization" not in asked.headers


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"no archive", SetupInvalid, "is not a valid archive"),
        (archive("../../etc/passwd", b"x"), NotFound, "has no rollout.yaml"),
        (archive("rollout.yaml", b"/etc/passwd", 0o120777), SetupInvalid, "not a regular file"),
        (archive("rollout.yaml", bytes(MAX_BYTES + 1)), SetupInvalid, "is over"),
        (archive("rollout.yaml", b"x" * 99)[:-40], SetupInvalid, "is not a valid archive"),
        (bytes(MAX_BYTES + 1), SetupInvalid, "is over"),
        (scratched(archive("rollout.yaml", b"x" * 99)), SetupInvalid, "is not a valid archive"),
        *(
            (
                scratched(archive("rollout.yaml", b"x" * 99, method=method)),
                SetupInvalid,
                "a compression method that GitHub does not use",
            )
            for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
        ),
    ],
    ids=["no archive", "other path", "symlink", "bomb", "cut", "huge", "damaged", "bzip2", "lzma"],
)
def test_a_hostile_artifact_is_refused(
    fake: FakeGitHub, github: GitHub, content: bytes, kind: type[Exception], said: str
) -> None:
    fake.artifacts = {5: {"preview": content}}

    with pytest.raises(kind, match=said):
        read_artifact(github, PATH, 5, "preview", "rollout.yaml")
