"""A statement of the paper as one object: what it says, what it needs and how it is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rfa.theory.comparison import Absent, Comparison
from rfa.theory.evidence import Evidence, Needs
from rfa.theory.terms import Terms

Evaluate = Callable[[Evidence, Terms], Comparison | Absent]


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement of the paper.

    Attributes
    ----------
    id : str
        That of the theorem, lemma or equation and, for a part or an inner step, a word behind it.
    arxiv, jmlr : str
        Its number in arXiv 2202.07626 and in JMLR 24(303).
    text : str
        What is compared, in the paper's symbols.
    needs : callable
        Evidence and terms -> what the statement needs of a run to be applicable.
    hypotheses : tuple of str
        Ids of what it assumes, in the order in which a check lists those that do not hold.
    evaluate : callable
        Evidence and terms -> what is compared, or why nothing can be.
    """

    id: str
    arxiv: str
    jmlr: str
    text: str
    needs: Callable[[Evidence, Terms], Needs]
    hypotheses: tuple[str, ...]
    evaluate: Evaluate


# Every statement by its id.
KNOWN: dict[str, Statement] = {}


def statement(
    id: str,
    arxiv: str,
    jmlr: str,
    text: str,
    *,
    needs: Callable[[Evidence, Terms], Needs],
    hypotheses: tuple[str, ...] = (),
) -> Callable[[Evaluate], Statement]:
    """Make a statement of the function that evaluates it, and enter it into KNOWN."""

    def entered(evaluate: Evaluate) -> Statement:
        if id in KNOWN:
            raise ValueError(f"there is a statement {id!r} already")
        KNOWN[id] = Statement(id, arxiv, jmlr, text, needs, hypotheses, evaluate)
        return KNOWN[id]

    return entered
