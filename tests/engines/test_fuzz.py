"""The random problems of fuzz.py: a few of them, and that a fault of each kind is noticed."""

from __future__ import annotations

import sys

import fuzz
import numpy as np
import pytest

from rfa import kernels
from rfa.engines.direct.engine import DirectEngine


@pytest.mark.parametrize("number", range(12))
def test_problems(number):
    assert fuzz.faults(0, number) is None


def test_a_number_is_a_problem():
    one, same, other, of_another_seed = (
        fuzz.draw(*key) for key in [(0, 3), (0, 3), (0, 4), (1, 3)]
    )
    assert one.case.X.tobytes() == same.case.X.tobytes() and str(one) == str(same)
    assert len({str(trial) for trial in (one, other, of_another_seed)}) == 3


@pytest.mark.parametrize(
    ("module", "name", "part"),
    [
        (DirectEngine, "weights", "steps of direct"),
        (DirectEngine, "get_state", "bits of direct"),
        (kernels, "forward", "kernels"),
    ],
)
def test_a_fault_is_a_line_that_says_how_to_repeat_it(module, name, part, monkeypatch, capsys):
    right = getattr(module, name)

    def wrong(*arguments, **options):
        found = right(*arguments, **options)
        if name == "get_state":
            return found | {"W": found["W"] * 2}
        if name == "weights":
            return found[0] * 2, found[1]
        return np.asarray(found) * 2

    trials = {k: fuzz.draw(0, k) for k in range(20)}
    number = next(k for k, trial in trials.items() if trial.in_range and trial.case.X.size > 50)
    monkeypatch.setattr(module, name, wrong)
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--only", str(number)])
    assert fuzz.main() == 1
    described, line, count = capsys.readouterr().out.splitlines()
    assert line.startswith(f"problem {number}: {part}") and described in line
    assert line.endswith(f"again: python tests/fuzz.py --seed 0 --only {number}")
    assert count.endswith(": 1 problems, 1 failed")
