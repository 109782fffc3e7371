"""The statistics that scores need, in plain Python: intervals, t quantiles, paired tests.

Sources: Wilson 1927 for the interval of a share; Agresti and Min 2005 (Statistics in Medicine 24:729) for the
interval of a difference of paired shares; the exact McNemar test (binomial, two-sided); the sign-flip permutation
test (Fisher 1935), exact for few differences; Student's t for the rest, its distribution function by the continued
fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8). The tests check all against published or
SciPy's values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

_Z95: Final = 1.959963984540054  # the standard normal's 0.975 quantile
_EXACT_FLIPS: Final = 14  # 2 ** 14 sums: about a millisecond


class Summary(NamedTuple):
    """A mean with what is known about its precision, in the units of the scores."""

    n: int
    mean: float
    stderr: float
    """Standard error of the mean: sample standard deviation / sqrt(n); nan for fewer than 2 scores."""
    interval: tuple[float, float]
    """95 %: Wilson's for scores that are all 0 or 1, Student's t otherwise, cut at 0 and 1 where all scores are within;
    (nan, nan) where n is too small."""
    method: str
    """"wilson", "t" or "none"."""


class PairedTest(NamedTuple):
    """A comparison of two lists of scores on the same rows; differences are second minus first."""

    n: int
    difference: float
    interval: tuple[float, float]
    """95 % interval of the mean difference."""
    p_value: float
    """Two-sided."""
    method: str
    """"exact McNemar", "exact sign flips", "paired t" or "none"."""
    wins: int
    """Rows on which the second is higher."""
    losses: int


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for a, b > 0 and 0 <= x <= 1."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a * _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Lentz's evaluation of the continued fraction."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / ((1.0 - (a + b) * x / (a + 1.0)) or tiny)
    value = d
    for m in range(1, 1000):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / ((1.0 + factor * d) or tiny)
            c = (1.0 + factor / c) or tiny
            value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value


def t_two_sided(t: float, df: float) -> float:
    """Return the probability that |T| of Student's t with `df` degrees of freedom is at least |t|."""
    return incomplete_beta(df / 2, 0.5, df / (df + t * t))


def t_quantile(p: float, df: float) -> float:
    """Return the quantile of Student's t for p between 0.5 and 1 (bisection, to 1e-12 relative)."""
    tail = 2 * (1 - p)
    low, high = 0.0, 1.0
    while t_two_sided(high, df) > tail:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if t_two_sided(middle, df) > tail:
            low = middle
        else:
            high = middle
        if high - low <= 1e-12 * high:
            break
    return (low + high) / 2


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    z = _Z95
    share, zz = successes / n, z * z
    centre = (share + zz / (2 * n)) / (1 + zz / n)
    half = z * math.sqrt(share * (1 - share) / n + zz / (4 * n * n)) / (1 + zz / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _mean_and_stderr(values: Sequence[float]) -> tuple[float, float]:
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, math.nan
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)


def is_binary(scores: Sequence[float]) -> bool:
    """Return whether all scores are 0 or 1."""
    return all(score in (0.0, 1.0) for score in scores)


def summarize(scores: Sequence[float]) -> Summary:
    """Return mean, standard error and 95 % interval of `scores`; nan where there is none.

    Example:
        >>> summary = summarize([1.0] * 8 + [0.0] * 2)
        >>> summary.mean, tuple(round(x, 3) for x in summary.interval)
        (0.8, (0.49, 0.943))
    """
    n = len(scores)
    if n == 0:
        return Summary(0, math.nan, math.nan, (math.nan, math.nan), "none")
    mean, stderr = _mean_and_stderr(scores)
    if is_binary(scores):
        return Summary(n, mean, stderr, wilson(math.fsum(scores), n), "wilson")
    if n < 2:
        return Summary(n, mean, stderr, (math.nan, math.nan), "none")
    half = t_quantile(0.975, n - 1) * stderr
    low, high = mean - half, mean + half
    # Shares: what lies beyond nothing and all is no estimate.
    if all(0.0 <= score <= 1.0 for score in scores):
        low, high = max(low, 0.0), min(high, 1.0)
    return Summary(n, mean, stderr, (low, high), "t")


def mcnemar(wins: int, losses: int) -> float:
    """Return the exact two-sided p value of McNemar's test for the two counts of discordant pairs."""
    n, k = wins + losses, min(wins, losses)
    if n == 0:
        return 1.0
    term, total = 1, 1  # binomial coefficients C(n, 0), C(n, 1) …, exact
    for i in range(1, k + 1):
        term = term * (n - i + 1) // i
        total += term
    # A quotient of integers of any size; `total / 2 ** (n - 1)` would overflow a float above 1,023 pairs.
    return 1.0 if 2 * k == n else min(1.0, _ratio(total, 1 << (n - 1)))


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator  # int / int is correctly rounded in Python, whatever their sizes


def _sign_flips(differences: Sequence[float]) -> float:
    """Exact two-sided p value: the share of sign assignments whose |sum| is at least the observed one."""
    sums = [0.0]
    for difference in differences:
        sums = [s + d for s in sums for d in (difference, -difference)]
    observed = abs(math.fsum(differences))
    slack = 1e-9 * max(1e-300, math.fsum(abs(d) for d in differences))
    return sum(abs(s) >= observed - slack for s in sums) / len(sums)


def compare_paired(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Compare two lists of scores of the same rows in the same order.

    0/1 scores: the exact McNemar test, and Agresti and Min's interval. Others: exact sign flips for up to 14 rows
    that differ, or where all differ by the same, else the paired t test; the interval is Student's.

    Example:
        >>> test = compare_paired([0, 0, 0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1])
        >>> test.difference, test.p_value, test.method
        (0.75, 0.03125, 'exact McNemar')
    """
    n = len(first)
    differences = [b - a for a, b in zip(first, second, strict=True)]
    wins, losses = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    if n == 0:
        return PairedTest(0, math.nan, (math.nan, math.nan), math.nan, "none", 0, 0)
    mean, stderr = _mean_and_stderr(differences)
    if is_binary(first) and is_binary(second):
        interval = _paired_share_interval(n, wins, losses)
        return PairedTest(n, mean, interval, mcnemar(wins, losses), "exact McNemar", wins, losses)
    if n < 2:
        return PairedTest(n, mean, (math.nan, math.nan), 1.0, "none", wins, losses)
    half = t_quantile(0.975, n - 1) * stderr
    interval = (mean - half, mean + half)
    changed = [d for d in differences if d]
    if len(changed) <= _EXACT_FLIPS:
        return PairedTest(n, mean, interval, _sign_flips(changed), "exact sign flips", wins, losses)
    if not stderr:  # all differ by the same: only two of the sign assignments reach that sum
        return PairedTest(n, mean, interval, 2.0 ** (1 - n), "exact sign flips", wins, losses)
    p = t_two_sided(mean / stderr, n - 1)
    return PairedTest(n, mean, interval, p, "paired t", wins, losses)


def _paired_share_interval(n: int, wins: int, losses: int) -> tuple[float, float]:
    """Agresti and Min: Wald's interval after half a row was added to each of the four cells."""
    b, c, m = wins + 0.5, losses + 0.5, n + 2
    centre = (b - c) / m
    half = _Z95 * math.sqrt((b + c) - (b - c) ** 2 / m) / m
    return max(-1.0, centre - half), min(1.0, centre + half)
