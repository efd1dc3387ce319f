"""Settings of the tests; numbers that they measured, printed at the end of a session."""

from __future__ import annotations

import signal

import hypothesis
import problems
import pytest

# no deadline: the time of an example depends on how busy the machine is
hypothesis.settings.register_profile("rfa", deadline=None)
hypothesis.settings.load_profile("rfa")

# A shell that starts the tests in the background lets them ignore Ctrl-C, which some tests press.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session):
    # a worker of pytest-xdist sends its numbers to the process that prints
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
