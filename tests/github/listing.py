"""The small GitHub's answers about repositories by owner (GraphQL) and by id."""

from collections.abc import Mapping
from typing import Any

TOO_LARGE = -1
"""In place of a number of contributors: GitHub does not list them."""

PAGE = 100
_ASKED = (
    "databaseId",
    "nameWithOwner",
    "stargazerCount",
    "pushedAt",
    "pullRequests { totalCount }",
)


def query(repositories: Mapping[int, Mapping[str, Any]], body: Any, page: int) -> Any:
    """Answer the one query that the program sends: an owner's repositories by name."""
    asked, variables = body["query"], body["variables"]
    for part in (*_ASKED, "first: 100, after: $after", "pageInfo { hasNextPage endCursor }"):
        assert part in asked, f"the query lacks {part}"
    kind = "organization" if "organization(login: $login)" in asked else "user"
    login = variables["login"]
    owned = sorted(
        (each["full_name"].lower(), number, each)
        for number, each in repositories.items()
        if each["full_name"].lower().startswith(f"{login.lower()}/")
        and each.get("kind", "organization") == kind
    )
    if not owned:
        message = f"Could not resolve to a {kind} with the login of '{login}'."
        return {
            "data": {"owner": None},
            "errors": [{"type": "NOT_FOUND", "path": ["owner"], "message": message}],
        }
    first = int(variables["after"] or 0)
    some = owned[first : first + page]
    found = {
        "totalCount": len(owned),
        "pageInfo": {"hasNextPage": first + page < len(owned), "endCursor": str(first + page)},
        "nodes": [_node(number, each) for _, number, each in some],
    }
    return {"data": {"owner": {"repositories": found}}}


def contributors(repositories: Mapping[int, Mapping[str, Any]], path: str) -> tuple[int, Any]:
    """Return the status and the contributors of the repository at a path."""
    name = path.removeprefix("/repos/").removesuffix("/contributors").lower()
    found = next(
        (each for each in repositories.values() if each["full_name"].lower() == name), None
    )
    match found and found.get("contributors", 1):
        case None:
            return 404, {"message": "Not Found"}
        case -1:
            return 403, {"message": "The history or contributor list is too large to list them."}
        case 0:
            return 204, None
        case int(number):
            people = [
                {"login": f"p{each}", "id": each, "contributions": 1} for each in range(number)
            ]
            return 200, [{**each, "type": "User"} for each in people]
    raise AssertionError(found)


def _node(number: int, repository: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "databaseId": number,
        "nameWithOwner": repository["full_name"],
        "stargazerCount": repository.get("stars", 0),
        "pushedAt": repository.get("pushed_at", "2026-01-01T00:00:00Z"),
        "pullRequests": {"totalCount": repository.get("pulls", 0)},
    }
