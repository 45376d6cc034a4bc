"""GitHub's API: safe retries, rate limits, pages; the token is sent to its own origin only."""

import time

import pytest

from reconciler.errors import NotFound, OutcomeUnknown, SetupInvalid, Unavailable
from reconciler.github.client import GitHub, repository_path
from reconciler.github.transport import Transport
from tests.github.server import BOT, REPOSITORY, TOKEN, FakeGitHub, Trouble

PATH = f"/repos/{REPOSITORY}"
COMMENTS = f"{PATH}/issues/7/comments"


def test_every_page_of_a_list_is_read(fake: FakeGitHub, github: GitHub) -> None:
    fake.page_size = 3
    for number in range(7):
        fake.add_comment(7, str(number), BOT, "NONE")

    assert [each["body"] for each in github.pages(COMMENTS)] == list("0123456")
    assert len(fake.asked) == 3


def test_a_list_is_counted_in_one_request(fake: FakeGitHub, github: GitHub) -> None:
    for number in range(7):
        fake.add_comment(7, str(number), BOT, "NONE")

    assert (github.count(COMMENTS), github.count(f"{PATH}/issues/8/comments")) == (7, 0)
    assert len(fake.asked) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 0])
def test_a_failing_server_is_asked_again_with_backoff(
    fake: FakeGitHub, github: GitHub, waits: list[float], status: int
) -> None:
    fake.troubles = [Trouble("GET", "comments", status)] * 3

    assert list(github.pages(COMMENTS)) == []
    assert len(waits) == 3
    assert all(low <= wait <= 3 * low for wait, low in zip(waits, (0.5, 1, 2), strict=True))


def test_a_lasting_failure_is_reported_without_the_token(fake: FakeGitHub, github: GitHub) -> None:
    fake.troubles = [Trouble("GET", "comments", 502)] * 5

    with pytest.raises(Unavailable) as caught:
        list(github.pages(COMMENTS))

    assert str(caught.value) == f"GitHub answers GET {COMMENTS} with 502; try again later"
    assert TOKEN not in repr(github) + repr(github.transport)


@pytest.mark.parametrize("status", [500, 0])
def test_a_post_with_a_lost_answer_is_not_repeated(
    fake: FakeGitHub, github: GitHub, status: int
) -> None:
    fake.troubles = [Trouble("POST", "comments", status, after=True)]

    with pytest.raises(OutcomeUnknown):
        github.change("POST", COMMENTS, {"body": "once"})

    assert len(fake.comments) == 1


@pytest.mark.parametrize(
    ("status", "headers", "body", "least", "most"),
    [
        (403, {"retry-after": "7"}, {}, 7, 7),
        (429, {"retry-after": "7"}, {}, 7, 7),
        (429, {}, {}, 60, 60),
        (403, {}, {"message": "You have exceeded a secondary rate limit."}, 60, 60),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "+90"}, {}, 80, 92),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "+-90"}, {}, 1, 1),
    ],
)
def test_a_rate_limit_is_waited_for_also_before_a_post(  # noqa: PLR0917
    fake: FakeGitHub,
    github: GitHub,
    waits: list[float],
    reports: list[str],
    status: int,
    headers: dict[str, str],
    body: dict[str, str],
    least: float,
    most: float,
) -> None:
    reset = headers.get("x-ratelimit-reset")
    if reset is not None:
        headers = {**headers, "x-ratelimit-reset": str(int(time.time()) + int(reset[1:]))}
    fake.troubles = [Trouble("POST", "comments", status, headers, body)]

    github.change("POST", COMMENTS, {"body": "once"})

    assert len(fake.comments) == 1
    (wait,) = waits
    assert least <= wait <= most
    assert reports == [f"GitHub's rate limit is used up: waiting for {wait:.0f} seconds"]


@pytest.mark.parametrize(
    ("error", "headers", "wait"),
    [
        ({"type": "RATE_LIMITED", "message": "API rate limit exceeded"}, {"retry-after": "7"}, 7),
        ({"type": "RATE_LIMIT", "message": "already exceeded"}, {}, 60),
        ({"message": "You have exceeded a secondary rate limit."}, {}, 60),
        ({"message": "Something went wrong while executing your query."}, {}, 1.5),
    ],
)
def test_a_query_is_repeated_where_github_asks_for_it_with_status_200(  # noqa: PLR0917
    fake: FakeGitHub,
    github: GitHub,
    waits: list[float],
    error: dict[str, str],
    headers: dict[str, str],
    wait: float,
) -> None:
    done = Trouble("POST", "graphql", 200, body={"data": {"viewer": None}})
    refused = {"data": None, "errors": [error]}
    fake.troubles = [Trouble("POST", "graphql", 200, headers, refused), done]

    assert github.query("{ viewer }", {}) == {"viewer": None}
    (waited,) = waits
    assert wait / 3 <= waited <= wait


def test_a_query_without_data_is_unavailable(fake: FakeGitHub, github: GitHub) -> None:
    fake.troubles = [Trouble("POST", "graphql", 200, body={"data": None})]

    with pytest.raises(Unavailable, match="has no data"):
        github.query("{ viewer }", {})


def test_an_answer_that_quotes_a_limit_is_not_waited_for(
    fake: FakeGitHub, github: GitHub, waits: list[float]
) -> None:
    quoting = [{"title": "RATE_LIMITED"}]
    fake.troubles = [Trouble("GET", "comments", 200, body=quoting)]

    assert (list(github.pages(COMMENTS)), waits) == (quoting, [])


def test_a_wait_of_hours_is_reported_instead(
    fake: FakeGitHub, github: GitHub, waits: list[float]
) -> None:
    fake.troubles = [Trouble("GET", "comments", 403, {"retry-after": "9000"})]

    with pytest.raises(Unavailable, match="9000 seconds"):
        list(github.pages(COMMENTS))

    assert waits == []


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, SetupInvalid, "rejects the token"),
        (403, SetupInvalid, "give the job the permission"),
        (404, NotFound, "or hides it from this token"),
        (422, SetupInvalid, "with 422: Validation Failed; body is too long"),
    ],
)
def test_a_refusal_gives_the_next_step(
    fake: FakeGitHub, github: GitHub, status: int, kind: type[Exception], said: str
) -> None:
    body = {"message": "Validation Failed", "errors": [{"message": "body is too long"}]}
    fake.troubles = [Trouble("GET", "comments", status, body=body)]

    with pytest.raises(kind, match=said):
        list(github.pages(COMMENTS))


def test_a_renamed_repository_is_followed_on_the_same_server(
    fake: FakeGitHub, github: GitHub
) -> None:
    fake.add_comment(7, "found", BOT, "NONE")
    fake.troubles = [Trouble("GET", "/issues/8/", 301, {"location": f"{fake.url}{COMMENTS}"})]

    assert [each["body"] for each in github.pages(f"{PATH}/issues/8/comments")] == ["found"]


def test_endless_redirects_are_reported(fake: FakeGitHub, github: GitHub) -> None:
    fake.troubles = [Trouble("GET", "comments", 302, {"location": COMMENTS})] * 5

    with pytest.raises(Unavailable, match=f"GitHub redirects GET {COMMENTS} again and again"):
        list(github.pages(COMMENTS))


@pytest.mark.parametrize(
    "headers",
    [
        {"location": "https://elsewhere.example/repos"},
        {"link": '<https://[::1>; rel="next"'},
        {"link": '<https://elsewhere.example/repos>; rel="next"'},
    ],
)
def test_the_token_is_sent_to_no_other_server(
    fake: FakeGitHub, github: GitHub, headers: dict[str, str]
) -> None:
    status = 301 if "location" in headers else 200
    fake.troubles = [Trouble("GET", "comments", status, headers)]

    with pytest.raises(SetupInvalid, match="another server"):
        list(github.pages(COMMENTS))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN is not set"),
        ({"GITHUB_TOKEN": "a\nb"}, "contains a space or a control character"),
        ({"GITHUB_TOKEN": "t", "GITHUB_API_URL": "http://api.example.com"}, "not an https address"),
        ({"GITHUB_TOKEN": "t", "GITHUB_API_URL": "https://u:p@api.example.com"}, "not an https"),
        ({"GITHUB_TOKEN": "t", "GITHUB_API_URL": "https://api.example.com:x"}, "not an https"),
        ({"GITHUB_TOKEN": "t", "GITHUB_API_URL": "https://[::1"}, "not an https"),
        ({"GITHUB_TOKEN": "t", "GITHUB_API_URL": "https://api.example.com/?a=b"}, "not an https"),
    ],
)
def test_an_invalid_setting_is_refused_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SetupInvalid, match=said) as caught:
        GitHub.from_environment()

    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "is_own"),
    [
        ("https://github.example.com/api/v3/repos", True),
        ("https://github.example.com:443/api/v3/repos", True),
        ("http://github.example.com/api/v3/repos", False),
        ("https://github.example.com:8443/api/v3/repos", False),
        ("https://github.example.com@elsewhere.example/", False),
    ],
)
def test_an_origin_is_the_same_however_it_is_written(address: str, is_own: bool) -> None:
    assert Transport("https://GitHub.Example.com/api/v3", TOKEN).is_own(address) is is_own


def test_graphql_is_beside_rest_on_an_enterprise_server(
    fake: FakeGitHub, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    transport = Transport(fake.url, TOKEN)
    fake.troubles = [Trouble("POST", "^/api/graphql$", 200, body={"data": {"viewer": None}})]

    found = GitHub(f"{fake.url}/api/v3", transport, waits.append).query("{ viewer }", {})

    transport.close()
    assert found == {"viewer": None}


@pytest.mark.parametrize("name", ["", "acme", "acme/..", "acme/a/b", "acme/a?b", "acme/a\n"])
def test_an_invalid_repository_name_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", name)

    with pytest.raises(SetupInvalid, match="not the name of a repository"):
        repository_path()
