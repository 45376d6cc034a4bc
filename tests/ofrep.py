"""OFREP's OpenAPI document, used to check requests and responses."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

URI = "urn:ofrep"
ONE = "/ofrep/v1/evaluate/flags/{key}"
ALL = "/ofrep/v1/evaluate/flags"


@dataclass(frozen=True)
class Protocol:
    """Return the document."""

    document: Any = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> "Protocol":
        document = yaml.safe_load((folder / "openapi.yaml").read_text(encoding="utf-8"))
        # "This schema has no `value` property", it says, but it allows one: with any value two of
        # its one-of alternatives match. Here the schema follows its description.
        no_value = document["components"]["schemas"]["codeDefaultFlag"]
        assert "has no `value` property" in no_value["description"]
        assert no_value["properties"] == {}
        no_value["not"] = {"required": ["value"]}
        return cls(document)

    def check_request(self, path: str, body: Any) -> None:
        self._check(body, "paths", path, "post", "requestBody", *_JSON)

    def check_response(self, path: str, response: httpx.Response) -> None:
        """Check that the operation has this status, and that the body has the shape for it."""
        responses = self.document["paths"][path]["post"]["responses"]
        status = str(response.status_code)
        assert status in responses, f"{path} has no {status}"
        if "content" in responses[status]:
            assert response.headers["content-type"] == "application/json"
            self._check(response.json(), "paths", path, "post", "responses", status, *_JSON)
        for header in responses[status].get("headers", {}):
            assert header in response.headers

    def _check(self, value: Any, *place: str) -> None:
        pointer = "/".join(each.replace("~", "~0").replace("/", "~1") for each in place)
        resource = DRAFT202012.create_resource(self.document)
        registry: Registry[Any] = Registry().with_resource(URI, resource)
        validator = Draft202012Validator({"$ref": f"{URI}#/{pointer}"}, registry=registry)
        errors = [error.message for error in validator.iter_errors(value)]
        assert not errors, f"{json.dumps(value)}: {errors}"


_JSON = ("content", "application/json", "schema")
