"""Figures that tests measured are printed at the end of a session."""

from __future__ import annotations

import problems


def pytest_terminal_summary(terminalreporter):
    if problems.FIGURES:
        terminalreporter.section("measured")
        for name, figure in sorted(problems.FIGURES.items()):
            terminalreporter.write_line(f"{name}: {figure}")
