"""The provider: it answers OpenFeature's SDK when a service evaluates a flag.

Every feature is a boolean flag, and has no other type. A decision reads memory only, so the
asynchronous forms call the plain ones. Events come from the provider's own thread.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.exception import (
    ErrorCode,
    FlagNotFoundError,
    ProviderFatalError,
    ProviderNotReadyError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.hook import Hook
from openfeature.provider import AbstractProvider, FeatureProvider, Metadata

from rollout_client import fork
from rollout_client.client import RolloutClient
from rollout_client.openfeature.evaluation import EvaluationRefused, evaluate, repository_named
from rollout_client.threads import Wake

_LOG = logging.getLogger("reconciler.client")

NAME: Final = "rollout-reconciler"
_LOOK_EVERY_SECONDS: Final = 0.25
_STOP_TIMEOUT_SECONDS: Final = 5.0


class RolloutProvider(AbstractProvider):
    """Evaluates flags with a client, which it starts and closes.

    The context's targeting key, or its attribute `repository`, names the repository by id or
    `owner/name`. An error gives the caller's default: with False as the default, no flag is on
    without the rollout.

    Events: `PROVIDER_STALE` if the database has not confirmed the data for `max_staleness`,
    `PROVIDER_READY` when it does again, `PROVIDER_CONFIGURATION_CHANGED` with the features whose
    answers may have changed. A forked child has its own events, `PROVIDER_READY` first.
    """

    def __init__(self, client: RolloutClient) -> None:
        super().__init__()
        self.client = client
        client.subscribe(self._note_change)
        # Reentrant: a signal handler may open a circuit, which is a change.
        self._lock = threading.RLock()
        self._changed: set[str] = set()
        self._wake = Wake()
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._is_set = False
        fork.register(self)

    def get_metadata(self) -> Metadata:
        return Metadata(NAME)

    def get_provider_hooks(self) -> list[Hook]:
        """Return no hooks. The SDK asks for them before it checks whether the provider is ready."""
        fork.check()
        return super().get_provider_hooks()

    def attach(
        self,
        on_emit: Callable[[FeatureProvider, ProviderEvent, ProviderEventDetails], None],
    ) -> None:
        """Emit events to the SDK, which calls this before it starts a thread for `initialize`."""
        super().attach(on_emit)
        # A fork may come before that thread runs; the child has no such thread.
        self._is_set = True

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Start the client, and wait for its first load for up to its `start_timeout`.

        Raises:
            ProviderFatalError: It was shut down before: a closed client does not start again.
            ProviderNotReadyError: There is no fresh data yet; it keeps trying.
        """
        if self._stopping.is_set():
            raise ProviderFatalError("the provider was shut down; make a new one")
        self.client.__enter__()
        status = self.client.status()
        with self._lock:
            self._changed.clear()
        if self._watcher is None:
            # The SDK sets the status after this method has ended.
            self._start_watcher(is_ready=not status.is_stale, after=_LOOK_EVERY_SECONDS)
        if status.is_stale:
            raise ProviderNotReadyError(status.failure or "the database was not read in time")

    def restart_after_fork(self) -> None:
        """In a forked child: use new locks and a new thread.

        The SDK's thread that waited for `initialize` is the parent's; here the provider itself
        reports that it is ready.
        """
        self._lock = threading.RLock()
        self._wake = Wake()
        self._stopping = fork.renewed(self._stopping)
        self._watcher = None
        if self._is_set and not self._stopping.is_set():
            self._start_watcher(is_ready=False, after=0)

    begin_again = restart_after_fork
    """Its name in the first release."""

    def shutdown(self) -> None:
        """Close the client; waiting outcomes are written."""
        self._stopping.set()
        self._wake.set()
        self.client.unsubscribe(self._note_change)
        watcher = self._watcher
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join(_STOP_TIMEOUT_SECONDS)
        self.client.close()

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001 - the SDK's signature
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Return whether the context's repository gets a feature, with the reason.

        Raises:
            OpenFeatureError: There is no such feature, no repository is named, or there is no data yet.
        """
        context = evaluation_context or EvaluationContext()
        try:
            repository = repository_named(context.targeting_key, context.attributes)
            found = evaluate(self.client, flag_key, repository)
        except EvaluationRefused as error:
            raise ErrorCode.to_exception(ErrorCode(error.code), str(error)) from None
        return FlagResolutionDetails(
            value=found.value,
            reason=Reason(found.reason),
            variant=found.variant,
            flag_metadata=found.metadata,
        )

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        self._refuse_type(flag_key)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        self._refuse_type(flag_key)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        self._refuse_type(flag_key)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        self._refuse_type(flag_key)

    def _refuse_type(self, flag_key: str) -> NoReturn:
        status = self.client.status()
        if status.age is None:
            raise ProviderNotReadyError(status.failure or "nothing is known yet")
        if flag_key not in status.features:
            raise FlagNotFoundError("no feature has this name")
        raise TypeMismatchError("a feature is a boolean flag")

    def _note_change(self, features: frozenset[str]) -> None:
        with self._lock:
            self._changed |= features
        self._wake.set()

    def _start_watcher(self, *, is_ready: bool, after: float) -> None:
        watcher = threading.Thread(
            target=self._watch, args=(is_ready, after), name="rollout-events", daemon=True
        )
        watcher.start()
        self._watcher = watcher

    def _watch(self, is_ready: bool, after: float) -> None:  # noqa: FBT001 - a thread's arguments
        # The client of a child does not follow yet; a closed one does not start again.
        with suppress(RuntimeError):
            self.client.start()
        self._stopping.wait(after)
        while not self._stopping.is_set():
            is_ready = self._report(was_ready=is_ready)
            self._wake.wait(_LOOK_EVERY_SECONDS)

    def _report(self, *, was_ready: bool) -> bool:
        """Emit the changes since the last time; return whether the provider is ready now."""
        status = self.client.status()
        if was_ready and status.is_stale:
            self._emit(self.emit_provider_stale, ProviderEventDetails(message=status.failure))
        elif not was_ready and not status.is_stale:
            self._emit(self.emit_provider_ready, ProviderEventDetails())
        with self._lock:
            changed, self._changed = sorted(self._changed), set()
        if changed:
            details = ProviderEventDetails(flags_changed=changed)
            self._emit(self.emit_provider_configuration_changed, details)
        return not status.is_stale

    def _emit(
        self, emit: Callable[[ProviderEventDetails], None], details: ProviderEventDetails
    ) -> None:
        try:
            emit(details)
        except Exception:  # noqa: BLE001 - of a handler, which older SDKs call in this thread
            # At the end of the process, the SDK accepts no more events.
            if threading.main_thread().is_alive():
                _LOG.exception("a handler of provider events failed")
