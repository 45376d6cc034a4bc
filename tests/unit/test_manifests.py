"""The manifests for a cluster: commands and options that the program has, and no needless right."""

from typing import Any

import click
import pytest
import yaml

from reconciler.cli.main import make_program
from tests.postgres import PROJECT

MANIFESTS = sorted((PROJECT / "examples" / "kubernetes").glob("*.yml"))


def read(path: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pod of a manifest, and its one container."""
    for document in yaml.safe_load_all(path.read_text("utf-8")):
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            return pod, container
    raise AssertionError(f"{path} has no Deployment")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_runs_a_command_with_options_that_it_has(path: Any) -> None:
    _, container = read(path)
    name, *options = container["args"]
    program = make_program()
    context = click.Context(program)
    command = program.get_command(context, name)

    assert command is not None
    _, rest, _ = command.make_parser(context).parse_args(options)
    assert rest == []


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_needs_no_right_of_the_cluster_or_of_root(path: Any) -> None:
    pod, container = read(path)

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_the_database_url_comes_from_a_secret(path: Any) -> None:
    _, container = read(path)
    (variable,) = (each for each in container["env"] if each["name"] == "DATABASE_URL")

    assert "secretKeyRef" in variable["valueFrom"]
