"""The operator's console: one method for each operator task, for a prompt, a notebook or a script.

Each method does and prints the same as the command of its name, and returns the data.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from reconciler.cli.edit_command import Afterwards, exit_code
from reconciler.cli.options import Settings
from reconciler.cli.output import can_ask, guarded_streams
from reconciler.cli.types import as_text
from reconciler.errors import Refused

if TYPE_CHECKING:
    from reconciler.database.categories import Categorized
    from reconciler.database.status import Status

Names = str | Iterable[str]
Number = int | float | Decimal | str
Data = TypeVar("Data")


class Then(TypedDict, total=False):
    """What to do with the edited file; by default nothing."""

    commit: bool
    push: bool
    apply: bool
    reason: str
    """The commit's message."""


class WrongName(AttributeError):
    """The console has no method of this name; the message has the nearest one."""


class RolloutConsole:
    """The rollout, with one method for each operator task.

    Each method prints the output of the command of the same name and returns the data. Methods that
    edit (`set_rollout`, `add_to_whitelist`, …) change the rollout file and nothing live, unless
    `apply=True`; `commit=True` and `push=True` commit and push the file, with `reason` as the
    message. Methods that act (`emergency_stop`, `rollback_to_percentage`, `resume`) take effect at
    once, and are then committed.

    Raises of every method:
        ReconcilerError: the error of the command, as one line.
        ValueError: an argument is wrong.

    Example:
        from reconciler import RolloutConsole
        rollout = RolloutConsole(file="rollout.yaml")
        rollout.status()
        rollout.set_rollout(25, commit=True, reason="Add small repositories")
        rollout.emergency_stop("capture jobs time out")
    """

    def __init__(
        self,
        database_url: str | None = None,
        file: str | None = None,
        feature: str | None = None,
    ) -> None:
        """Open a console; a method reads the file and connects when it is called.

        Args:
            database_url: The database; None for DATABASE_URL, else the embedded one beside the
            file.
            file: The rollout file; None for ROLLOUT_FILE, else rollout.yaml.
            feature: The feature; required only if there are several.
        """
        self._settings = Settings(database_url=database_url, feature=feature)
        if file is not None:
            self._settings.file = file
        self._returned: Any = None

    def __repr__(self) -> str:
        settings = self._settings
        return f"RolloutConsole(file={settings.file!r}, feature={settings.feature!r})"

    def __getattr__(self, name: str) -> Any:
        """Raise `WrongName` with the nearest method: `setRollout` is `set_rollout` here."""
        methods = [each for each in dir(type(self)) if not each.startswith("_")]
        snake = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        # `setRolloutPercentage` begins as `set_rollout` does, and has more letters of another method.
        beginnings = [each for each in methods if snake.startswith(each)]
        near = sorted(beginnings, key=len)[-1:] or get_close_matches(snake, methods, n=1)
        hint = f"the method is called rollout.{near[0]}() here" if near else "see help(rollout)"
        raise WrongName(f"there is no rollout.{name}; {hint}", name=name, obj=self)

    def status(self) -> "Status":
        """Show each feature on one screen: strategy, percentage, eligible repositories, limits."""
        from reconciler.cli.commands.status import run

        return self._run(run)

    def stats(self) -> dict[str, Any]:
        """Show participation: the number of all, eligible and active repositories, and their jobs."""
        from reconciler.cli.commands.stats import run

        return self._run(run)

    def categories(self) -> dict[str, Any]:
        """Show repositories, stars, contributors, pull requests and mean activity of each category."""
        from reconciler.cli.commands.categories import run

        return self._run(run)

    def check_health(self) -> dict[str, Any]:
        """Judge by the errors of jobs, and roll back a failing feature if the file allows it."""
        from reconciler.cli.commands.health import as_json, check_and_roll_back
        from reconciler.cli.metrics_source import choose_metrics_source

        return self._run(
            lambda settings: as_json(check_and_roll_back(settings, choose_metrics_source()))
        )

    def show_metrics(self) -> dict[str, Any]:
        """Show jobs and errors by window of five minutes and processor, the newest first."""
        from reconciler.cli.commands.metrics import show_windows

        return self._run(show_windows)

    def history(self, limit: int = 20) -> dict[str, Any]:
        """Show the audit trail: each change with its time, author and reason; the newest first."""
        from reconciler.cli.commands.history import run

        return self._run(lambda settings: run(settings, limit=_positive(limit)))

    def explain(self, repository: str, at: str | int | None = None) -> dict[str, Any]:
        """Show whether a repository has the feature, and why; `at`: a generation, commit or time."""
        from reconciler.cli.commands.explain import run
        from reconciler.cli.types import MomentType

        def explain(settings: Settings) -> dict[str, Any]:
            moment = None if at is None else MomentType().convert(str(at), None, None)
            return run(settings, as_text(repository), moment)

        return self._run(explain)

    def set_rollout(self, percentage: Number, **then: Unpack[Then]) -> dict[str, Any]:
        """Set the percentage in the file, from 0 to 100."""
        from reconciler.cli.commands.set import run

        return self._edit(then, lambda settings, done: run(settings, str(percentage), done))

    def emergency_stop(self, reason: str | None = None) -> dict[str, Any]:
        """Stop the feature for all repositories, at once, until it is resumed."""
        from reconciler.cli.commands.stop import run

        return self._run(lambda settings: run(settings, _reason(reason)))

    def resume(self, reason: str | None = "resumed from the console") -> dict[str, Any]:
        """Remove all limits of the feature at once; the last applied file is in force again."""
        from reconciler.cli.commands.resume import run

        return self._run(lambda settings: run(settings, _reason(reason)))

    def rollback_to_zero(
        self, reason: str | None = "rolled back from the console"
    ) -> dict[str, Any]:
        """Lower the percentage to 0, at once; the whitelist stays eligible."""
        return self.rollback_to_percentage(0, reason)

    def rollback_to_percentage(
        self, percentage: Number, reason: str | None = "rolled back from the console"
    ) -> dict[str, Any]:
        """Lower the percentage, at once, until the feature is resumed."""
        from reconciler.cli.commands.rollback import run
        from reconciler.cli.types import Percentage

        def roll_back(settings: Settings) -> dict[str, Any]:
            return run(settings, Percentage().convert(str(percentage), None, None), _reason(reason))

        return self._run(roll_back)

    def add_to_whitelist(self, names: Names, **then: Unpack[Then]) -> dict[str, Any]:
        """Add to the whitelist in the file: `owner/name`, `owner/*` or ids."""
        return self._edit(then, _added("whitelist", names))

    def remove_from_whitelist(self, names: Names, **then: Unpack[Then]) -> dict[str, Any]:
        """Remove from the whitelist in the file."""
        return self._edit(then, _removed("whitelist", names))

    def show_whitelist(self) -> dict[str, Any]:
        """Show the live whitelist."""
        from reconciler.cli.list_command import show_entries

        return self._run(lambda settings: show_entries(settings, "whitelist"))

    def categorize_all(self) -> "Categorized":
        """Categorise all repositories by size; print the changes."""
        from reconciler.cli.commands.categorize import run

        return self._run(run)

    def mark_as_test(self, names: Names, **then: Unpack[Then]) -> dict[str, Any]:
        """Mark repositories as test in the file."""
        return self._edit(then, _added("test_repositories", names))

    def unmark_as_test(self, names: Names, **then: Unpack[Then]) -> dict[str, Any]:
        """Remove repositories from those marked as test in the file."""
        return self._edit(then, _removed("test_repositories", names))

    def enable_auto_rollback(self, **then: Unpack[Then]) -> dict[str, Any]:
        """Turn automatic rollback of a failing feature on, in the file."""
        from reconciler.cli.commands.auto_rollback import run

        return self._edit(then, lambda settings, done: run(settings, done, is_on=True))

    def disable_auto_rollback(self, **then: Unpack[Then]) -> dict[str, Any]:
        """Turn automatic rollback of a failing feature off, in the file."""
        from reconciler.cli.commands.auto_rollback import run

        return self._edit(then, lambda settings, done: run(settings, done, is_on=False))

    def repositories_by_category(self, category: str) -> dict[str, Any]:
        """List the repositories of a category: test, small, medium, large or enterprise."""
        from reconciler.cli.commands.repositories import show_list
        from reconciler.cli.types import Name
        from rollout_client.targeting.categories import Category

        def show(settings: Settings) -> dict[str, Any]:
            chosen = Name(Category).convert(category, None, None)
            return show_list(settings, category=Category(chosen))

        return self._run(show)

    def test_repositories(self) -> dict[str, Any]:
        """List the repositories that count as test: marked as test, or of that category."""
        from reconciler.cli.commands.repositories import show_list

        return self._run(lambda settings: show_list(settings, only_test=True))

    def ready_repositories(self, most: int = 50) -> dict[str, Any]:
        """List the next repositories to make eligible, by priority and activity."""
        from reconciler.cli.commands.repositories import show_ready

        return self._run(lambda settings: show_ready(settings, _positive(most)))

    def _has_just_returned(self, value: object) -> bool:
        """Return whether the last method returned this value, and so has printed it."""
        return value is self._returned

    def _edit(
        self, then: Then, edit: Callable[[Settings, Afterwards], dict[str, Any]]
    ) -> dict[str, Any]:
        if unknown := then.keys() - Then.__annotations__.keys():
            raise TypeError(
                f"unexpected {', '.join(sorted(unknown))}; "
                f"there are: {', '.join(Then.__annotations__)}"
            )
        done = self._run(lambda settings: edit(settings, Afterwards.make(**then)))
        if exit_code(done):
            raise Refused("the apply was refused, as shown; the file is edited")
        return done

    def _run(self, run: Callable[[Settings], Data]) -> Data:
        import click

        try:
            with guarded_streams() as stdout:
                data = run(replace(self._settings))
        except click.ClickException as error:
            raise ValueError(error.format_message()) from None
        if stdout.failure is not None:
            raise stdout.failure
        self._returned = data
        return data


def _added(key: str, names: Names) -> Callable[[Settings, Afterwards], dict[str, Any]]:
    from reconciler.cli.list_command import add_entries, distinct

    return lambda settings, done: add_entries(settings, key, distinct(_listed(names)), done)


def _removed(key: str, names: Names) -> Callable[[Settings, Afterwards], dict[str, Any]]:
    from reconciler.cli.list_command import distinct, remove_entries

    return lambda settings, done: remove_entries(settings, key, distinct(_listed(names)), done)


def _listed(names: Names) -> list[str]:
    return [as_text(each) for each in ([names] if isinstance(names, str) else names)]


def _reason(reason: str | None) -> str | None:
    """Return the reason; None if a terminal can ask for it."""
    if reason is not None:
        return as_text(reason)
    return None if can_ask() else "no reason given"


def _positive(most: int) -> int:
    if most < 1:
        raise ValueError(f"{most} is less than 1")
    return most
