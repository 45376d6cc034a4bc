"""The provider: what OpenFeature's SDK asks when a service asks for a flag.

Every feature is a boolean flag; it is of no other type. A decision reads memory alone, so the asynchronous
forms are the plain ones. Events come from a thread of the provider's own.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import (
    ErrorCode,
    FlagNotFoundError,
    ProviderFatalError,
    ProviderNotReadyError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from reconciler.client.client import RolloutClient
from reconciler.client.fork import register, renewed
from reconciler.openfeature.evaluation import EvaluationRefused, evaluate, repository_named

NAME: Final = "rollout-reconciler"
_LOOK_EVERY_SECONDS: Final = 0.25
_STOP_TIMEOUT_SECONDS: Final = 5.0


class RolloutProvider(AbstractProvider):
    """Evaluates flags by a client, which it starts with itself, and closes.

    The context's targeting key, or its attribute `repository`, names the repository by id or `owner/name`.
    An error gives the caller's default; whoever wants no yes without the rollout's word has False there.

    Events: `PROVIDER_STALE` where the database has not confirmed what is known for `max_staleness`,
    `PROVIDER_READY` when it does again, `PROVIDER_CONFIGURATION_CHANGED` with the features whose answers may
    be others now. A forked child decides on, and has no events.
    """

    def __init__(self, client: RolloutClient) -> None:
        super().__init__()
        self.client = client
        self._before = client.on_change
        client.on_change = self._note_change
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        register(self)

    def get_metadata(self) -> Metadata:
        return Metadata(NAME)

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Start the client, and wait for its first load for as long as it is made to.

        Raises:
            ProviderFatalError: It was shut down before: a closed client doesn't start again.
            ProviderNotReadyError: Nothing, or nothing fresh, is known; it goes on trying.
        """
        if self._stopping.is_set():
            raise ProviderFatalError("the provider was shut down; make a new one")
        self.client.__enter__()
        status = self.client.status()
        with self._lock:
            self._changed.clear()
        if self._watcher is None:
            self._watcher = threading.Thread(
                target=self._watch, args=(not status.is_stale,), name="rollout-events", daemon=True
            )
            self._watcher.start()
        if status.is_stale:
            raise ProviderNotReadyError(status.failure or "the database was not read in time")

    def begin_again(self) -> None:
        """In a forked child: with locks of its own, since whoever holds the parent's is not there."""
        self._lock = threading.Lock()
        self._wake = renewed(self._wake)
        self._stopping = renewed(self._stopping)

    def shutdown(self) -> None:
        """Close the client; outcomes that wait are written."""
        self._stopping.set()
        self._wake.set()
        self.client.on_change = self._before
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
            OpenFeatureError: There is no such feature, no repository is named, or nothing is known yet.
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
        if self._before is not None:
            self._before(features)

    def _watch(self, is_ready: bool) -> None:  # noqa: FBT001 - what the SDK tells by itself
        # The SDK tells how `initialize` ended after it has.
        self._stopping.wait(_LOOK_EVERY_SECONDS)
        # When the process ends, the SDK takes no more events.
        with suppress(RuntimeError):
            while not self._stopping.is_set():
                is_ready = self._tell(was_ready=is_ready)
                self._wake.wait(_LOOK_EVERY_SECONDS)
                self._wake.clear()

    def _tell(self, *, was_ready: bool) -> bool:
        status = self.client.status()
        if was_ready and status.is_stale:
            self.emit_provider_stale(ProviderEventDetails(message=status.failure))
        elif not was_ready and not status.is_stale:
            self.emit_provider_ready(ProviderEventDetails())
        with self._lock:
            changed, self._changed = sorted(self._changed), set()
        if changed:
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=changed))
        return not status.is_stale
