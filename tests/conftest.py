"""Figures that tests measured are printed at the end of a session."""

from __future__ import annotations

import hypothesis
import problems
import pytest

# how long an example takes is no matter of right or wrong, and machines are busy
hypothesis.settings.register_profile("rfa", deadline=None)
hypothesis.settings.load_profile("rfa")


def pytest_sessionfinish(session):
    # a worker of pytest-xdist hands its figures on to the process that prints
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = problems.FIGURES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    problems.FIGURES.update(getattr(node, "workeroutput", {}).get("figures", {}))


def pytest_terminal_summary(terminalreporter):
    if problems.FIGURES:
        terminalreporter.section("measured")
        for name, figure in sorted(problems.FIGURES.items()):
            terminalreporter.write_line(f"{name}: {figure}")
