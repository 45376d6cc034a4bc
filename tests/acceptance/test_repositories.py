"""Filling a stand-alone database from a file: with all repositories or none."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from tests.site import Completed, Site

ID = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"


def load(site: Site, name: str, text: str) -> Completed:
    (site.folder / name).write_text(text, encoding="utf-8")
    return site.reconcile("repositories", "load", name)


def known(site: Site) -> list[dict[str, object]]:
    return site.database.rows(
        "SELECT full_name, owner, name, github_id, stargazers_count AS stars,"
        " contributors_count AS contributors, pull_requests_count AS pull_requests"
        " FROM repositories ORDER BY full_name"
    )


TOOLS = {
    "full_name": "acme/tools",
    "owner": "acme",
    "name": "tools",
    "github_id": 7,
    "stars": 1,
    "contributors": 2,
    "pull_requests": 3,
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "r.csv",
            f"full_name,id,github_id,stars,contributors,pull_requests\nacme/tools,{ID},7,1,2,3\n",
        ),
        (
            "r.tsv",
            f"full_name\tid\tgithub_id\tstars\tcontributors\tpull_requests\nacme/tools\t{ID}\t7\t1\t2\t3\n",
        ),
        (
            "r.jsonl",
            json.dumps(
                {
                    "full_name": "acme/tools",
                    "id": ID,
                    "github_id": 7,
                    "stars": 1,
                    "contributors": 2,
                    "pull_requests": 3,
                }
            )
            + "\n\n",
        ),
    ],
)
def test_each_format_loads_the_same(site: Site, name: str, text: str) -> None:
    done = load(site, name, text)

    assert done.stdout == f"{name}: 1 repository, 1 added, 0 updated, 0 unchanged\n"
    assert known(site) == [TOOLS]
    assert site.database.value("SELECT id FROM repositories") == UUID(ID)


def test_a_second_load_updates_rows_and_deletes_none(site: Site) -> None:
    load(
        site,
        "r.csv",
        "full_name,github_id,stars,contributors,pull_requests\nacme/tools,7,1,2,3\na/b,8,0,0,0\n",
    )

    again = load(site, "r.csv", "full_name,stars\nAcme/Tools,100\na/b,0\nnew/one,5\n")

    assert again.stdout == "r.csv: 3 repositories, 1 added, 1 updated, 1 unchanged\n"
    assert known(site)[0] == {
        **TOOLS,
        "full_name": "Acme/Tools",
        "owner": "Acme",
        "name": "Tools",
        "stars": 100,
    }


def test_a_rename_is_followed_by_github_id_and_names_may_swap(site: Site) -> None:
    load(site, "r.csv", "full_name,github_id\na/one,1\na/two,2\na/three,3\n")
    before = {
        row["github_id"]: row["id"]
        for row in site.database.rows("SELECT github_id, id FROM repositories")
    }

    done = load(site, "r.csv", "full_name,github_id\na/two,1\na/one,2\nb/moved,3\n")

    assert done.exit_code == 0, done.stderr
    after = site.database.rows(
        "SELECT github_id, id, full_name FROM repositories ORDER BY github_id"
    )
    assert [(row["github_id"], row["full_name"]) for row in after] == [
        (1, "a/two"),
        (2, "a/one"),
        (3, "b/moved"),
    ]
    assert {row["github_id"]: row["id"] for row in after} == before


def test_every_wrong_row_is_reported_and_no_row_is_loaded(site: Site) -> None:
    done = load(
        site,
        "r.csv",
        "full_name,id,github_id,stars\n"
        "good/one,,,1\n"
        "no-slash,,,1\n"
        "a/b,not-a-uuid,,1\n"
        "a/c,,x,1\n"
        "a/d,,,-1\n"
        "a/e,,,99999999999\n"
        "a/f,,\n"
        "a/\x07,,,1\n",
    )

    assert done.exit_code == 1
    assert [line.split(": ", 1)[0] for line in done.stderr.splitlines()] == [
        f"r.csv:{line}:1" for line in (3, 4, 5, 6, 7, 8, 9)
    ]
    assert "\x07" not in done.stderr
    assert known(site) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.csv", "name,stars\na/b,1\n", "r.csv:1:1: unknown column 'name'"),
        ("r.csv", "stars\n1\n", "r.csv:1:1: the column full_name is missing"),
        ("r.csv", "full_name,full_name\na/b,a/b\n", "r.csv:1:1: a column is there twice"),
        ("r.csv", 'full_name\n"a/b\n', "it cannot be read"),
        ("r.jsonl", "[1]\n", "r.jsonl:1:1: this is not a JSON object"),
        ("r.jsonl", "{\n", "r.jsonl:1:1: this is not JSON"),
        ("r.txt", "a/b\n", "name the file .csv, .tsv or .jsonl"),
        ("r.csv", "full_name\na/b\nA/B\n", "this row has the same name as line 2"),
    ],
)
def test_an_unreadable_file_gets_the_next_step(
    site: Site, name: str, text: str, message: str
) -> None:
    done = load(site, name, text)

    assert done.exit_code == 1
    assert message in done.stderr
    assert known(site) == []


def test_two_rows_of_one_repository_are_refused(site: Site) -> None:
    load(site, "r.csv", "full_name,github_id\na/one,1\n")

    done = load(site, "r.csv", "full_name,github_id\na/one,\nb/other,1\n")

    assert (done.exit_code, done.stderr) == (
        1,
        "r.csv:3:1: this row is the same repository as line 2; remove one of the two\n",
    )


def test_a_name_of_another_repository_is_refused(site: Site) -> None:
    load(site, "r.csv", "full_name,github_id\na/one,1\n")

    done = load(site, "r.csv", "full_name,github_id\na/one,2\n")

    assert done.exit_code == 1
    assert "r.csv:2:1: a/one is the name of another repository" in done.stderr
    assert site.database.value("SELECT github_id FROM repositories") == 1


def test_a_table_of_a_host_application_is_not_changed(site: Site) -> None:
    site.database.execute("ALTER TABLE repositories DROP COLUMN pull_requests_count CASCADE")

    done = load(site, "r.csv", "full_name\na/one\n")

    assert done.exit_code == 1
    assert "belongs to a service" in done.stderr


def test_missing_and_unreadable_files_are_one_line(site: Site) -> None:
    missing = site.reconcile("repositories", "load", "nowhere.csv")
    Path(site.folder / "latin.csv").write_bytes(b"full_name\na/\xff\n")
    latin = site.reconcile("repositories", "load", "latin.csv")

    assert missing.stderr == "error: nowhere.csv cannot be read: No such file or directory\n"
    assert latin.stderr == "error: latin.csv is not UTF-8 (byte 12); save it as UTF-8\n"


def test_list_filters_by_category_owner_test_and_eligibility(site: Site) -> None:
    load(
        site,
        "r.csv",
        "full_name,stars,contributors,pull_requests\n"
        "acme/tiny,0,0,0\nacme/small,10,1,1\nother/big,9000,500,20000\n",
    )
    site.write(
        "version: 1\nfeatures:\n  x: {whitelist: [other/big]}\ntest_repositories: [acme/small]\n"
    )
    site.reconcile()

    def names(*arguments: str) -> list[str]:
        done = site.reconcile("repositories", "list", "--format", "json", *arguments)
        return [each["full_name"] for each in json.loads(done.stdout)["repositories"]]

    assert names() == ["acme/small", "acme/tiny", "other/big"]
    assert names("--category", "enterprise") == ["other/big"]
    assert names("--owner", "ACME") == ["acme/small", "acme/tiny"]
    assert names("--test") == ["acme/small", "acme/tiny"]
    assert names("--eligible") == ["other/big"]
    assert names("--limit", "1") == ["acme/small"]
