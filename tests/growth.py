"""How the time of some work grows with the size of what it is given: ratios, which a slow machine does not change."""

from __future__ import annotations

import time
from collections.abc import Callable

NOTICED = 0.03
"""CPU seconds: what takes less may grow as it likes."""


def assert_linear(work: Callable[[int], object], size: int) -> None:
    """Four times the size takes about four times as long, not sixteen times.

    Measured in CPU time of this thread, at the best of three times. What never ends is ended by the time limit of
    each test.
    """

    def seconds(size: int) -> float:
        took = []
        for _ in range(3):
            began = time.thread_time()
            work(size)
            took.append(time.thread_time() - began)
        return min(took)

    assert seconds(size) < max(NOTICED, 8 * seconds(size // 4))
