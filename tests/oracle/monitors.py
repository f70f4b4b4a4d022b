"""Compares `chaos eval` with rtamt and with the definition of the operators, on random formulas and traces.

    monitors.py CHAOS SEED FORMULAS TRACES

All times are multiples of a grid, on which every trace is refined: then rtamt's discrete monitor, whose windows count
samples, is exact for step signals. It knows neither gaps nor anything beyond the end of a trace, so it is asked where windows lie
inside of it. The definition, evaluated instant by instant in Kleene's logic and in intervals, is asked everywhere, and of a grid
twice as fine: nothing changes between two of its steps, but a trace is known at its last instant and no longer behind it, so
that what holds between that and the next step is a third thing.
"""

import json
import math
import os
import random
import subprocess
import sys
import tempfile

import rtamt

GRID = 0.25
LOW, HIGH = 0.0, 10.0
NAMES = ("x", "y")
INF = math.inf


def bounds(rng, least=0):
    a = rng.choice((0, 0, 1, 2, 4, 5))
    return a, a + rng.choice(range(least, 9))


def formula(rng, depth):
    """A formula as nested tuples; bounds are in steps of the grid."""
    if depth == 0 or rng.random() < 0.12:
        if rng.random() < 0.15:
            return ("relation", rng.choice(("<=", ">")), "x", "y", rng.choice((1, 2)), rng.choice((0, 3)))
        return ("atom", rng.choice(NAMES), rng.choice(("<=", "<", ">=", ">", "==")), rng.choice((1, 2.5, 4, 5, 7)))
    kind = rng.choice(("not", "and", "or", "implies", "always", "eventually", "historically", "once", "until"))
    inner = lambda: formula(rng, depth - 1)
    if kind == "not":
        return (kind, inner())
    if kind in ("and", "or", "implies"):
        return (kind, inner(), inner())
    if kind == "until":
        return (kind, (0, rng.choice(range(0, 9))), inner(), inner())
    return (kind, bounds(rng), inner())


def horizon(f):
    if f[0] in ("atom", "relation"):
        return 0
    if f[0] in ("always", "eventually"):
        return f[1][1] + horizon(f[2])
    if f[0] == "until":
        return f[1][1] + max(horizon(f[2]), horizon(f[3]))
    return max(horizon(part) for part in f[1:] if isinstance(part[0], str))


def lookback(f):
    if f[0] in ("atom", "relation"):
        return 0
    if f[0] in ("historically", "once"):
        return f[1][1] + lookback(f[2])
    return max(lookback(part) for part in f[1:] if isinstance(part[0], str))


# How each operator is written, from its name and what it has; "" stands for those with a window and one operand.
OURS = {
    "window": lambda start, end: f"[{start * GRID:g}s,{end * GRID:g}s]",
    "atom": "{1} {2} {3}",
    "relation": "{2} {1} {4} x {3} + {5}",
    "not": "not ({1})",
    **dict.fromkeys(("and", "or", "implies"), "({1}) {0} ({2})"),
    "until": "({2}) until{1} ({3})",
    "": "{0}{1} ({2})",
}
THEIRS = {
    "window": lambda start, end: f"[{start}:{end}]",
    "atom": "({1} {2} {3})",
    "relation": "({2} {1} {4} * {3} + {5})",
    "not": "(not {1})",
    **dict.fromkeys(("and", "or", "implies"), "({1} {0} {2})"),
    "until": "({2} until{1} {3})",
    "": "({0}{1} {2})",
}


def written(f, notation):
    def piece(part):
        if not isinstance(part, tuple):
            return part
        return written(part, notation) if isinstance(part[0], str) else notation["window"](*part)

    return notation.get(f[0], notation[""]).format(*map(piece, f))


def trace(rng, length, gaps):
    """Rows `(step, x, y)` at irregular multiples of the grid; a value is None where nothing is known."""
    rows, at = [], 0
    while at <= length:
        value = lambda: None if gaps and rng.random() < 0.2 else rng.choice((0, 1, 2, 2.5, 3, 4, 5, 6, 7, 9, 10))
        rows.append((at, value(), value()))
        at += rng.choice((1, 1, 2, 3, 7))
    return rows


def refined(rows):
    """The values of x and y at each step up to the last row."""
    out, values = [], (None, None)
    by_step = {row[0]: row[1:] for row in rows}
    for step in range(rows[-1][0] + 1):
        values = by_step.get(step, values)
        out.append(values)
    return out


def halved(values):
    """The same at each half of a step, where the odd ones stand for all that is between two steps."""
    return [values[half // 2] for half in range(2 * len(values) - 1)]


def in_halves(f):
    """The same formula with bounds in halves of a step."""
    return tuple(
        in_halves(part) if isinstance(part, tuple) and isinstance(part[0], str)
        else tuple(2 * bound for bound in part) if isinstance(part, tuple)
        else part
        for part in f
    )


def compare(op, value, limit):
    """Kleene truth (-1, 0, 1) and margin of intervals, by the definition."""
    (l, h), (cl, ch) = value, limit
    if op in ("<=", "<"):
        margin = (cl - h, ch - l)
        true = h <= cl if op == "<=" else h < cl
        false = l > ch if op == "<=" else l >= ch
    elif op in (">=", ">"):
        margin = (l - ch, h - cl)
        true = l >= ch if op == ">=" else l > ch
        false = h < cl if op == ">=" else h <= cl
    else:
        low, high = l - ch, h - cl
        near = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        margin = (-max(abs(low), abs(high)), -near)
        true = l == h == cl == ch
        false = h < cl or l > ch
    return (1 if true else -1 if false else 0), margin


def flip(v):
    return -v[0], (-v[1][1], -v[1][0])


def meet(a, b):
    return min(a[0], b[0]), (min(a[1][0], b[1][0]), min(a[1][1], b[1][1]))


def join(a, b):
    return flip(meet(flip(a), flip(b)))


TOP = (1, (INF, INF))
BOTTOM = (-1, (-INF, -INF))


def defined(f, values, first, last):
    """The value of a formula at each index of `first..last`, looked up one by one; bounds count indices, too."""
    known = lambda name, step: (
        (values[step][NAMES.index(name)],) * 2
        if 0 <= step < len(values) and values[step][NAMES.index(name)] is not None
        else (LOW, HIGH)
    )
    steps = range(first, last + 1)
    kind = f[0]
    if kind == "atom":
        return {t: compare(f[2], known(f[1], t), (f[3], f[3])) for t in steps}
    if kind == "relation":
        limit = lambda t: tuple(f[4] * end + f[5] for end in known(f[3], t))
        return {t: compare(f[1], known(f[2], t), limit(t)) for t in steps}
    if kind == "not":
        return {t: flip(v) for t, v in defined(f[1], values, first, last).items()}
    if kind in ("and", "or", "implies"):
        left, right = (defined(part, values, first, last) for part in f[1:])
        if kind == "and":
            return {t: meet(left[t], right[t]) for t in steps}
        return {t: join(flip(left[t]) if kind == "implies" else left[t], right[t]) for t in steps}
    a, b = f[1]
    if kind == "until":
        left, right = (defined(part, values, first, last + b) for part in f[2:])
        out = {}
        for t in steps:
            best, held = BOTTOM, TOP
            for s in range(t, t + b + 1):
                best = join(best, meet(right[s], held))
                held = meet(held, left[s])
            out[t] = best
        return out
    ahead = kind in ("always", "eventually")
    body = defined(f[2], values, first if ahead else first - b, last + b if ahead else last)
    out = {}
    for t in steps:
        total = TOP if kind in ("always", "historically") else BOTTOM
        for s in range(t + a, t + b + 1) if ahead else range(t - b, t - a + 1):
            total = meet(total, body[s]) if kind in ("always", "historically") else join(total, body[s])
        out[t] = total
    return out


def at(steps, second):
    """The entry of a list of `[start, …]` that holds at an instant."""
    found = None
    for entry in steps:
        if entry[0] > second:
            break
        found = entry
    return found


class Mismatch(Exception):
    pass


def judged(chaos, text, rows, folder):
    path = os.path.join(folder, "trace.csv")
    cell = lambda value: "" if value is None else f"{value:g}"
    with open(path, "w") as out:
        out.write("time,x,y\n")
        out.writelines(f"{step * GRID:g},{cell(x)},{cell(y)}\n" for step, x, y in rows)
    ranges = [word for name in NAMES for word in ("--range", f"{name}={LOW:g}..{HIGH:g}")]
    call = [chaos, "eval", text, "--signals", path, *ranges, "--json"]
    done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode not in (0, 1, 3):
        raise Mismatch(f"exit code {done.returncode}: {done.stderr}")
    answer = json.loads(done.stdout)
    if {"passed": 0, "failed": 1, "inconclusive": 3}[answer["verdict"]] != done.returncode:
        raise Mismatch(f"exit code {done.returncode} for {answer['verdict']}")
    return answer


def check_definition(f, rows, answer):
    values = halved(refined(rows))
    last = len(values) + 8
    expected = defined(in_halves(f), values, 0, last)
    for t in range(last + 1):
        truth, margin = expected[t]
        second = t * GRID / 2
        found = at(answer["boolean"], second)[1], at(answer["margin"], second)[1:]
        if found[0] != {1: True, 0: None, -1: False}[truth] or tuple(found[1]) != margin:
            raise Mismatch(f"at {second} s: found {found}, defined {truth} {margin}")
    verdict = {1: "passed", 0: "inconclusive", -1: "failed"}[expected[0][0]]
    if answer["verdict"] != verdict:
        raise Mismatch(f"found {answer['verdict']}, defined {verdict}")
    return last + 1


def check_rtamt(spec, f, rows, answer):
    values = refined(rows)
    data = {"time": list(range(len(values)))}
    for index, name in enumerate(NAMES):
        data[name] = [float(row[index]) for row in values]
    found = dict(spec.evaluate(data))
    compared = 0
    for t in range(lookback(f), len(values) - horizon(f)):
        margin = at(answer["margin"], t * GRID)[1:]
        if margin != [found[t], found[t]]:
            raise Mismatch(f"at {t * GRID} s: found {margin}, rtamt {found[t]}")
        compared += 1
    return compared


def specification(f):
    spec = rtamt.StlDiscreteTimeSpecification()
    for name in NAMES:
        spec.declare_var(name, "float")
    spec.spec = written(f, THEIRS)
    spec.parse()
    return spec


def main():
    chaos, seed, formulas, traces = sys.argv[1], *map(int, sys.argv[2:5])
    print(f"seed {seed}")
    rng = random.Random(seed)
    points = {"rtamt": 0, "definition": 0}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(formulas):
            f = formula(rng, rng.choice((1, 2, 2, 3)))
            spec = specification(f)
            for turn in range(traces):
                gaps = turn % 2 == 1
                rows = trace(rng, rng.choice((40, 60, 90)), gaps)
                try:
                    answer = judged(chaos, written(f, OURS), rows, folder)
                    points["definition"] += check_definition(f, rows, answer)
                    if not gaps:
                        points["rtamt"] += check_rtamt(spec, f, rows, answer)
                except Mismatch as mismatch:
                    print(f"formula {number}, trace {turn} of seed {seed}: {mismatch}")
                    print(f"  {written(f, OURS)}\n  {written(f, THEIRS)}\n  {rows}")
                    return 1
    print(f"{formulas} formulas, {formulas * traces} traces: "
          f"{points['rtamt']} instants agree with rtamt, {points['definition']} with the definition")
    return 0


if __name__ == "__main__":
    sys.exit(main())
