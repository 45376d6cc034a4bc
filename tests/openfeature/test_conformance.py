"""OpenFeature's own suites, run against the provider and a real database.

The suites need flags of every type, but a rollout has boolean flags only. So each of their flags is a
feature here. Where a rollout answers something else than the suite expects, the test asserts the rollout's
answer: `instead_of` has the rules, and `test_all_differences_from_openfeature_are_listed` lists every
example with a difference. The rules are:

- flags of other types: TYPE_MISMATCH and the default; evaluated as booleans they are on;
- `metadata-flag` and flags without metadata: every flag of a rollout has its rule and metrics as metadata;
- the reason CACHED: a stored answer keeps the reason of its decision.

That details cannot be changed is asserted of the provider's additions; the rest is the SDK's class.

The suites target by e-mail address, a rollout by repository. An application can map addresses to
repositories with a hook, as the one here does.
"""

import asyncio
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError
from openfeature.flag_evaluation import (
    FlagEvaluationDetails,
    FlagEvaluationOptions,
    FlagResolutionDetails,
)
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.provider import ProviderStatus
from openfeature.provider.no_op_provider import NoOpProvider
from openfeature.transaction_context import (
    ContextVarsTransactionContextPropagator,
    clear_transaction_context_propagator,
)
from pytest_bdd import given, parsers, scenarios, then, when
from pytest_bdd.feature import get_features
from pytest_bdd.parser import ScenarioTemplate

from rollout_client import RolloutClient
from rollout_client.openfeature import RolloutProvider
from tests import conformance
from tests.builders import add_repositories
from tests.database.proxy import Proxy
from tests.database.test_client import Clock, add_feature
from tests.eventually import eventually
from tests.postgres import Database

SUITES = conformance.require("openfeature")
FLAGS = json.loads((SUITES / "test-flags.json").read_text(encoding="utf-8"))
BOOLEAN_FEATURES: Mapping[str, Mapping[str, Any]] = {
    "boolean-zero-flag": {"rollout_percentage": 0},
    "boolean-disabled-flag": {"emergency_stop": True, "rollout_percentage": 100},
    "boolean-targeted-zero-flag": {
        "rollout_strategy": "whitelist",
        "excluded_repositories": ["macrosoft/*"],
    },
}
REPOSITORIES = {
    "ballmer@macrosoft.com": "macrosoft/developers",
    "ballmer@none.com": "none/developers",
}
APPLICATION = EvaluationContext("company/application")
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
METADATA = {"rule": "percentage_strategy", "percentage": 100.0}

scenarios(str(SUITES))


@dataclass(frozen=True)
class Outcome:
    """The answer of a rollout in place of the suite's expectation."""

    value: Any
    reason: str
    error_code: str | None
    variant: str | None
    metadata: Mapping[str, Any]

    def check(self, details: FlagEvaluationDetails[Any]) -> None:
        metadata = {name: each for name, each in details.flag_metadata.items() if name != "bucket"}
        found = Outcome(
            details.value, _text(details.reason), details.error_code, details.variant, metadata
        )
        assert found == self


def instead_of(scenario: str, type_: str, key: str, default: Any) -> Outcome | None:
    """Return a rollout's answer for an example of a scenario; None if it is what the suite expects."""
    if scenario.startswith("Provider "):
        return None  # the SDK's own answer, for every flag
    of_another_type = key == "context-aware" or any(
        not isinstance(each, bool) for each in FLAGS.get(key, {"variants": {}})["variants"].values()
    )
    if type_ == "boolean":
        if of_another_type or key == "metadata-flag" or scenario in _ABOUT_OTHER_THINGS:
            return Outcome(True, "STATIC", None, "on", METADATA)
    elif of_another_type and (key, type_) != ("wrong-flag", "integer"):
        return Outcome(default, "ERROR", "TYPE_MISMATCH", None, {})
    return None


_ABOUT_OTHER_THINGS = ("CACHED reason", "Returns no metadata")


def test_all_differences_from_openfeature_are_listed() -> None:
    """The examples with another assertion than the suite's expectation, and no others."""
    said_otherwise = {
        f"{Path(feature.filename).stem}: {scenario.name}: {type_} {key}"
        for feature in get_features([str(SUITES)])
        for scenario in feature.scenarios.values()
        for type_, key in _flags_of(scenario)
        if instead_of(scenario.name, type_, key, None) is not None
    }

    assert sorted(said_otherwise) == snapshot(
        [
            "evaluation: Resolves based on context: string context-aware",
            "evaluation: Resolves float details: float float-flag",
            "evaluation: Resolves float value: float float-flag",
            "evaluation: Resolves integer details: integer integer-flag",
            "evaluation: Resolves integer value: integer integer-flag",
            "evaluation: Resolves object details: object object-flag",
            "evaluation: Resolves object value: object object-flag",
            "evaluation: Resolves string details: string string-flag",
            "evaluation: Resolves string value: string string-flag",
            "evaluation_v2: Asynchronous flag evaluation: float float-flag",
            "evaluation_v2: Asynchronous flag evaluation: integer integer-flag",
            "evaluation_v2: Asynchronous flag evaluation: object object-flag",
            "evaluation_v2: Asynchronous flag evaluation: string string-flag",
            "evaluation_v2: CACHED reason: boolean boolean-flag",
            "evaluation_v2: CACHED reason: string string-flag",
            "evaluation_v2: Complete evaluation details structure: float float-flag",
            "evaluation_v2: Complete evaluation details structure: integer integer-flag",
            "evaluation_v2: Complete evaluation details structure: object object-flag",
            "evaluation_v2: Complete evaluation details structure: string string-flag",
            "evaluation_v2: DISABLED reason: float float-disabled-flag",
            "evaluation_v2: DISABLED reason: integer integer-disabled-flag",
            "evaluation_v2: DISABLED reason: object object-disabled-flag",
            "evaluation_v2: DISABLED reason: string string-disabled-flag",
            "evaluation_v2: Empty evaluation context: float float-targeted-zero-flag",
            "evaluation_v2: Empty evaluation context: integer integer-targeted-zero-flag",
            "evaluation_v2: Empty evaluation context: object object-targeted-zero-flag",
            "evaluation_v2: Empty evaluation context: string string-targeted-zero-flag",
            "evaluation_v2: Flag metadata in evaluation details: boolean metadata-flag",
            "evaluation_v2: Multiple context attributes targeting: string complex-targeted",
            "evaluation_v2: Null context values: float float-targeted-zero-flag",
            "evaluation_v2: Null context values: integer integer-targeted-zero-flag",
            "evaluation_v2: Null context values: object object-targeted-zero-flag",
            "evaluation_v2: Null context values: string string-targeted-zero-flag",
            "evaluation_v2: Resolve values: float float-flag",
            "evaluation_v2: Resolve values: integer integer-flag",
            "evaluation_v2: Resolve values: object object-flag",
            "evaluation_v2: Resolve values: string string-flag",
            "evaluation_v2: Resolves zero value with targeting using default: float float-targeted-zero-flag",
            "evaluation_v2: Resolves zero value with targeting using default: integer integer-targeted-zero-flag",
            "evaluation_v2: Resolves zero value with targeting using default: object object-targeted-zero-flag",
            "evaluation_v2: Resolves zero value with targeting using default: string string-targeted-zero-flag",
            "evaluation_v2: Resolves zero value with targeting: float float-targeted-zero-flag",
            "evaluation_v2: Resolves zero value with targeting: integer integer-targeted-zero-flag",
            "evaluation_v2: Resolves zero value with targeting: object object-targeted-zero-flag",
            "evaluation_v2: Resolves zero value with targeting: string string-targeted-zero-flag",
            "evaluation_v2: Resolves zero value: float float-zero-flag",
            "evaluation_v2: Resolves zero value: integer integer-zero-flag",
            "evaluation_v2: Resolves zero value: object object-zero-flag",
            "evaluation_v2: Resolves zero value: string string-zero-flag",
            "evaluation_v2: Structure flag evaluation: object object-flag",
            "evaluation_v2: Type mismatch error: boolean string-flag",
            "evaluation_v2: Variant field population: float float-flag",
            "evaluation_v2: Variant field population: integer integer-flag",
            "evaluation_v2: Variant field population: object object-flag",
            "evaluation_v2: Variant field population: string string-flag",
            "hooks: Type error: boolean wrong-flag",
            "metadata: Returns metadata: boolean metadata-flag",
            "metadata: Returns no metadata: boolean boolean-flag",
            "metadata: Returns no metadata: float float-flag",
            "metadata: Returns no metadata: integer integer-flag",
            "metadata: Returns no metadata: string string-flag",
        ]
    )


def _flags_of(scenario: ScenarioTemplate) -> Iterator[tuple[str, str]]:
    """Return the flags of the examples, and the types with which they are evaluated."""
    contexts = [each for examples in scenario.examples for each in examples.as_contexts()]
    for context in contexts or [{}]:
        for step in scenario.render(context).steps:
            found = re.search(r'(\w+)[- ]flag with key "([^"]*)"(?:.* as an (\w+))?', step.name)
            if found is not None:
                type_ = found[3] or {"a": "string"}.get(found[1], found[1])
                yield type_.lower(), found[2]


class RetrievingProvider(RolloutProvider):
    """Returns the context of the evaluation."""

    context: EvaluationContext | None = None

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        self.context = evaluation_context
        return super().resolve_boolean_details(flag_key, default_value, evaluation_context)


class KnowsWhose(Hook):
    """Returns the repository of an e-mail address, as an application would."""

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext | None:
        email = hook_context.evaluation_context.attributes.get("email")
        repository = REPOSITORIES.get(email) if isinstance(email, str) else None
        if repository is None:
            return None
        return EvaluationContext(attributes={"repository": repository})


class Adds(Hook):
    """Adds to the context."""

    def __init__(self, context: EvaluationContext) -> None:
        self._context = context

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext:
        return self._context


class Notes(Hook):
    """Records each call with its arguments."""

    def __init__(self, notes: list[tuple["Notes", str, Any]]) -> None:
        self.notes = notes

    def before(self, hook_context: HookContext, hints: HookHints) -> None:
        self.notes.append((self, "before", None))

    def after(
        self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: HookHints
    ) -> None:
        self.notes.append((self, "after", details))

    def error(self, hook_context: HookContext, exception: Exception, hints: HookHints) -> None:
        self.notes.append((self, "error", exception))

    def finally_after(
        self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: HookHints
    ) -> None:
        self.notes.append((self, "finally", details))


@dataclass
class World:
    """The state of one scenario."""

    scenario: str
    provider: RetrievingProvider
    proxy: Proxy
    client: OpenFeatureClient
    at_end: ExitStack
    type: str = "boolean"
    key: str = "boolean-flag"
    default: Any = False
    attributes: dict[str, Any] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)
    notes: list[tuple[Notes, str, Any]] = field(default_factory=list)
    details: FlagEvaluationDetails[Any] | None = None

    @property
    def context(self) -> EvaluationContext:
        return EvaluationContext(attributes=self.attributes)

    def name_flag(self, type_: str, key: str, default: str) -> None:
        self.type, self.key, self.default = type_.lower(), key, parse(type_.lower(), default)

    def evaluate(self) -> None:
        ask = getattr(self.client, f"get_{self.type}_details")
        options = FlagEvaluationOptions(hooks=self.hooks)
        self.details = ask(self.key, self.default, self.context, options)

    def check(self, expected: Callable[[FlagEvaluationDetails[Any]], bool]) -> None:
        """The suite's expectation holds, or the rollout's own answer."""
        assert self.details is not None
        instead = instead_of(self.scenario, self.type, self.key, self.default)
        if instead is None:
            assert expected(self.details), self.details
        else:
            instead.check(self.details)


def parse(type_: str, text: str) -> Any:
    match type_:
        case "boolean":
            return {"true": True, "false": False}[text]
        case "integer":
            return int(text)
        case "float":
            return float(text)
        case "object":
            return json.loads(text.replace('\\"', '"'))
    return text


def _text(each: Any) -> str:
    return "null" if each is None else str(each)


@pytest.fixture(scope="module")
def proxy(module_database: Database) -> Iterator[Proxy]:
    add_repositories(module_database, "company/application", *REPOSITORIES.values())
    for flag in ("context-aware", *FLAGS):
        configuration = BOOLEAN_FEATURES.get(flag, {"rollout_percentage": 100})
        add_feature(module_database, flag, **configuration)
    with Proxy(module_database) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def provider(module_database: Database, proxy: Proxy) -> Iterator[RetrievingProvider]:
    provider = RetrievingProvider(RolloutClient(module_database.url))
    api.set_provider_and_wait(provider, "stable")
    yield provider
    api.shutdown()
    api.clear_providers()


@pytest.fixture
def world(
    request: pytest.FixtureRequest, provider: RetrievingProvider, proxy: Proxy
) -> Iterator[World]:
    scenario = request.function.__doc__.partition(": ")[2]
    api.set_evaluation_context(APPLICATION)
    api.set_transaction_context_propagator(ContextVarsTransactionContextPropagator())
    api.set_transaction_context(EvaluationContext())
    with ExitStack() as at_end:
        yield World(scenario, provider, proxy, api.get_client("stable"), at_end)
    api.set_provider_and_wait(NoOpProvider(), "state")
    api.set_evaluation_context(EvaluationContext())
    clear_transaction_context_propagator()


# Providers


@given("a stable provider")
@given("a stable provider with retrievable context is registered")
def stable(world: World) -> None:
    world.client.add_hooks([KnowsWhose()])


@given(parsers.re("a (?P<status>not ready|error|fatal|stale) provider"))
def provider_in_a_state(world: World, status: str) -> None:
    clock = Clock()
    url, start_timeout = NO_DATABASE, timedelta(milliseconds=20)
    if status == "not ready":
        silent = world.at_end.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        start_timeout = timedelta(seconds=30)
    elif status == "stale":
        url, start_timeout = world.proxy.url, timedelta(seconds=30)
    provider = RolloutProvider(RolloutClient(url, start_timeout=start_timeout, clock=clock))
    if status == "not ready":
        api.set_provider(provider, "state")
        # The silence ends before the provider; otherwise the provider would wait for its
        # connections.
        silence = world.at_end.pop_all()
        world.at_end.callback(provider.shutdown)
        world.at_end.push(silence)
    else:
        if status == "fatal":
            provider.shutdown()
        with suppress(OpenFeatureError):
            api.set_provider_and_wait(provider, "state")
        world.at_end.callback(provider.shutdown)
    world.client = api.get_client("state")
    if status == "stale":
        world.proxy.is_up = False
        world.at_end.callback(setattr, world.proxy, "is_up", True)
        world.proxy.cut()
        clock.now += 301
        eventually(lambda: world.client.get_provider_status() is ProviderStatus.STALE)


@then(parsers.parse('the provider status should be "{status}"'))
def provider_status(world: World, status: str) -> None:
    assert world.client.get_provider_status().value == status


# Flags and contexts


@given(
    parsers.re(
        r'an? (?P<type_>\w+)-flag with key "(?P<key>[^"]*)" and a fallback value "(?P<default>.*)"'
    )
)
def flag(world: World, type_: str, key: str, default: str) -> None:
    world.name_flag(type_, key, default)


@given(
    parsers.parse(
        'a context containing a key "{key}", with type "{type_}" and with value "{value}"'
    )
)
def context_has(world: World, key: str, type_: str, value: str) -> None:
    world.attributes[key] = parse(type_.lower(), value)


@given(parsers.parse('a context containing a key "{key}" with null value'))
def context_has_null(world: World, key: str) -> None:
    world.attributes[key] = None


@given("an evaluation context with modifiable data")
def context_that_can_be_changed(world: World) -> None:
    world.attributes["plan"] = {"name": "free"}


# Evaluations


@when("the flag was evaluated with details")
@when("the flag was evaluated with details using the evaluation options")
@when("Some flag was evaluated")
def evaluate(world: World) -> None:
    world.evaluate()


@when("the flag was evaluated with details asynchronously")
def evaluate_asynchronously(world: World) -> None:
    ask = getattr(world.client, f"get_{world.type}_details_async")
    evaluation = ask(world.key, world.default, world.context)
    with pytest.raises(StopIteration) as ended:
        evaluation.send(None)
    world.details = ended.value.value
    assert asyncio.run(ask(world.key, world.default, world.context)) == world.details


@then("the evaluation should complete without blocking")
def completed(world: World) -> None:
    # It ended without yielding to the loop once.
    assert world.details is not None


@then(parsers.re('the resolved details value should be "(?P<value>.*)"'))
def details_value(world: World, value: str) -> None:
    world.check(lambda details: details.value == parse(world.type, value))


@then(parsers.re('the reason should be "(?P<reason>[^"]*)"'))
def details_reason(world: World, reason: str) -> None:
    world.check(lambda details: details.reason == reason)


@then(parsers.re('the variant should be "(?P<variant>[^"]*)"'))
def details_variant(world: World, variant: str) -> None:
    world.check(lambda details: details.variant == variant)


@then(parsers.re('the error-code should be "(?P<code>[^"]*)"'))
def details_error_code(world: World, code: str) -> None:
    world.check(lambda details: details.error_code == code)


@then(parsers.re('the flag key should be "(?P<key>[^"]*)"'))
def details_flag_key(world: World, key: str) -> None:
    assert world.details is not None
    assert world.details.flag_key == key


@then("the resolved metadata should contain")
def details_metadata(world: World, datatable: Sequence[Sequence[str]]) -> None:
    expected = {key: parse(type_.lower(), value) for key, type_, value in datatable[1:]}
    world.check(lambda details: details.flag_metadata == expected)


@then("the resolved metadata is empty")
def details_metadata_empty(world: World) -> None:
    world.check(lambda details: details.flag_metadata == {})


@then("the original evaluation context should remain unmodified")
def context_unmodified(world: World) -> None:
    assert world.attributes == {"plan": {"name": "free"}}


@then("the evaluation details should be immutable")
def details_immutable(world: World) -> None:
    """What the provider adds to them; the SDK's own class can be changed."""
    assert world.details is not None
    with pytest.raises(TypeError):
        world.details.flag_metadata["rule"] = "another"  # type: ignore[index]


# Hooks


@given("a client with added hook")
def client_with_hook(world: World) -> None:
    world.client.add_hooks([Notes(world.notes)])


@given("evaluation options containing specific hooks")
def options_with_hooks(world: World) -> None:
    world.hooks = [Notes(world.notes), Notes(world.notes)]


@then(parsers.parse('the "{stage}" hook should have been executed'))
def hook_executed(world: World, stage: str) -> None:
    instead = instead_of(world.scenario, world.type, world.key, world.default)
    if stage == "error" and instead is not None and instead.error_code is None:
        stage = "after"
    assert stage in [each for _, each, _ in world.notes]


@then(parsers.parse('the "{stages}" hooks should be called with evaluation details'))
def hooks_called_with(world: World, stages: str, datatable: Sequence[Sequence[str]]) -> None:
    for stage in stages.split(", "):
        [details] = [each for _, called, each in world.notes if called == stage]
        assert details == world.details
    for type_, key, value in datatable[1:]:

        def holds(
            details: FlagEvaluationDetails[Any],
            type_: str = type_,
            key: str = key,
            value: str = value,
        ) -> bool:
            found = getattr(details, key)
            return bool(
                _text(found) == value if type_ == "string" else found == parse(type_, value)
            )

        world.check(holds)


@then("the specified hooks should execute during evaluation")
def specified_hooks_executed(world: World) -> None:
    assert {hook for hook, _, _ in world.notes} == set(world.hooks)


@then("the hook order should be maintained")
def hook_order(world: World) -> None:
    first, second = world.hooks
    assert [(hook, stage) for hook, stage, _ in world.notes] == [
        (first, "before"),
        (second, "before"),
        (second, "after"),
        (first, "after"),
        (second, "finally"),
        (first, "finally"),
    ]


# Merging contexts


def add_entry(world: World, level: str, key: str, value: str) -> None:
    context = EvaluationContext(attributes={key: value})
    match level:
        case "API":
            api.set_evaluation_context(APPLICATION.merge(context))
        case "Transaction":
            api.set_transaction_context(context)
        case "Client":
            world.client.context = context
        case "Invocation":
            world.attributes[key] = value
        case "Before Hooks":
            world.client.add_hooks([Adds(context)])


@given(
    parsers.parse(
        'A context entry with key "{key}" and value "{value}" is added to the "{level}" level'
    )
)
def context_entry(world: World, key: str, value: str, level: str) -> None:
    add_entry(world, level, key, value)


@given("A table with levels of increasing precedence", target_fixture="levels")
def levels_of_precedence(datatable: Sequence[Sequence[str]]) -> list[str]:
    return [level for [level] in datatable]


@given(
    parsers.parse(
        "Context entries for each level from API level down to the"
        ' "{level}" level, with key "{key}" and value "{value}"'
    )
)
def context_entries(world: World, levels: list[str], level: str, key: str, value: str) -> None:
    for each in levels[: levels.index(level) + 1]:
        add_entry(world, each, key, each)
    assert value == level


@then(parsers.parse('The merged context contains an entry with key "{key}" and value "{value}"'))
def merged_context(world: World, key: str, value: str) -> None:
    assert world.provider.context is not None
    assert world.provider.context.attributes[key] == value
    assert world.provider.context.targeting_key == APPLICATION.targeting_key


# The first suite, which the others replace


@when(
    parsers.re(
        r'an? (?P<type_>boolean|string|integer|float) flag with key "(?P<key>[^"]*)" is evaluated'
        r' with (?:details and )?default value "?(?P<default>[^"]*)"?'
    )
)
@when(
    parsers.re(
        r'a non-existent (?P<type_>string) flag with key "(?P<key>[^"]*)" is evaluated'
        r' with details and a fallback value "(?P<default>[^"]*)"'
    )
)
def evaluate_flag(world: World, type_: str, key: str, default: str) -> None:
    world.name_flag(type_, key, default)
    world.evaluate()


@when(
    parsers.re(
        r'an object flag with key "(?P<key>[^"]*)" is evaluated'
        r" with (?:details and )?a null default value"
    )
)
def evaluate_object(world: World, key: str) -> None:
    evaluate_flag(world, "object", key, "null")


@when(
    parsers.parse(
        'a string flag with key "{key}" is evaluated as an integer,'
        " with details and a fallback value {default}"
    )
)
def evaluate_as_integer(world: World, key: str, default: str) -> None:
    evaluate_flag(world, "integer", key, default)


@when(parsers.re('context contains keys "fn", "ln", "age", "customer" with values .*'))
def context_of_a_person(world: World) -> None:
    world.attributes |= {"fn": "Sulisław", "ln": "Świętopełk", "age": 29, "customer": "false"}


@when(parsers.parse('a flag with key "{key}" is evaluated with default value "{default}"'))
def evaluate_string(world: World, key: str, default: str) -> None:
    evaluate_flag(world, "string", key, default)


@then(
    parsers.re(
        r"the resolved (?P<type_>boolean|string|integer|float) (?:details )?(?:value|response)"
        r' should be "?(?P<value>[^",]*)"?'
    )
)
def resolved_value(world: World, type_: str, value: str) -> None:
    world.check(lambda details: details.value == parse(type_, value))


@then(
    parsers.re(
        r'the resolved \w+ details value should be "?(?P<value>[^",]*)"?,'
        r' the variant should be "(?P<variant>\w+)", and the reason should be "(?P<reason>\w+)"'
    )
)
def resolved_details(world: World, value: str, variant: str, reason: str) -> None:
    expected = (parse(world.type, value), variant, reason)
    world.check(lambda details: (details.value, details.variant, details.reason) == expected)


@then(parsers.re("the resolved object (details )?value should be contain fields .*"))
@then(parsers.re('the variant should be "template", and the reason should be "STATIC"'))
def resolved_object(world: World) -> None:
    world.check(lambda _: False)


@then(parsers.parse('the resolved flag value is "{value}" when the context is empty'))
def resolved_without_context(world: World, value: str) -> None:
    world.attributes.clear()
    world.evaluate()
    resolved_value(world, "string", value)


@then(parsers.re(r"the default (string|integer) value should be returned"))
def resolved_default(world: World) -> None:
    world.check(lambda details: details.value == world.default)


@then(
    parsers.re(
        "the reason should indicate an error and the error code should indicate"
        ' .* with "(?P<code>[A-Z_]+)"'
    )
)
def resolved_error(world: World, code: str) -> None:
    world.check(lambda details: (details.reason, details.error_code) == ("ERROR", code))
