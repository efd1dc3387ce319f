"""Confidence intervals that hold for every sample size."""

from __future__ import annotations

import math

from rfa import _validate

# For more trials the quantiles of beta distributions lose their digits: at 2^48 trials their error
# exceeds the width of the interval.
MAX_TRIALS = 2**40


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Clopper-Pearson interval of a probability, from k successes in n independent trials.

    Parameters
    ----------
    k : int
        Successes, from 0 to n.
    n : int
        Trials, from 1 to 2^40.
    confidence : float, default 0.95
        The interval contains the true value with at least this probability, in (0, 1).

    Returns
    -------
    low, high : float

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type.

    Notes
    -----
    Quantiles of beta distributions (Clopper and Pearson 1934).

    Examples
    --------
    >>> low, high = clopper_pearson(96, 100)
    >>> round(low, 3), round(high, 3)
    (0.901, 0.989)
    """
    from scipy.special import betaincinv

    n = _validate.positive_int(n, "n")
    if n > MAX_TRIALS:
        raise ValueError(f"n must be at most 2^40, got {_validate.shown(n)}")
    k = _validate.nonnegative_int(k, "k")
    if k > n:
        raise ValueError(f"k must be at most n={n}, got {_validate.shown(k)}")
    tail = (1 - _validate.open_fraction(confidence, "confidence")) / 2
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))
    # the interval contains k / n, but rounding may put k / n outside if the interval is very short
    return min(low, k / n), max(high, k / n)


def empirical_bernstein(
    mean: float, variance: float, n: int, confidence: float
) -> tuple[float, float]:
    """A confidence interval for the mean of independent values in [0, 1], by their variance.

    Parameters
    ----------
    mean, variance : float
        Mean and variance of the sample; the variance has the divisor n - 1.
    n : int
        Size of the sample, at least 2.
    confidence : float
        The interval contains the true mean with at least this probability, in (0, 1).

    Returns
    -------
    low, high : float

    Notes
    -----
    Maurer and Pontil (2009), Theorem 4, applied to each side.

    Examples
    --------
    >>> low, high = empirical_bernstein(0.5, 0.25, 10_000, 0.95)
    >>> round(low, 3), round(high, 3)
    (0.484, 0.516)
    """
    level = math.log(4 / (1 - confidence))
    reach = math.sqrt(2 * variance * level / n) + 7 * level / (3 * (n - 1))
    return max(0.0, mean - reach), min(1.0, mean + reach)
