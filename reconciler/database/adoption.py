"""Adoption: the repositories that are eligible by a service's own function, and afterwards by the rollout's.

Everything runs in the transaction of the upgrade. The service's function is called inside a
savepoint that is rolled back, because the function may write.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from reconciler.database.queries import queries
from rollout_client.targeting.buckets import (
    BUCKETS_PER_PERCENT,
    Bucketing,
    bucket,
    hashtext_bucket_of,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("adoption")

_DEFAULT_FEATURE: Final = "hybrid_progressive_capture"
"""The feature that a function of one argument decides."""

_ANSWER = """
CREATE FUNCTION pg_temp.service_answer(repo_id uuid, feature text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN public.is_repository_eligible_for_rollout({arguments}) THEN 'yes' ELSE 'no' END;
EXCEPTION
    WHEN OTHERS THEN RETURN SQLERRM;
END
$$
"""


@dataclass(frozen=True, slots=True)
class AdoptedFeature:
    """The audience of one feature before and after adoption; names are sorted."""

    name: str
    before: int | None
    """None if the database has no deciding function, so the audience is unknown."""
    after: int
    gained: tuple[str, ...]
    """All eligible repositories if the audience before is unknown."""
    lost: tuple[str, ...]
    failure: str | None
    """The error of the service's function, if it failed for a repository; that one was not eligible."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """The findings of adopting a service's tables."""

    repositories: int
    bucketing: Bucketing
    features: tuple[AdoptedFeature, ...]
    notes: tuple[str, ...]

    @property
    def gains(self) -> bool:
        """Whether a repository would gain a feature by the adoption alone."""
        return any(feature.gained for feature in self.features)


@dataclass(frozen=True, slots=True)
class Before:
    """The state of a service before the migration."""

    names: Mapping[str, str]
    """Every repository's name by id."""
    features: Mapping[str, "_Answers | None"]
    bucketing: Bucketing
    notes: tuple[str, ...]
    triggers: tuple["_Trigger", ...]


@dataclass(frozen=True, slots=True)
class _Trigger:
    relation: str
    name: str
    enabling: str


@dataclass(frozen=True, slots=True)
class _Answers:
    eligible: frozenset[str]
    failure: str | None = None


def read_before(connection: "Connection") -> Before | None:
    """Return the present decisions of a service's function; None if there is no table to adopt."""
    service = connection.execute(text(_SQL["service"])).one()
    if not service.is_adopted:
        return None
    triggers = tuple(
        _Trigger(**row) for row in connection.execute(text(_SQL["triggers"])).mappings()
    )
    missing = connection.execute(text(_SQL["missing_metrics"])).scalars().all()
    notes = [f"public.repositories has no column {name}: it counts as 0" for name in missing]
    names: dict[str, str] = {}
    features: dict[str, _Answers | None] = {}
    bucketing = Bucketing.SHA256
    if service.has_tables:
        savepoint = connection.begin_nested()
        configuration_read = ""
        try:
            # The service's function is called as the service calls it, with the account's own search_path.
            connection.execute(text(_SQL["own_search_path"]))
            configuration_read = connection.execute(text(_SQL["configuration"])).scalar_one()
            names, features, bucketing = _ask(connection, service)
        except DBAPIError:
            # A table of another shape or owner; the migration refuses it with its own message.
            pass
        finally:
            savepoint.rollback()
        _set(connection, "rollout.configuration_read", configuration_read)
    _set(connection, "rollout.bucketing", bucketing.value)
    if features and service.arguments is None:
        notes.append(
            "the database has no function is_repository_eligible_for_rollout: "
            "the audience of the service's own code cannot be compared"
        )
    return Before(names, features, bucketing, tuple(notes), triggers)


def disable_triggers(connection: "Connection", before: Before) -> None:
    """Disable the service's triggers while revisions change its rows, so that each `updated_at` stays.

    Otherwise old rows of metrics would count as new ones. The first revision disables them by itself.
    """
    for each in before.triggers:
        _alter_trigger(connection, each, "DISABLE")


def enable_triggers(connection: "Connection", before: Before) -> None:
    """Enable them as they were."""
    for each in before.triggers:
        _alter_trigger(connection, each, each.enabling)


def _alter_trigger(connection: "Connection", trigger: _Trigger, words: str) -> None:
    name = connection.dialect.identifier_preparer.quote_identifier(trigger.name)
    connection.exec_driver_sql(f"ALTER TABLE {trigger.relation} {words} TRIGGER {name}")


def read_after(connection: "Connection", before: Before) -> Adoption:
    """Return how the audience of each feature changes; the migration has run in this transaction."""
    return Adoption(
        repositories=len(before.names),
        bucketing=before.bucketing,
        features=tuple(
            _compare(connection, name, answers, before.names)
            for name, answers in before.features.items()
        ),
        notes=before.notes,
    )


def _set(connection: "Connection", name: str, value: str) -> None:
    """Set a value for the migration's files, for this transaction."""
    connection.execute(text(_SQL["set"]), {"name": name, "value": value})


def _ask(
    connection: "Connection", service: Any
) -> tuple[dict[str, str], dict[str, _Answers | None], Bucketing]:
    names = {row.id: row.full_name for row in connection.execute(text(_SQL["repositories"]))}
    rows = connection.execute(text(_SQL["features"])).all()
    answers = {row.name: _answers(connection, row.name, service.arguments) for row in rows}
    hashed = {
        row.name: (percentage, answers[row.name])
        for row in rows
        if row.strategy in (None, "percentage")
        and (percentage := _percentage(row.percentage)) is not None
    }
    bucketing = _fitting_bucketing(hashed, names, prefers_hashtext=bool(service.uses_hashtext))
    return names, answers, bucketing


def _answers(connection: "Connection", feature: str, arguments: int | None) -> _Answers | None:
    if arguments is None or (arguments == 1 and feature != _DEFAULT_FEATURE):
        return None
    asked = "ask_service_of_one" if arguments == 1 else "ask_service"
    savepoint = connection.begin_nested()
    try:
        return _Answers(
            frozenset(connection.execute(text(_SQL[asked]), {"feature": feature}).scalars())
        )
    except DBAPIError:
        pass
    finally:
        savepoint.rollback()
    connection.exec_driver_sql(
        _ANSWER.format(arguments="repo_id" if arguments == 1 else "repo_id, feature").replace(
            "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
        )
    )
    rows = connection.execute(text(_SQL["answers_one_by_one"]), {"feature": feature}).all()
    return _Answers(
        frozenset(row.id for row in rows if row.answer == "yes"),
        next((row.answer for row in rows if row.answer not in ("yes", "no")), None),
    )


def _percentage(written: str | None) -> Decimal | None:
    try:
        percentage = Decimal(written or "0")
    except InvalidOperation:
        return None
    return percentage if Decimal(0) <= percentage <= Decimal(100) else None


def _fitting_bucketing(
    hashed: Mapping[str, tuple[Decimal, _Answers | None]],
    names: Mapping[str, str],
    *,
    prefers_hashtext: bool,
) -> Bucketing:
    """Return the bucketing under which fewer repositories gain; the source of the function breaks a tie."""
    gains = dict.fromkeys(Bucketing, 0)
    for feature, (percentage, answers) in hashed.items():
        # A feature that is off shows nothing about the hash.
        if answers is None or not answers.eligible:
            continue
        limit = percentage * BUCKETS_PER_PERCENT
        for identifier in names.keys() - answers.eligible:
            gains[Bucketing.SHA256] += bucket(feature, identifier) < limit
            gains[Bucketing.HASHTEXT] += hashtext_bucket_of(identifier.encode()) < limit
    preferred = Bucketing.HASHTEXT if prefers_hashtext else Bucketing.SHA256
    return min(Bucketing, key=lambda each: (gains[each], each is not preferred))


def _compare(
    connection: "Connection", feature: str, before: _Answers | None, names: Mapping[str, str]
) -> AdoptedFeature:
    found = connection.execute(text(_SQL["eligible"]), {"feature": feature}).scalars()
    after = frozenset(found)
    known = frozenset[str]() if before is None else before.eligible
    return AdoptedFeature(
        name=feature,
        before=None if before is None else len(known),
        after=len(after),
        gained=tuple(_names(after - known, names)),
        lost=tuple(_names(known - after, names)),
        failure=None if before is None else before.failure,
    )


def _names(identifiers: frozenset[str], names: Mapping[str, str]) -> Iterator[str]:
    yield from sorted(names.get(identifier, identifier) for identifier in identifiers)
