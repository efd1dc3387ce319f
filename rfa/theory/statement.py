"""A statement as one object: what it says, what it assumes and how it is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rfa import _validate
from rfa.setting import DELTA
from rfa.theory.comparison import Absent, Comparison
from rfa.theory.evidence import Evidence, Uses
from rfa.theory.hypotheses import HYPOTHESES
from rfa.theory.terms import Terms

# The probability that a statement claims, as a function of delta. None: it is never false where
# its needs are met. "none": it claims nothing.
Probability = Callable[[float], float] | str | None

# What the record of a trial has beside statements; rfa.studies.checks makes it.
RECORDED = ("trial", "status", "delta", "assumptions_met", "good_run")


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement of one's own, to be checked beside those of the paper.

    Parameters
    ----------
    id : str
        A Python identifier that neither a statement of the paper nor a hypothesis has, and that is
        not an entry of a study's records ("trial", "status", "delta", "assumptions_met",
        "good_run").
    text : str
        One line that says what is compared, such as "norm_F(W_T) <= 1".
    evaluate : callable
        ``evaluate(run, *, delta, C0, rng)``, with the arguments of :func:`rfa.theory.check`; rng is
        a ``numpy.random.Generator`` of this statement's own. It returns a dict or, if the statement
        is not applicable to the run, a str that says why. The dict has

        - ``value``, ``bound``: float, or None if there is nothing to compare (then the verdict is
          "no case" without a value, and "no claim" without a bound);
        - ``relation``: ">=", "<=" or "<", how value has to compare with bound;
        - optionally ``tolerance``, ``where``, ``constant``, ``constant_used``,
          ``literal_constant``, ``empirical_constant``, ``details`` and ``why``, as in
          :class:`rfa.theory.Check`;
        - optionally ``verdict``: "no case", "no claim" or "undecided" if the comparison is not to
          decide; "trivial" if it is true whatever the value.
    numbers : tuple of str
        Its numbers in arXiv 2202.07626 and in JMLR 24(303), or elsewhere.
    needs : sequence of str
        What it assumes: ids of hypotheses (:data:`rfa.theory.HYPOTHESES`), of statements of the
        paper, or of other Statements of the same call. A statement that is needed is met where it
        is true of the run: its verdict is "holds", "true", "trivial" or "no case". Only where all
        needs are met the verdict is "holds" or "FAILS", and only such trials of a study count.
    probability : callable, None or "none"
        The probability that it claims, as a function of delta: at most 1, and checked at
        delta = 0.1. None if it claims never to be false; "none" if it claims nothing.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import rfa
    >>> def norm(run, *, delta, C0, rng):
    ...     return {"value": np.linalg.norm(run.network.W), "bound": 1.0, "relation": "<="}
    >>> mine = Statement("my_norm", "norm_F(W) <= 1 at the end", norm)
    >>> run = rfa.preset("theorem").run(rng=0)
    >>> rfa.theory.check(run, statements=[mine])["my_norm"].verdict
    'holds'
    """

    id: str
    text: str
    evaluate: Callable[..., Mapping[str, Any] | str]
    numbers: tuple[str, str] = ("", "")
    needs: tuple[str, ...] = ()
    probability: Probability = None

    def __post_init__(self) -> None:
        _validate.instance(self.id, "id", str, "an identifier")
        if not self.id.isidentifier():
            raise ValueError(f"id must be a Python identifier, got {_validate.shown(self.id)}")
        for taken, what in (
            (KNOWN, "the paper's statements have"),
            (HYPOTHESES, "the hypotheses have"),
            (RECORDED, "the records of a study have"),
        ):
            if self.id in taken:
                raise ValueError(f"id must be new: {what} {self.id!r} already")
        _validate.instance(self.text, "text", str, "a line of text")
        if not self.text or self.text.splitlines() != [self.text]:
            raise ValueError(f"text must be one line, got {_validate.shown(self.text)}")
        if not callable(self.evaluate):
            raise TypeError(f"evaluate must be a function, got {_validate.shown(self.evaluate)}")
        numbers = _validate.entries(self.numbers, "numbers", 2)
        if len(numbers) != 2 or not all(isinstance(number, str) for number in numbers):
            raise ValueError(f"numbers must be two texts, got {_validate.shown(self.numbers)}")
        needs = _validate.entries(self.needs, "needs", 1000)
        for need in needs:
            _validate.instance(need, "needs", str, "ids of hypotheses or statements")
        known = self.probability is None or isinstance(self.probability, str)
        if not (callable(self.probability) or (known and self.probability in (None, "none"))):
            shown = _validate.shown(self.probability)
            raise TypeError(f"probability must be a function of delta, None or 'none', got {shown}")
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "needs", needs)
        claimed(self, DELTA)


def claimed(statement: Statement | PaperStatement, delta: float) -> float | str | None:
    """The probability that a statement claims at this delta, or what stands in its place."""
    if not callable(statement.probability):
        return statement.probability
    try:
        found = _validate.real(statement.probability(delta), "it")
    except Exception as error:
        raise ValueError(
            f"probability of statement {statement.id!r} must be a number at delta = {delta:g}, "
            f"got {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if found > 1:
        raise ValueError(
            f"probability of statement {statement.id!r} must be at most 1, at delta = {delta:g} "
            f"got {found:g}"
        )
    return found


Compare = Callable[[Evidence, Terms], Comparison | Absent]


@dataclass(frozen=True, eq=False)
class PaperStatement:
    """A statement of the paper, which shares evidence with the others.

    Attributes
    ----------
    id : str
        That of the theorem, lemma or equation and, for a part or an inner step, a word behind it.
    numbers : tuple of str
        Its number in arXiv 2202.07626 and in JMLR 24(303).
    text : str
        What is compared, in the paper's symbols.
    unit : str
        In what unit value and bound are; empty if they are the sides as written.
    uses : callable
        Evidence and terms -> what the statement uses of a run, without which it is not applicable.
    needs : tuple of str
        Ids of the hypotheses that it assumes, in the order in which a check lists those unmet.
    premises : tuple of str
        Ids of the hypotheses after its own "if". Where one is unmet, it claims nothing.
    probability : callable, None or "none"
        As in :class:`Statement`.
    refutable : bool
        Whether a study can bear on it. It cannot where the paper asks for a C that is large enough.
    inner : bool
        Whether it is an inner step of a proof, or a part of another statement.
    compare : callable
        Evidence and terms -> what is compared, or why nothing can be.
    """

    id: str
    numbers: tuple[str, str]
    text: str
    unit: str
    uses: Callable[[Evidence, Terms], Uses]
    needs: tuple[str, ...]
    premises: tuple[str, ...]
    probability: Probability
    refutable: bool
    inner: bool
    compare: Compare


# Every statement of the paper by its id.
KNOWN: dict[str, PaperStatement] = {}


def statement(
    id: str,
    arxiv: str,
    jmlr: str,
    text: str,
    *,
    uses: Callable[[Evidence, Terms], Uses],
    unit: str = "",
    needs: tuple[str, ...] = (),
    premises: tuple[str, ...] = (),
    probability: Probability = None,
    refutable: bool = True,
    inner: bool = False,
) -> Callable[[Compare], PaperStatement]:
    """Make a statement of the function that evaluates it, and enter it into KNOWN."""

    def entered(compare: Compare) -> PaperStatement:
        if id in KNOWN:
            raise ValueError(f"there is a statement {id!r} already")
        KNOWN[id] = PaperStatement(
            id,
            (arxiv, jmlr),
            text,
            unit,
            uses,
            needs,
            premises,
            probability,
            refutable,
            inner,
            compare,
        )
        return KNOWN[id]

    return entered


def one_minus(times: int) -> Callable[[float], float]:
    """The probability 1 - times * delta."""
    return lambda delta: 1 - times * delta
