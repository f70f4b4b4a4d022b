"""Compares numbers of the statistics behind verdicts with scipy, statsmodels and numpy.

Reads a JSON list of cases, each with its `kind`, the arguments and what chaos says (`ours`), prints one JSON object with how many
cases of each kind were compared and those that differ. Ranks, counts and decisions must be the same, other numbers to the
given relative tolerance.
"""

import collections
import json
import math
import sys

import numpy
from scipy import optimize, special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.tsa.stattools import acf


def ranks(n, q, tail):
    """The largest l with P(B <= l-1) <= tail and the smallest u with P(B <= u-1) >= 1 - tail."""
    cdf = stats.binom(n, q).cdf
    lower = int(stats.binom.ppf(tail, n, q))
    while cdf(lower) <= tail:
        lower += 1
    while lower > 0 and cdf(lower - 1) > tail:
        lower -= 1
    upper = int(stats.binom.ppf(1 - tail, n, q)) + 1
    return [lower, upper if cdf(n - 1) >= 1 - tail else n + 1]


def evidence(hits, trials, p):
    weigh = lambda count, chance: 0.0 if count == 0 else count * math.log(chance)
    mixture = special.betaln(0.5 + hits, 0.5 + trials - hits) - special.betaln(0.5, 0.5)
    return mixture - weigh(hits, p) - weigh(trials - hits, 1 - p)


def sequence(hits, trials, alpha):
    peak = hits / trials
    excess = lambda p: evidence(hits, trials, p) + math.log(alpha)
    tiny = 1e-300
    low = 0.0 if hits == 0 else optimize.brentq(excess, tiny, peak, xtol=1e-15, rtol=1e-14)
    high = 1.0 if hits == trials else optimize.brentq(excess, peak, 1 - 1e-16, xtol=1e-15, rtol=1e-14)
    return [low, high]


def correlation_time(indicator):
    x = numpy.array(indicator, dtype=float)
    if x.std() == 0:
        return 1.0
    time = 1.0
    lags = min(len(x) // 4, 200)
    for r in acf(x, nlags=lags, fft=False)[1:]:
        if r < 0.05:
            break
        time += 2 * r
    return time


def confirmed(share, failures, alpha, n):
    """Whether so many samples are the fewest that confirm a share."""
    enough = lambda n: stats.binom.cdf(failures, n, 1 - share) <= alpha
    return enough(n) and not enough(n - 1)


def difference(one, other, tail):
    """The interval of a difference of two quantiles, from the order statistics of both (MOVER)."""
    def estimate(values, q):
        values = numpy.sort(values)
        lower, upper = ranks(len(values), q, tail)
        at = lambda rank: -math.inf if rank < 1 else math.inf if rank > len(values) else values[rank - 1]
        return numpy.quantile(values, q, method="inverted_cdf"), at(lower), at(upper)
    (f, lf, uf), (b, lb, ub) = estimate(*one), estimate(*other)
    d = f - b
    return [d, d - math.hypot(f - lf, ub - b), d + math.hypot(uf - f, b - lb)]


def theirs(case):
    match case["kind"]:
        case "ranks":
            return ranks(case["n"], case["q"], case["tail"])
        case "quantile":
            return numpy.quantile(case["values"], case["q"], method="inverted_cdf")
        case "binomial":
            return stats.binom.cdf(case["k"], case["n"], case["p"])
        case "clopper-pearson":
            ci = stats.binomtest(case["k"], case["n"]).proportion_ci(1 - 2 * case["tail"], "exact")
            return [ci.low, ci.high]
        case "wilson":
            low, high = proportion_confint(case["k"], case["n"], 2 * case["tail"], "wilson")
            return [0.0 if case["k"] == 0 else low, 1.0 if case["k"] == case["n"] else high]
        case "garwood":
            k, tail = case["k"], case["tail"]
            return [stats.chi2.ppf(tail, 2 * k) / 2 if k else 0.0, stats.chi2.ppf(1 - tail, 2 * k + 2) / 2]
        case "least":
            return next(n for n in range(1, 100_000) if max(case["q"], 1 - case["q"]) ** n <= case["tail"] * (1 + 1e-9))
        case "confirm":
            return confirmed(case["share"], case["failures"], case["alpha"], case["n"])
        case "newcombe":
            return list(confint_proportions_2indep(
                case["k1"], case["n1"], case["k2"], case["n2"], method="newcomb", compare="diff", alpha=2 * case["tail"]))
        case "difference":
            return difference((case["one"], case["q"]), (case["other"], case["q"]), case["tail"])
        case "evidence":
            return evidence(case["hits"], case["trials"], case["p"])
        case "sequence":
            return sequence(case["hits"], case["trials"], case["alpha"])
        case "correlation":
            return correlation_time(case["indicator"])
        case "holm":
            return [bool(r) for r in multipletests(case["p"], case["alpha"], "holm")[0]]
        case "spent":
            alpha, t = case["alpha"], case["elapsed"]
            return 2 * (1 - stats.norm.cdf(stats.norm.ppf(1 - alpha / 2) / math.sqrt(t)))
    raise ValueError(case["kind"])


def same(ours, theirs, tolerance):
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(same(a, b, tolerance) for a, b in zip(ours, theirs))
    if isinstance(theirs, (bool, numpy.bool_)):
        return ours == bool(theirs)
    # JSON has no infinity: it is null.
    if ours is None or not math.isfinite(theirs):
        return ours is None and not math.isfinite(theirs)
    return math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance)


counts, wrong = collections.Counter(), []
for case in json.load(sys.stdin):
    counts[case["kind"]] += 1
    expected = theirs(case)
    if not same(case["ours"], expected, case.get("tolerance", 1e-8)):
        wrong.append({"theirs": repr(expected), **{k: v for k, v in case.items() if not isinstance(v, list) or len(v) < 12}})
json.dump({"compared": counts, "wrong": wrong[:20], "count": len(wrong)}, sys.stdout)
