"""`deploy/`: valid files, commands and options that the program has, probes that mean something."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import jsonschema
import kubernetes_validate
import pytest
import yaml

from reconciler.cli.main import make_program
from tests.postgres import PROJECT

DEPLOY = PROJECT / "deploy"
COMPOSE = DEPLOY / "compose.yml"
NEWEST = kubernetes_validate.latest_version()
"""Of Kubernetes."""
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yml"))


def documents(path: Path) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all(path.read_text("utf-8"))


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pod of a manifest, and its one container."""
    for document in documents(path):
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            return pod, container
    raise AssertionError(f"{path} has no Deployment")


def services() -> dict[str, dict[str, Any]]:
    """Return the services of the Compose file."""
    (document,) = documents(COMPOSE)
    found: dict[str, dict[str, Any]] = document["services"]
    return found


def rest_of(arguments: list[str]) -> list[str]:
    """Return the arguments that the named command does not know as options."""
    name, *options = arguments
    program = make_program()
    context = click.Context(program)
    command = program.get_command(context, name)
    assert command is not None
    _, rest, _ = command.make_parser(context).parse_args(options)
    return rest


def test_each_process_has_a_manifest_and_a_service() -> None:
    assert (
        [path.stem for path in MANIFESTS] == sorted(services()) == ["dashboard", "serve", "watch"]
    )


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_is_valid_by_the_schema_of_kubernetes(path: Path) -> None:
    for document in documents(path):
        kubernetes_validate.validate(document, NEWEST, strict=True)


def test_the_compose_file_is_valid_by_its_schema() -> None:
    schemas = files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text("utf-8"))
    (document,) = documents(COMPOSE)

    jsonschema.validate(document, schema)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_runs_a_command_with_options_that_it_has(path: Path) -> None:
    _, container = read(path)

    assert rest_of(container["args"]) == []


@pytest.mark.parametrize("name", services())
def test_a_service_runs_a_command_with_options_that_it_has(name: str) -> None:
    service = services()[name]

    assert service["command"][0] == name
    assert rest_of(service["command"]) == []


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_needs_no_right_of_the_cluster_or_of_root(path: Path) -> None:
    pod, container = read(path)

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_liveness_is_the_process_and_readiness_what_it_knows(path: Path) -> None:
    _, container = read(path)

    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("name", services())
def test_a_service_is_healthy_while_it_is_ready(name: str) -> None:
    service = services()[name]
    (listen,) = (each for each in service["command"] if each.startswith("--listen="))

    assert f":{listen.rpartition(':')[2]}/readyz" in service["healthcheck"]["test"][-1]
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_the_database_url_comes_from_a_secret(path: Path) -> None:
    _, container = read(path)
    (variable,) = (each for each in container["env"] if each["name"] == "DATABASE_URL")

    assert "secretKeyRef" in variable["valueFrom"]
