"""Figures in one style, which is safe for colour-blind readers and readable in grey.

Each function draws into ``ax`` and returns it. Without ``ax`` it makes a new figure, which is
``returned.figure``. Where figures can be shown (a window, a notebook) the new figure belongs to
pyplot, so that ``plt.show()`` shows it. Elsewhere it does not, so that a program may draw any
number of figures; ``returned.figure.savefig(path)`` writes it.

:func:`style` sets the size: that of a column of a paper, or that of a slide.
"""

from rfa.plot.boundary import MAX_RESOLUTION, decision_boundary
from rfa.plot.bounds import assumptions
from rfa.plot.curves import history, overfitting
from rfa.plot.features import alignment, amplification
from rfa.plot.forest import proportions
from rfa.plot.paths import neurons
from rfa.plot.styles import NEGATIVE, POSITIVE, style

__all__ = [
    "MAX_RESOLUTION",
    "NEGATIVE",
    "POSITIVE",
    "alignment",
    "amplification",
    "assumptions",
    "decision_boundary",
    "history",
    "neurons",
    "overfitting",
    "proportions",
    "style",
]
