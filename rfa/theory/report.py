"""Report: the checks of one run, as a text, JSON, Markdown or HTML."""

from __future__ import annotations

import html
import json
import math
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rfa import _validate
from rfa._tables import aligned, as_html, as_markdown, jsonable
from rfa.theory.hypotheses import SHARED, Unmet
from rfa.theory.needs import NEEDS
from rfa.theory.statement import KNOWN
from rfa.theory.verdict import VERDICTS, Check

# Columns of the short report: its width, and the widths of the statement's number and its text.
WIDTH, NUMBER, TEXT = 100, 15, 39

# Constants that make a bound weaker as they grow: the least one that would do is shown.
GROWING = ("C", "C of 3.2", "C1", "C2", "C3", "Cf")

SYMBOLS = (
    "y~ is the clean label, w^t a neuron after t steps, mu' the mean orthogonal to mu, J the "
    "neurons of Lemma 4.2, Jc all others, |N| the number of noisy samples, b the least y~ f^J."
)

WORDS = (
    "holds, FAILS: the paper claims this of the run, most of it with a probability, and it is so "
    "or not. true, false: the paper does not claim it of this run, and it is so or not."
)

# What the text says of the other verdicts, if they occur.
MEANINGS = {
    "no claim": 'the statement\'s own "if" is not true here',
    "trivial": "any value would do",
    "no case": "there is nothing to compare",
    "undecided": "more points would have to be drawn",
}


def shown(value: float | None) -> str:
    """A number in a table."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.4g}"


@dataclass(frozen=True, eq=False)
class Report:
    """All checks of one state of a run; prints as a table, in a terminal and in a notebook.

    Attributes
    ----------
    checks : tuple of Check
        In the order in which the statements were asked for.
    settings : dict
        ``delta``, the constants ``C0``, ``C1``, ``C2``, the horizon ``T``, ``rounded`` (whether
        1/(4 alpha) had to be rounded down to T - 1), the run's ``steps``, the ``seed`` of what is
        drawn, the ``parameters`` of the run, ``rate_points`` (on how many fresh points its eta is
        the mean of a function eta(x); 0 for a constant), the interval ``feasible_C`` that (A1)-(A7)
        leave for C, the ``clash`` of assumptions that leave none, whether the parameters meet the
        theorem's hypotheses (``assumptions_met``), the numbers of derived needs ``needs_met`` and
        ``needs``, the ``width_needed`` of Lemma 4.2 if m is smaller (None otherwise), whether it is
        a ``good_run`` (None if that cannot be said), and ``unmet``, the hypotheses of the paper's
        setting that are not met.
    beyond : tuple of Check
        What the last step gives where the run is longer than T: beyond the theorem.
    shown : tuple of str
        The ids of the paper's statements in the order in which the text shows them, without inner
        steps unless it is long. Empty if statements were selected: then all are shown, as selected.

    Examples
    --------
    >>> import rfa
    >>> report = rfa.theory.check(rfa.preset("theorem").run(rng=0), rng=0)
    >>> report["theorem_3_1_1"].holds, report["theorem_3_1_1"].verdict
    (True, 'true')
    """

    checks: tuple[Check, ...]
    settings: dict[str, Any]
    beyond: tuple[Check, ...] = ()
    shown: tuple[str, ...] = ()

    def __getitem__(self, statement: str) -> Check:
        for check in self.checks:
            if check.id == statement:
                return check
        raise KeyError(f"the report has no {statement!r}; it has {', '.join(self.ids)}")

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the checks."""
        return tuple(check.id for check in self.checks)

    @property
    def tested(self) -> tuple[Check, ...]:
        """The claims that this run tests: the verdict is "holds" or "FAILS"."""
        return tuple(check for check in self.checks if check.verdict in ("holds", "FAILS"))

    @property
    def failed(self) -> tuple[Check, ...]:
        """The tested claims that do not hold: the verdict is "FAILS"."""
        return tuple(check for check in self.checks if check.verdict == "FAILS")

    # ------------------------------------------------------------------ lines

    def heading(self) -> list[str]:
        """What the theorem has to do with this run, the constants, and at what step."""
        s = self.settings
        unmet = "; ".join(s["unmet"])
        if s["assumptions_met"] and not unmet:
            low, high = s["feasible_C"]
            first = (
                f"The theorem speaks of this run if a C in [{low:.4g}, {high:.4g}], for which "
                f'(A1)-(A7) hold at delta = {s["delta"]:g}, is "large enough". The paper leaves '
                "open how large that is."
            )
        else:
            first = f"The theorem does not speak of this run: {unmet}."
            if s["clash"]:
                first += f" (A1)-(A7) want {s['clash']}."
        if s["delta"] >= 0.25:
            first += f" Its probability 1 - 4 delta = {1 - 4 * s['delta']:g} says nothing."
        rounded = " (rounded T: 1/(4 alpha) is not an integer)" if s["rounded"] else ""
        steps = "" if s["steps"] == s["T"] else f"; the run has {s['steps']} steps"
        constants = ", ".join(f"{name} = {shown(s[name])}" for name in ("delta", "C0", "C1", "C2"))
        C0 = f"C0 = {shown(s['C0'])} in place of the paper's {shown(s['literal_C0'])}"
        good = {
            True: f"With {C0} it is a good run (Definition 4.5).",
            False: f"With {C0} it is not a good run (Definition 4.5).",
            None: "Whether it is a good run (Definition 4.5) is not known.",
        }[s["good_run"]]
        if s["needs"]:
            met = f"{s['needs_met']} of {s['needs']}"
            good += f" Of the inequalities that the proofs take for granted {met} are true"
            good += " ('rfa audit' lists these needs)."
        if s["width_needed"] is not None:
            good += (
                f" Lemma 4.2 needs m >= {math.ceil(s['width_needed'])} at this C0: what rests on a "
                "good run is not counted as a claim."
            )
        largest = " (C1 is the largest that Lemma 4.3 allows)" if s["C1"] == s["C1"] else ""
        evaluated = f"Evaluated at T = {s['T']}{rounded}{steps}; {constants}{largest}."
        points = s["rate_points"]
        if s["parameters"]:
            listed = (f"{name} = {value:.4g}" for name, value in s["parameters"].items())
            of = f" (eta is the mean of eta(x) on {points} fresh points)" if points else ""
            evaluated = f"The run has {', '.join(listed)}{of}. {evaluated}"
        return [first, evaluated, good, WORDS]

    def summary(self) -> str:
        """One line: how many claims were tested, and how many of them hold."""
        count = dict.fromkeys(VERDICTS, 0)
        for check in self.checks:
            count[check.verdict] += 1
        line = f"claims tested: {len(self.tested) or 'none'}"
        if self.failed:
            numbers = ", ".join(check.numbers[0] or check.id for check in self.failed)
            line += f", {len(self.failed)} FAILS: {numbers}"
        elif self.tested:
            line += ", all hold"
        line += f"; without their hypotheses: {count['true']} true, {count['false']} false"
        others = [f"{count[word]} {word}" for word in VERDICTS[4:] if count[word]]
        return "; ".join([line, ", ".join(others)]) if others else line

    def _ordered(self) -> list[Check]:
        """The checks as the text shows them: main results first, a user's own statements last."""
        rank = {id: place for place, id in enumerate(self.shown)}
        return sorted(self.checks, key=lambda check: rank.get(check.id, len(rank)))

    def to_text(self, long: bool = False) -> str:
        """The report as text.

        Parameters
        ----------
        long : bool, default False
            Whether to show the inner steps of the proofs, ids, numbers in the journal and where the
            extreme values are, in wider lines.

        Returns
        -------
        str

        Raises
        ------
        TypeError
            If long is not a bool.
        """
        long = _validate.flag(long, "long") or False
        heading = [line for part in self.heading() for line in textwrap.wrap(part, WIDTH)]
        if long:
            rows = [LONG, *map(_long_cells, self._ordered())]
            rows += [_long_cells(check, "beyond the theorem: ") for check in self.beyond]
            return "\n".join([*heading, "", aligned(rows), "", self.summary()])
        main = [check for check in self._ordered() if not (self.shown and _inner(check))]
        met = bool(self.settings["assumptions_met"])
        lines = [*heading, "", *_short_lines(main, met)]
        if self.beyond:
            t = self.settings["steps"]
            title = f"At t = {t} in place of T, where the theorem claims nothing, and not counted:"
            later = [check for check in self.beyond if not _inner(check)]
            lines += ["", title, "", *_short_lines(later, met)]
        seen = {check.verdict for check in self.checks}
        said = "; ".join(f"{word}: {text}" for word, text in MEANINGS.items() if word in seen)
        glossary = f"{SYMBOLS} {said}." if said else SYMBOLS
        lines += ["", *textwrap.wrap(glossary, WIDTH), ""]
        hidden = [check for check in self._ordered() if check not in main]
        if hidden:
            note = f"{len(hidden)} inner steps of the proofs are counted, and not shown (--long)"
            wrong = [c.numbers[0] for c in hidden if c.verdict in ("FAILS", "false")]
            note += f"; false among them: {', '.join(dict.fromkeys(wrong))}." if wrong else "."
            lines += textwrap.wrap(note, WIDTH)
        return "\n".join([*lines, *textwrap.wrap(self.summary(), WIDTH)])

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"Report({self.summary()})"

    def _repr_html_(self) -> str:
        heading = "<br>".join(map(html.escape, self.heading()))
        rows = as_html([LONG, *map(_long_cells, self._ordered())])
        return f"<p>{heading}</p>{rows}<p>{html.escape(self.summary())}</p>"

    def to_markdown(self) -> str:
        """The report as a Markdown table, with the inner steps.

        Returns
        -------
        str
        """
        rows = [LONG, *map(_long_cells, self._ordered())]
        rows += [_long_cells(check, "beyond the theorem: ") for check in self.beyond]
        heading = "\n\n".join(self.heading())
        return f"{heading}\n\n{as_markdown(rows)}\n{self.summary()}\n"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values.

        Returns
        -------
        dict
            ``settings``, ``checks``, ``beyond``.
        """
        return {
            "settings": jsonable(self.settings),
            "checks": [check.to_dict() for check in self.checks],
            "beyond": [check.to_dict() for check in self.beyond],
        }

    def to_json(self) -> str:
        """The report as JSON.

        Returns
        -------
        str
        """
        return json.dumps(self.to_dict(), indent=2)


# ------------------------------------------------------------------ rows


def _inner(check: Check) -> bool:
    return check.id in KNOWN and KNOWN[check.id].inner


def _text(check: Check) -> str:
    """What is compared, and in what unit."""
    unit = KNOWN[check.id].unit if check.id in KNOWN else ""
    return f"{check.text} (both sides over {unit})" if unit else check.text


def _constant(check: Check) -> str:
    """The constant that this run needs, in words."""
    name, found = check.constant, check.empirical_constant
    if name is None or found is None or found == check.constant_used:
        return ""
    if name == "C0":
        text = "true for no C0" if math.isnan(found) else f"true up to C0 = {shown(found)}"
        if found == math.inf:
            text = "true for every larger C0"
    elif name in GROWING and found == math.inf:
        text = f"true for no {name}"
    elif name in GROWING and found > 0:
        text = f"needs {name} >= {shown(found)}"
    else:
        return ""
    others = [f"here {shown(check.constant_used)}"]
    if check.literal_constant is not None:
        others.append(f"in the paper {shown(check.literal_constant)}")
    return f"{text} ({', '.join(others)})"


def _own_unmet(check: Check) -> list[str]:
    """Unmet hypotheses other than those of the setting, which stand in the heading."""
    own = [x for x in check.unmet if not (isinstance(x, Unmet) and x.id in SHARED)]
    return list(dict.fromkeys(map(str, own)))


def _briefly(check: Check) -> list[str]:
    """Unmet hypotheses in few words; needs of the proofs by their places, as the audit has them."""
    words, places = [], []
    for line in check.unmet:
        id = line.id if isinstance(line, Unmet) else ""
        need = NEEDS.get(id.removeprefix("need_"))
        if id.startswith("need_") and need:
            places.append(need)
        elif id == "good_run":
            words.append("not a good run")
        elif id not in SHARED:
            words.append(str(line))
    if places:
        words.append(f"unmet needs of {', '.join(dict.fromkeys(places))}")
    return list(dict.fromkeys(words))


def _short_lines(checks: Iterable[Check], met: bool) -> list[str]:
    """A table of at most WIDTH columns, with notes below the rows.

    A statement that is true without its hypotheses has a note if (A1)-(A7) are met: otherwise the
    heading has the reason.
    """
    head = ("statement", "what is compared", "value", "", "bound", "verdict")
    lines = [_line(*head)]
    for check in checks:
        first, *rest = textwrap.wrap(_text(check), TEXT) or [""]
        number = check.numbers[0] or check.id
        relation = check.relation if check.applicable else ""
        lines.append(
            _line(number, first, shown(check.value), relation, shown(check.bound), check.verdict)
        )
        lines += [_line("", more) for more in rest]
        explained = check.verdict in ("false", "no claim", "not applicable", "failed to run")
        explained |= check.verdict == "true" and met
        unmet = _briefly(check) if explained else []
        notes = "; ".join(filter(None, [check.failed_to_run, check.why, _constant(check), *unmet]))
        indent = " " * (NUMBER + 4)
        lines += textwrap.wrap(notes, WIDTH, initial_indent=indent, subsequent_indent=indent)
    return lines


def _line(number: str, text: str, *cells: str) -> str:
    widths = (NUMBER, TEXT, 10, 2, 10, 14)
    row = (number, text, *cells)
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()


LONG = (
    "statement",
    "id",
    "JMLR",
    "what is compared",
    "value",
    "",
    "bound",
    "verdict",
    "constant",
    "where",
    "note",
)


def _long_cells(check: Check, mark: str = "") -> tuple[str, ...]:
    where = " ".join(f"{name} {value}" for name, value in check.where.items())
    notes = "; ".join(filter(None, [check.failed_to_run, check.why, *_own_unmet(check)]))
    return (
        mark + (check.numbers[0] or check.id),
        check.id,
        check.numbers[1],
        _text(check),
        shown(check.value),
        check.relation if check.applicable else "",
        shown(check.bound),
        check.verdict,
        _constant(check),
        where,
        notes,
    )
