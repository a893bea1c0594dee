"""An event loop whose clock is set forward whenever nothing is left to do: minutes of waiting take milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Waits for nothing: what it would have waited for is added to the time, and a moment for each round of the loop.

    Without that moment a timer that is due within the clock's resolution would be set again and again.
    """

    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        self.skipped += 1e-7 + (timeout if timeout and not found else 0.0)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop. Its time begins at 0 and knows only the sleeps."""

    def __init__(self) -> None:
        self._waits = _Selector()
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.skipped

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, function: Callable[..., Any], *given: Any
    ) -> asyncio.Future[Any]:
        """Work in a thread takes no time: the clock would be set forward while it is under way."""
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(function, *given)
        return asyncio.wrap_future(done, loop=self)

    def blocked(self, seconds: float) -> None:
        """Let so much time pass at once, as code does that does not give the loop back."""
        self._waits.skipped += seconds


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run in a loop of virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        end(loop)


def end(loop: VirtualLoop) -> None:
    """Cancel what still runs in the loop, and close it."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
