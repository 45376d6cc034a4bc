"""The clock of a client: if the system has it, the one that also runs while the machine sleeps.

Data becomes stale then too.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

CLOCK: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)
