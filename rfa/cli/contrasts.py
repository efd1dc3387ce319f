"""The table of rfa check --contrasts."""

from __future__ import annotations

from rfa._tables import aligned, as_markdown
from rfa.baselines import Baseline

TITLES = ("classifier", "clean error", "95% interval", "least", "clean wrong", "noisy fitted")


def table(found: tuple[Baseline, ...], markdown: bool = False) -> str:
    """A row for each classifier, below a line that says what the numbers are."""
    rows = [TITLES]
    for each in found:
        rows.append(
            (
                each.name,
                f"{each.clean_error:.4g}",
                f"[{each.clean_low:.3g}, {each.clean_high:.3g}]",
                "-" if each.least is None else f"{each.least:.4g}",
                str(each.clean_wrong),
                str(each.noisy_fitted),
            )
        )
    heading = (
        f"contrasts: clean error on {found[0].points} fresh points; least: that of the best "
        "such classifier;\nclean wrong, noisy fitted: numbers of training samples"
    )
    return f"{heading}\n\n{as_markdown(rows)}" if markdown else f"{heading}\n{aligned(rows)}\n"
