"""The answers about a feature are those of its state, whatever the feature, its lists and the environment."""

from decimal import Decimal
from itertools import product
from types import MappingProxyType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_client.answers import Answers
from rollout_client.reads import Feature
from rollout_client.repositories import Page, Repositories
from rollout_client.state import State
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Repository, Targeting
from rollout_client.targeting.environment import NO_OVERRIDE, EnvironmentOverride
from rollout_client.targeting.strategy import Strategy

IDS = [UUID(int=number * 2**64 + number) for number in range(1, 31)]
NAMES = [f"{'Acme' if number % 2 else 'other'}/site-{number}" for number in range(1, 31)]
REPOSITORIES = Repositories(
    MappingProxyType(
        {
            0: Page(
                b"",
                b"".join(each.bytes for each in IDS),
                bytes(number % 5 + 8 * (number % 2) for number in range(30)),
                b"\0".join(each.encode() for each in NAMES),
            )
        }
    ),
    has_categories=True,
)

keys = st.frozensets(
    st.sampled_from(["acme/*", "acme/site-1", "other/site-2", str(IDS[2]), str(IDS[3]), "x/y"])
)
ids_only = st.frozensets(st.sampled_from([str(each) for each in IDS[:5]]))
targetings = st.builds(
    Targeting,
    active=st.sampled_from([True, True, False]),
    emergency_stop=st.sampled_from([False, False, True]),
    strategy=st.sampled_from(Strategy),
    percentage=st.sampled_from([Decimal(each) for each in (0, "0.01", 33, 50, 100)]),
    salt=st.sampled_from(["f", "salt"]),
    bucketing=st.sampled_from(Bucketing),
    whitelist=keys | ids_only,
    exclusions=keys | ids_only,
)
environments = st.sampled_from(
    [{}, {"ROLLOUT_EMERGENCY_STOP": "f"}, {"ROLLOUT_PERCENTAGE": "20"}, {"ROLLOUT_PERCENTAGE": "?"}]
).map(EnvironmentOverride.parse)


def state_of(
    newest: Targeting,
    whole: Targeting | None = None,
    environment: EnvironmentOverride = NO_OVERRIDE,
) -> State:
    """A state whose two moments have the same version of the feature, unless `whole` is given."""
    feature = Feature(newest, "1", 0.0)
    return State(
        newest={"f": feature},
        whole={"f": feature if whole is None else Feature(whole, "0", 0.0)},
        repositories=REPOSITORIES,
        environment=environment,
    )


@given(targetings, st.none() | targetings, environments)
def test_each_answer_is_the_one_of_the_state_by_id_and_by_name(
    newest: Targeting, whole: Targeting | None, environment: EnvironmentOverride
) -> None:
    state = state_of(newest, whole, environment)
    answers = Answers(state, "f")

    for id_, name in zip(IDS, NAMES, strict=True):
        expected = state.is_eligible(REPOSITORIES.find(id_), "f")
        for asked in (id_, str(id_), str(id_).upper(), name, name.lower()):
            assert answers[asked] is expected
            assert answers[asked] is state.explain(REPOSITORIES.find(asked), "f").eligible


@pytest.mark.parametrize(
    ("variable", "value", "number"),
    [
        ("ROLLOUT_EMERGENCY_STOP", "F", 0),
        ("ROLLOUT_EMERGENCY_STOP", "true", 0),
        ("ROLLOUT_EMERGENCY_STOP", "other", 30),
        ("ROLLOUT_PERCENTAGE", "20", 7),
        ("ROLLOUT_PERCENTAGE", "?", 0),
    ],
)
def test_an_answer_by_percentage_heeds_the_environment(
    variable: str, value: str, number: int
) -> None:
    everyone = Targeting(
        active=True,
        emergency_stop=False,
        strategy=Strategy.PERCENTAGE,
        percentage=Decimal(100),
        salt="f",
    )
    state = state_of(everyone, environment=EnvironmentOverride.parse({variable: value}))
    answers = Answers(state, "f")

    eligible = [each for each in IDS if answers[each]]
    assert eligible == [each for each in IDS if state.is_eligible(REPOSITORIES.find(each), "f")]
    assert len(eligible) == number


@given(targetings, environments)
def test_an_unknown_repository_has_a_no_only_if_a_known_one_would(
    targeting: Targeting, environment: EnvironmentOverride
) -> None:
    state = state_of(targeting, environment=environment)
    answers = Answers(state, "f")

    for number in (7, 8, 9):
        id_ = UUID(int=number)
        for asked in (id_, str(id_), str(id_).upper()):
            if not _has_an_answer(answers, asked):
                assert asked not in answers
                continue
            assert answers[asked] is False
            for category, name in product(Category, ("", "acme/site-1", "other/site-2", "x/y")):
                known = Repository(str(id_), name, category, marked_as_test=True)
                assert not state.is_eligible(known, "f")


@given(targetings, environments)
def test_a_text_that_is_no_known_name_or_id_never_has_a_yes(
    targeting: Targeting, environment: EnvironmentOverride
) -> None:
    answers = Answers(state_of(targeting, environment=environment), "f")

    for asked in ("acme/none", "acme", "", "\ud800", "\ud800/x", "acme/*", "-" * 36):
        assert not _has_an_answer(answers, asked) or answers[asked] is False


def _has_an_answer(answers: Answers, asked: str | UUID) -> bool:
    try:
        answers[asked]
    except KeyError:
        return False
    return True


def test_an_answer_is_kept_as_it_was_asked_for() -> None:
    by_name = Targeting(
        active=True,
        emergency_stop=False,
        strategy=Strategy.WHITELIST,
        percentage=Decimal(0),
        salt="f",
        whitelist=frozenset({"acme/*"}),
    )
    answers = Answers(state_of(by_name), "f")

    assert answers["Acme/site-1"] is True
    assert answers[IDS[1]] is False
    assert dict(answers) == {"Acme/site-1": True, IDS[1]: False}
