"""Figures that tests measured are printed at the end of a session."""

from __future__ import annotations

import os

# threads of tiny problems meet thousands of times: on a busy machine they must not wait spinning
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import problems


def pytest_terminal_summary(terminalreporter):
    if problems.FIGURES:
        terminalreporter.section("measured")
        for name, figure in sorted(problems.FIGURES.items()):
            terminalreporter.write_line(f"{name}: {figure}")
