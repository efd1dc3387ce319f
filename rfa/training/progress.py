"""The progress bar of a run."""

from __future__ import annotations

import sys
import time

from rfa import _runtime

# A bar appears after DELAY seconds, and is then updated about every INTERVAL seconds.
DELAY, INTERVAL = 2.0, 0.2


def at_a_terminal() -> bool:
    """Whether stderr is a terminal; False if it is closed, None, or an object without isatty."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


class Progress:
    """The progress of a run, as a tqdm bar.

    If the bar is wanted, the run is cut into pieces of about INTERVAL seconds each, between which
    the bar is updated. Otherwise there is no bar, and the run is not cut.
    """

    def __init__(self, wanted: bool | None, steps: int) -> None:
        self.wanted = at_a_terminal() if wanted is None else wanted and sys.stderr is not None
        self.delay = DELAY if wanted is None else 0.0
        self.steps = steps
        self.piece, self.t = 1, 0
        self.begin = self.last = time.perf_counter()
        self.bar: _runtime.ProgressBar | None = None

    def next_halt(self, t: int, halt: int) -> int:
        """The last step of the next piece, at most ``halt``."""
        return min(halt, t + self.piece) if self.wanted else halt

    def show(self, t: int) -> None:
        """Show that t steps are taken, and choose the number of steps of the next piece."""
        if not self.wanted:
            return
        now = time.perf_counter()
        spent, self.last = now - self.last, now
        done, self.t = t - self.t, t
        # as many steps as fit into INTERVAL at the speed of the last piece, but at most 32 times as
        # many as it had: a short piece says little about the speed of a long one
        self.piece = max(1, int(done * min(INTERVAL / max(spent, 1e-9), 32)))
        if self.bar is None and self.last - self.begin >= self.delay:
            self.bar = _runtime.ProgressBar(total=self.steps, unit="step", initial=0, leave=False)
        if self.bar is not None:
            self.bar.show(t)

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()
