"""The operator's console: one method for each thing an operator does, for a prompt, a notebook or a script.

Each method runs the command of its name in this process: what that prints is printed, what it found is
returned. So no output and no rule is defined twice.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from reconciler.cli.arguments import as_text
from reconciler.cli.options import Settings
from reconciler.errors import Refused

if TYPE_CHECKING:
    from reconciler.database.categories import Categorized
    from reconciler.database.status import Status

Names = str | Iterable[str]
Number = int | float | Decimal | str


class Then(TypedDict, total=False):
    """What is to be done with the file once it is edited; by default nothing."""

    commit: bool
    push: bool
    apply: bool
    reason: str
    """The commit's message."""


class RolloutConsole:
    """The rollout in an operator's hands.

    Each method prints what the command of the same name prints and returns its data. Methods that edit
    (`set_rollout`, `add_to_whitelist`, …) change the rollout file and nothing live, unless `apply=True`;
    `commit=True` and `push=True` carry the file into git, with `reason` as the message. Methods that act
    (`emergency_stop`, `rollback_to_percentage`, `resume`) take effect at once, and are then committed.

    Raises of every method:
        ReconcilerError: what the command would say on stderr, as one line.
        ValueError: an argument is wrong.

    Example:
        from reconciler import RolloutConsole
        rollout = RolloutConsole(file="rollout.yaml")
        rollout.status()
        rollout.set_rollout(25, commit=True, reason="Take small ones in")
        rollout.emergency_stop("capture jobs time out")
    """

    def __init__(
        self,
        database_url: str | None = None,
        file: str | None = None,
        feature: str | None = None,
    ) -> None:
        """Open a console; nothing is read or connected to until a method is called.

        Args:
            database_url: The database; None for DATABASE_URL, else the embedded one beside the file.
            file: The rollout file; None for ROLLOUT_FILE, else rollout.yaml.
            feature: The feature that is meant; needed only where there are several.
        """
        self._settings = Settings(database_url=database_url, feature=feature)
        if file is not None:
            self._settings.file = file
        self._returned: Any = None

    def __repr__(self) -> str:
        settings = self._settings
        return f"RolloutConsole(file={settings.file!r}, feature={settings.feature!r})"

    def status(self) -> "Status":
        """The rollout on one screen: strategy, percentage, override, who is in, what was applied."""
        found: Status = self._run("status")
        return found

    def stats(self) -> dict[str, Any]:
        """How far it has come: how many repositories there are, are eligible and active; their jobs."""
        return self._run_for_data("stats")

    def categories(self) -> dict[str, Any]:
        """Count, stars, contributors, pull requests and mean activity of each category."""
        return self._run_for_data("categories")

    def check_health(self) -> dict[str, Any]:
        """Judge by the errors of jobs, and roll back what fails where the file allows it."""
        return self._run_for_data("health", "--rollback")

    def show_metrics(self) -> dict[str, Any]:
        """Jobs and errors by window of five minutes and processor, the newest first."""
        return self._run_for_data("metrics", "show")

    def history(self, limit: int = 20) -> dict[str, Any]:
        """What happened, when, by whom and why; the newest first."""
        return self._run_for_data("history", f"--limit={limit}")

    def explain(self, repository: str, at: str | int | None = None) -> dict[str, Any]:
        """Why a repository gets the feature or doesn't; `at` a generation, commit or time: as it was."""
        then = () if at is None else (f"--at={at}",)
        return self._run_for_data("explain", *then, "--", repository)

    def set_rollout(self, percentage: Number, **then: Unpack[Then]) -> dict[str, Any]:
        """Set the percentage in the file, from 0 to 100."""
        return self._run_for_data("set", *_options(then), "--", str(percentage))

    def emergency_stop(self, reason: str) -> dict[str, Any]:
        """Let nobody in, at once, until somebody resumes."""
        return self._run_for_data("stop", f"--reason={reason}")

    def resume(self, reason: str = "resumed from the console") -> dict[str, Any]:
        """Lift what limits the feature, at once: it is as the last apply's file means it."""
        return self._run_for_data("resume", f"--reason={reason}")

    def rollback_to_zero(self, reason: str = "rolled back from the console") -> dict[str, Any]:
        """Take the feature down to 0 percent, at once: the whitelist alone stays in."""
        return self.rollback_to_percentage(0, reason)

    def rollback_to_percentage(
        self, percentage: Number, reason: str = "rolled back from the console"
    ) -> dict[str, Any]:
        """Take the feature down to a percentage, at once, until somebody resumes."""
        return self._run_for_data("rollback", f"--to={percentage}", f"--reason={reason}")

    def add_to_whitelist(self, names: Names, **then: Unpack[Then]) -> dict[str, Any]:
        """Add to the whitelist in the file: `owner/name`, `owner/*` or ids."""
        return self._run_for_data("whitelist", "add", *_options(then), "--", *_listed(names))

    def remove_from_whitelist(self, names: Names, **then: Unpack[Then]) -> dict[str, Any]:
        """Remove from the whitelist in the file."""
        return self._run_for_data("whitelist", "remove", *_options(then), "--", *_listed(names))

    def show_whitelist(self) -> dict[str, Any]:
        """What is always in, as it is live."""
        return self._run_for_data("whitelist", "list")

    def categorize_all(self) -> "Categorized":
        """Categorise all repositories by their figures; say what moved."""
        done: Categorized = self._run("categorize")
        return done

    def mark_as_test(self, names: Names, **then: Unpack[Then]) -> dict[str, Any]:
        """Mark repositories as test in the file."""
        return self._run_for_data("test-repos", "add", *_options(then), "--", *_listed(names))

    def unmark_as_test(self, names: Names, **then: Unpack[Then]) -> dict[str, Any]:
        """Take repositories from those marked as test in the file."""
        return self._run_for_data("test-repos", "remove", *_options(then), "--", *_listed(names))

    def enable_auto_rollback(self, **then: Unpack[Then]) -> dict[str, Any]:
        """Say in the file that a failing feature is rolled back at once."""
        return self._run_for_data("auto-rollback", *_options(then), "on")

    def disable_auto_rollback(self, **then: Unpack[Then]) -> dict[str, Any]:
        """Say in the file that a failing feature waits for a person."""
        return self._run_for_data("auto-rollback", *_options(then), "off")

    def repositories_by_category(self, category: str) -> dict[str, Any]:
        """The repositories of a category: test, small, medium, large or enterprise."""
        return self._run_for_data("repositories", "list", f"--category={category}")

    def test_repositories(self) -> dict[str, Any]:
        """The repositories that count as test: marked so, or of the category."""
        return self._run_for_data("repositories", "list", "--test")

    def ready_repositories(self, most: int = 50) -> dict[str, Any]:
        """The next to take in, by priority and activity."""
        return self._run_for_data("repositories", "list", f"--ready={most}")

    def _has_just_returned(self, value: object) -> bool:
        """Tell whether the last method returned this, and so has printed it."""
        return value is self._returned

    def _run_for_data(self, *arguments: str) -> dict[str, Any]:
        data: dict[str, Any] = self._run(*arguments)
        return data

    def _run(self, *arguments: str) -> Any:
        from reconciler.cli.main import make_program

        settings = replace(self._settings)
        try:
            data = make_program().main(
                [as_text(each) for each in arguments],
                prog_name="reconcile",
                standalone_mode=False,
                obj=settings,
            )
        except click.ClickException as error:
            raise ValueError(error.format_message()) from None
        if settings.unprinted is not None:
            raise settings.unprinted
        if data == Refused.exit_code:
            raise Refused("the apply was refused, as shown; the file is edited")
        self._returned = data
        return data


def _options(then: Then) -> list[str]:
    if unknown := then.keys() - Then.__annotations__.keys():
        raise TypeError(
            f"unexpected {', '.join(sorted(unknown))}; there are: {', '.join(Then.__annotations__)}"
        )
    given = [f"--{name}" for name in ("commit", "push", "apply") if then.get(name)]
    reason = then.get("reason")
    return given if reason is None else [*given, f"--reason={reason}"]


def _listed(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
