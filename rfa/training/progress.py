"""The progress bar of a run."""

from __future__ import annotations

import sys
import time

from rfa import _runtime

# Progress is shown for runs that last longer than DELAY, in pieces of about INTERVAL seconds.
DELAY, INTERVAL = 2.0, 0.2


def at_a_terminal() -> bool:
    """Whether somebody can see stderr, which may be closed, absent or of another kind."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


class Progress:
    """A tqdm bar, made only if it will be shown.

    Then alone the run is cut in pieces, of about INTERVAL seconds each.
    """

    def __init__(self, wanted: bool | None, steps: int) -> None:
        self.wanted = at_a_terminal() if wanted is None else wanted and sys.stderr is not None
        self.delay = DELAY if wanted is None else 0.0
        self.steps = steps
        self.piece, self.t = 1, 0
        self.begin = self.last = time.perf_counter()
        self.bar: _runtime.ProgressBar | None = None

    def next_halt(self, t: int, halt: int) -> int:
        """The step up to which to go before the bar is shown again."""
        return min(halt, t + self.piece) if self.wanted else halt

    def show(self, t: int) -> None:
        """Show that t steps are taken, and choose the length of the next piece."""
        if not self.wanted:
            return
        now = time.perf_counter()
        spent, self.last = now - self.last, now
        done, self.t = t - self.t, t
        # so many as INTERVAL is enough for, by what few steps took not far more than these
        self.piece = max(1, int(done * min(INTERVAL / max(spent, 1e-9), 32)))
        if self.bar is None and self.last - self.begin >= self.delay:
            self.bar = _runtime.ProgressBar(total=self.steps, unit="step", initial=0, leave=False)
        if self.bar is not None:
            self.bar.show(t)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
