"""All expected numbers are SciPy 1.16's, but where said otherwise."""

import math

import pytest

from telic.evaluate._statistics import (
    compare_paired,
    incomplete_beta,
    mcnemar,
    summarize,
    t_quantile,
    t_two_sided,
    wilson,
)

Y = [0.629, 0.22, 0.394, 0.772, 0.66, -0.193, 0.385, 0.055, 0.069, 0.223]
Y += [0.143, 0.536, 0.328, 0.137, 0.233, 0.2, 0.548, 0.038, 0.194, -0.156]


@pytest.mark.parametrize(
    ("p", "df", "expected"),
    [
        (0.975, 1, 12.706204736174694),
        (0.975, 9, 2.262157162798205),
        (0.975, 99, 1.9842169515864174),
        (0.9, 2.5, 1.7302509288071766),
        (0.995, 1000, 2.580754698065951),
    ],
)
def test_t_quantiles_are_the_published_ones(p, df, expected):
    assert t_quantile(p, df) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("t", "df", "expected"),
    [
        (2, 10, 0.07338803477074037),
        (0.5, 3, 0.651447964848151),
        (-10, 4, 0.000562003622715991),
        (3.3, 200, 0.0011447226651288877),
        (0, 5, 1.0),
    ],
)
def test_t_tails_are_the_published_ones(t, df, expected):
    assert t_two_sided(t, df) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "x", "expected"),
    [
        (2, 3, 0.4, 0.5248),
        (0.5, 0.5, 0.9, 0.7951672353008665),
        (50, 0.5, 0.99, 0.3173043978741973),
        (1000, 2000, 0.34, 0.7812150911606441),
        (2, 3, 0.0, 0.0),
        (2, 3, 1.0, 1.0),
    ],
)
def test_the_incomplete_beta_function_is_the_published_one(a, b, x, expected):
    assert incomplete_beta(a, b, x) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (8, 10, 0.4901624715366418, 0.9433178485456248),
        (0, 10, 0.0, 0.27753279986288926),
        (10, 10, 0.7224672001371109, 1.0),
        (55, 100, 0.45244602997442135, 0.6438546202048803),
    ],
)
def test_wilson_intervals_are_the_published_ones(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(
    ("wins", "losses", "expected"),
    [(10, 2, 0.03857421875), (6, 0, 0.03125), (40, 60, 0.05688793364098089), (5, 5, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_is_exact(wins, losses, expected):
    assert mcnemar(wins, losses) == pytest.approx(expected, rel=1e-12)


def test_mcnemar_takes_thousands_of_pairs():
    assert mcnemar(900, 1100) == pytest.approx(8.45708953550381e-06, rel=1e-9)


def test_binary_scores_get_wilsons_interval_and_others_students():
    assert summarize([1.0, 0.0, 1.0]).method == "wilson"

    summary = summarize([0.1, 0.5, 0.3, 0.9, 0.2])

    assert summary.method == "t"
    assert summary.stderr == pytest.approx(0.1414213562373095)
    assert summary.interval == pytest.approx((0.007351367704488576, 0.7926486322955113), rel=1e-9)


@pytest.mark.parametrize("scores", [[], [0.5]])
def test_too_few_scores_have_no_interval(scores):
    assert all(math.isnan(bound) for bound in summarize(scores).interval)


def test_a_single_binary_score_has_a_wide_interval():
    low, high = summarize([1.0]).interval

    assert high - low > 0.7


def test_few_differences_are_tested_by_all_sign_flips():
    test = compare_paired([0.0] * 5, [0.3, 0.1, -0.2, 0.4, 0.25])

    assert test.method == "exact sign flips"
    assert test.p_value == 0.1875  # scipy.stats.permutation_test, exact


def test_many_differences_are_tested_by_students_t():
    test = compare_paired([0.0] * 20, Y)

    assert test.method == "paired t"
    assert test.p_value == pytest.approx(0.00018293052762759847, rel=1e-8)
    assert test.interval == pytest.approx((0.14833677757401403, 0.39316322242598606), rel=1e-9)


@pytest.mark.parametrize("n", [14, 20])
def test_a_difference_that_never_varies_is_tested_by_sign_flips(n):
    test = compare_paired([0.0] * n, [0.5] * n)

    assert (test.p_value, test.method) == (2 / 2**n, "exact sign flips")


def test_equal_lists_show_no_difference():
    for scores in ([0.0, 1.0, 1.0], [0.1, 0.7, 0.3]):
        test = compare_paired(scores, scores)

        assert test.difference == 0.0
        assert test.p_value == 1.0
        assert test.interval[0] <= 0.0 <= test.interval[1]


def test_the_interval_of_paired_shares_is_agresti_and_mins():
    # By hand: b = 3.5, c = 1.5, n + 2 = 12: centre 1/6, half 1.959964 * sqrt(5 - 4 / 12) / 12.
    test = compare_paired([0, 0, 0, 1] + [1] * 6, [1, 1, 1, 0] + [1] * 6)

    half = 1.959963985 * math.sqrt(5 - 4 / 12) / 12
    assert test.interval == pytest.approx((1 / 6 - half, 1 / 6 + half), rel=1e-8)
    assert (test.wins, test.losses) == (3, 1)


def test_no_rows_give_no_numbers():
    assert compare_paired([], []).method == "none"
    assert compare_paired([0.3], [0.4]).p_value == 1.0


def test_the_interval_of_shares_stays_between_nothing_and_all():
    assert summarize([1.0, 1.0, 0.5]).interval[1] == 1.0
    assert summarize([0.0, 0.1, 0.0]).interval[0] == 0.0
    assert summarize([1.0, 1.0, 2.5]).interval[1] > 2.5
