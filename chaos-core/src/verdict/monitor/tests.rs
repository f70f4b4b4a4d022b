mod online;
mod properties;

use super::super::confidence::{Leaning, Outcome, Reason};
use super::super::interval::Comparison;
use super::*;

const S: Nanos = 1_000_000_000;
const RANGE: Interval = Interval { lo: 0.0, hi: 100.0 };

fn at_most(limit: f64) -> Formula {
    compare(0, Comparison::AtMost, limit)
}

fn compare(signal: usize, comparison: Comparison, limit: f64) -> Formula {
    Formula::Atom(Atom::compares(0, SignalId(signal), comparison, limit, Scale::FROM_ZERO))
}

fn seconds(time: f64) -> Nanos {
    (time * 1e9) as Nanos
}

fn signal(points: &[(f64, Option<f64>)], heard: f64) -> Signal {
    Signal::from_points(RANGE, points.iter().map(|(t, v)| (seconds(*t), *v)), seconds(heard))
}

fn full(points: &[(f64, f64)], heard: f64) -> Trace {
    let points: Vec<(f64, Option<f64>)> = points.iter().map(|(t, v)| (*t, Some(*v))).collect();
    Trace::new(vec![signal(&points, heard)])
}

fn read(formula: &Formula, trace: &Trace, watermark: f64, at: f64) -> (Truth, f64, f64) {
    let reading = evaluate::<Reading>(formula, &trace.known_until(seconds(watermark))).at(seconds(at));
    let rounded = |x: f64| (x * 1e9).round() / 1e9;
    (reading.truth, rounded(reading.margin.lo), rounded(reading.margin.hi))
}

use Truth::{False as F, True as T, Unknown as U};

#[test]
fn always_with_a_gap_narrows_until_it_is_violated() {
    let formula = at_most(1.0).always(59 * S);
    let points = [
        (0.0, Some(0.2)),
        (10.0, Some(0.5)),
        (20.0, None),
        (30.0, Some(0.8)),
        (40.0, Some(3.0)),
        (50.0, Some(0.4)),
    ];
    let trace = Trace::new(vec![signal(&points, 60.0)]);
    let table = [
        (5.0, U, -99.0, 0.8),
        (15.0, U, -99.0, 0.5),
        (25.0, U, -99.0, 0.5),
        (35.0, U, -99.0, 0.2),
        (40.0, F, -99.0, -2.0),
    ];
    for (watermark, truth, lo, hi) in table {
        assert_eq!(read(&formula, &trace, watermark, 0.0), (truth, lo, hi), "at {watermark}");
    }
}

#[test]
fn eventually_always_is_decided_once_the_stretch_is_full() {
    let formula = at_most(1.0).always(10 * S).eventually(30 * S);
    let trace = full(&[(0.0, 4.0), (6.0, 2.0), (12.0, 0.8), (18.0, 0.9), (24.0, 0.7)], 60.0);
    let table = [
        (0.0, U, -99.0, 1.0),
        (12.0, U, -3.0, 1.0),
        (18.0, U, -1.0, 1.0),
        (21.9, U, -1.0, 1.0),
        (22.0, T, 0.1, 1.0),
    ];
    for (watermark, truth, lo, hi) in table {
        assert_eq!(read(&formula, &trace, watermark, 0.0), (truth, lo, hi), "at {watermark}");
    }
    assert_eq!(horizon(&formula), Some(40 * S));
    assert_eq!(latest_decision(&formula, 5 * S), Some(45 * S));
}

#[test]
fn horizons_add_up_along_what_is_nested() {
    let atom = || at_most(1.0);
    let until = Formula::Until {
        within: 3 * S,
        left: Box::new(atom().always(2 * S)),
        right: Box::new(atom().eventually(4 * S)),
    };
    let table = [
        (atom(), 0),
        (atom().negated(), 0),
        (atom().always(2 * S).negated(), 2),
        (Formula::And(vec![atom().always(2 * S), atom().eventually(5 * S)]), 5),
        (Formula::Or(vec![atom(), atom().eventually(5 * S)]), 5),
        (Formula::Implies(Box::new(atom().always(2 * S)), Box::new(atom())), 2),
        (Formula::Eventually { from: S, to: 3 * S, body: Box::new(atom().always(S)) }, 4),
        (until, 7),
        (atom().lasting(10 * S), 0),
        (Formula::Once { from: 0, to: 10 * S, body: Box::new(atom()) }, 0),
        (atom().lasting(10 * S).always(2 * S), 2),
    ];
    for (formula, seconds) in table {
        assert_eq!(horizon(&formula), Some(seconds * S), "{formula:?}");
    }
    // It ends with a phase, whenever that is.
    assert_eq!(horizon(&atom().throughout(0, None)), None);
}

#[test]
fn lasting_fires_exactly_one_length_after_the_onset() {
    let formula = compare(0, Comparison::Above, 5.0).lasting(10 * S);
    let trace = full(&[(0.0, 6.0), (8.0, 4.0), (9.0, 6.0), (25.0, 3.0)], 60.0);
    let table = [(5.0, U, -5.0, 1.0), (18.9, F, -1.0, -1.0), (19.0, T, 1.0, 1.0), (25.0, F, -2.0, -2.0)];
    for (now, truth, lo, hi) in table {
        assert_eq!(read(&formula, &trace, now, now), (truth, lo, hi), "at {now}");
    }
    let gapped =
        Trace::new(vec![signal(&[(0.0, Some(6.0)), (8.0, None), (9.0, Some(6.0)), (25.0, Some(3.0))], 60.0)]);
    for (now, truth, lo, hi) in [(10.0, U, -5.0, 1.0), (18.9, U, -5.0, 1.0), (19.0, T, 1.0, 1.0)] {
        assert_eq!(read(&formula, &gapped, now, now), (truth, lo, hi), "at {now}");
    }
    assert_eq!((lookback(&formula), horizon(&formula)), (10 * S, Some(0)));
}

/// The results of another implementation (rtamt 0.4.10) on samples one apart, in the region where its windows are whole.
#[test]
fn margins_agree_with_another_monitor() {
    let values = [1.0, 2.0, 7.0, 3.0, 4.0, 6.0, 2.0, 1.0];
    let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(t, v)| (t as f64, *v)).collect();
    // Open ranges, so that nothing but the measured values gives a margin.
    let mut signal = Signal::unknown(Interval::EVERYTHING);
    for (t, v) in points {
        signal.set(seconds(t), Interval::exactly(v));
    }
    signal.hear(seconds(8.0) - 1);
    let trace = Trace::new(vec![signal.known_until(seconds(8.0) - 1)]);
    let at_least = |limit| compare(0, Comparison::AtLeast, limit);
    let nested = Formula::Eventually { from: S, to: 3 * S, body: Box::new(at_most(4.0).always(S)) };
    let past = |formula: Formula, once: bool| {
        let body = Box::new(formula);
        if once {
            Formula::Once { from: 0, to: 2 * S, body }
        } else {
            Formula::Historically { from: 0, to: 2 * S, body }
        }
    };
    let until =
        Formula::Until { within: 3 * S, left: Box::new(at_most(5.0)), right: Box::new(at_least(6.0)) };
    let response = Formula::Implies(Box::new(at_least(5.0)), Box::new(at_most(2.0).eventually(2 * S)));
    let table: [(Formula, &[f64], usize); 7] = [
        (at_most(5.0).always(2 * S), &[-2.0, -2.0, -2.0, -1.0, -1.0, -1.0], 0),
        (at_least(5.0).eventually(2 * S), &[2.0, 2.0, 2.0, 1.0, 1.0, 1.0], 0),
        (nested, &[0.0, 0.0, 0.0, 2.0], 0),
        (past(at_least(5.0), true), &[2.0, 2.0, 2.0, 1.0, 1.0, 1.0], 2),
        (past(at_most(5.0), false), &[-2.0, -2.0, -2.0, -1.0, -1.0, -1.0], 2),
        (until, &[1.0, 1.0, 1.0, 0.0, 0.0], 0),
        (response, &[4.0, 3.0, -1.0, 2.0, 1.0, 1.0], 0),
    ];
    for (formula, expected, from) in table {
        let margins = evaluate::<Reading>(&formula, &trace);
        for (i, margin) in expected.iter().enumerate() {
            let found = margins.at((from + i) as Nanos * S).margin;
            assert_eq!(found, Interval::exactly(*margin), "{formula:?} at {}", from + i);
        }
    }
}

#[test]
fn strict_and_lax_differ_in_truth_only() {
    let trace = full(&[(0.0, 5.0)], 10.0);
    assert_eq!(read(&compare(0, Comparison::Below, 5.0), &trace, 10.0, 1.0), (F, 0.0, 0.0));
    assert_eq!(read(&at_most(5.0), &trace, 10.0, 1.0), (T, 0.0, 0.0));
}

fn recovery(points: &[(f64, f64)], lasting: Option<Nanos>) -> Decision {
    let claim = Claim::Settles {
        body: at_most(1.0),
        within: 30 * S,
        lasting,
        after: Events::once(0),
        end: Some(90 * S),
    };
    decide(&claim, &full(points, 90.0))
}

#[test]
fn settling_counts_relapses_unless_a_time_is_given() {
    let settled = recovery(&[(0.0, 6.0), (5.0, 4.0), (12.0, 2.0), (18.0, 0.8), (40.0, 0.9)], None);
    assert_eq!((settled.outcome, settled.time_margin), (Outcome::Passed, Some(12 * S)));
    assert_eq!(settled.decided_at, Some(90 * S - 1));
    let relapse = [(0.0, 6.0), (5.0, 4.0), (12.0, 0.5), (45.0, 2.0), (50.0, 0.5)];
    let relapsed = recovery(&relapse, None);
    assert_eq!((relapsed.outcome, relapsed.time_margin), (Outcome::Failed, Some(-20 * S)));
    let lasting = recovery(&relapse, Some(10 * S));
    assert_eq!((lasting.outcome, lasting.time_margin), (Outcome::Passed, Some(18 * S)));
    assert_eq!(lasting.decided_at, Some(22 * S));
}

#[test]
fn draining_stops_new_requests_in_time() {
    // A pod begins to terminate at 100.2 s; requests still start at 104.9 s and 109.8 s.
    let requests = Signal::from_pulses([99.0, 100.1, 104.9, 109.8].map(seconds), seconds(140.0));
    let claim = |within: f64| Claim::Stops {
        body: Formula::Atom(Atom::holds(0, SignalId(0))),
        within: seconds(within),
        after: Events::once(seconds(100.2)),
        end: Some(seconds(140.0)),
    };
    let trace = Trace::new(vec![requests]);
    let stopped = decide(&claim(10.0), &trace);
    assert_eq!(stopped.outcome, Outcome::Passed);
    assert!((stopped.time_margin.unwrap() - seconds(0.4)).abs() < 10);
    let late = decide(&claim(9.0), &trace);
    assert_eq!(late.outcome, Outcome::Failed);
    assert_eq!(late.decided_at, Some(seconds(109.8)));
}

#[test]
fn a_deadline_includes_its_instant() {
    let claim = |within| Claim::Within { body: at_most(1.0), within, after: Events::once(10 * S) };
    let trace = full(&[(0.0, 5.0), (40.0, 0.5)], 60.0);
    let decision = decide(&claim(30 * S), &trace);
    assert_eq!((decision.outcome, decision.time_margin), (Outcome::Passed, Some(0)));
    assert_eq!(decision.decided_at, Some(40 * S));
    let missed = decide(&claim(30 * S - 1), &trace);
    assert_eq!((missed.outcome, missed.time_margin), (Outcome::Failed, Some(-1)));
    assert_eq!(missed.decided_at, Some(40 * S - 1));
}

#[test]
fn verdicts_before_time_zero_are_dated_too() {
    let claim = |within| Claim::Within { body: at_most(1.0), within, after: Events::once(-9 * S) };
    let trace = full(&[(-10.0, 5.0), (-6.0, 0.5)], 20.0);
    assert_eq!(decide(&claim(4 * S), &trace).decided_at, Some(-6 * S));
    assert_eq!(decide(&claim(2 * S), &trace).decided_at, Some(-7 * S));
}

#[test]
fn a_claim_about_events_that_never_came_was_not_exercised() {
    let claim = |complete| Claim::Within {
        body: at_most(1.0),
        within: S,
        after: Events { instants: vec![], complete },
    };
    let trace = full(&[(0.0, 0.5)], 60.0);
    let never = decide(&claim(true), &trace).outcome;
    assert_eq!(never, Outcome::inconclusive(Leaning::None, Reason::NotExercised, None));
    let not_yet = decide(&claim(false), &trace).outcome;
    assert_eq!(not_yet, Outcome::inconclusive(Leaning::None, Reason::HorizonNotReached, None));
}

#[test]
fn always_passes_only_at_the_end_and_after_the_warm_up() {
    let claim =
        |end| Claim::Always { body: at_most(1.0), spans: vec![Span { start: 10 * S, end }], warm_up: 5 * S };
    // Bad until 15 s: within the warm-up that is not judged.
    let trace = full(&[(0.0, 9.0), (15.0, 0.5)], 50.0);
    let running = decide(&claim(None), &trace).outcome;
    assert_eq!(running, Outcome::inconclusive(Leaning::Passed, Reason::HorizonNotReached, None));
    let ended = decide(&claim(Some(40 * S)), &trace);
    assert_eq!((ended.outcome, ended.decided_at), (Outcome::Passed, Some(40 * S - 1)));
    let failed = decide(&claim(None), &full(&[(0.0, 0.5), (20.0, 1.5)], 50.0));
    assert_eq!((failed.outcome, failed.decided_at), (Outcome::Failed, Some(20 * S)));
    assert_eq!(failed.closest.unwrap().at, 20 * S);
}

#[test]
fn reasons_say_what_was_missing() {
    let claim =
        Claim::Always { body: at_most(1.0), spans: vec![Span { start: 0, end: Some(40 * S) }], warm_up: 0 };
    let points = [(0.0, Some(0.5)), (10.0, None), (20.0, Some(0.5))];
    let decision = decide(&claim, &Trace::new(vec![signal(&points, 50.0)]));
    assert_eq!(decision.outcome, Outcome::inconclusive(Leaning::Passed, Reason::Gap, None));
    assert!((decision.unknown_share - 0.25).abs() < 1e-9);
    let aborted =
        full(&[(0.0, 0.5)], 50.0).signals[0].blanked(30 * S, 40 * S, super::super::signal::Blank::Aborted);
    let decision = decide(&claim, &Trace::new(vec![aborted]));
    assert_eq!(decision.outcome, Outcome::inconclusive(Leaning::Passed, Reason::Aborted, None));
}

#[test]
fn a_limit_that_the_baseline_failed_to_give_decides_nothing() {
    let atom = Atom {
        id: 0,
        signal: SignalId(0),
        subject: Subject::Compares { comparison: Comparison::AtMost, limit: Operand::Pending },
        scale: Scale::FROM_ZERO,
    };
    let claim = Claim::never(Formula::Atom(atom), vec![Span { start: 0, end: Some(10 * S) }], 0);
    let decision = decide(&claim, &full(&[(0.0, 0.5)], 50.0));
    assert_eq!(decision.outcome, Outcome::inconclusive(Leaning::None, Reason::BaselineUnhealthy, None));
}

#[test]
fn until_is_strong_and_unless_is_weak() {
    let (left, right) = (at_most(1.0), compare(0, Comparison::AtLeast, 5.0));
    let after = Events::once(0);
    let until =
        Claim::Until { left: left.clone(), right: right.clone(), within: 20 * S, after: after.clone() };
    let unless = Claim::Unless { left, right, within: 20 * S, after, end: Some(40 * S) };
    let comes = full(&[(0.0, 0.5), (10.0, 6.0)], 40.0);
    let never = full(&[(0.0, 0.5)], 40.0);
    let broken = full(&[(0.0, 0.5), (8.0, 3.0), (10.0, 6.0)], 40.0);
    let outcomes = |claim: &Claim| [&comes, &never, &broken].map(|trace| decide(claim, trace).outcome);
    assert_eq!(outcomes(&until), [Outcome::Passed, Outcome::Failed, Outcome::Failed]);
    assert_eq!(outcomes(&unless), [Outcome::Passed, Outcome::Passed, Outcome::Failed]);
    assert_eq!(decide(&until, &comes).time_margin, Some(10 * S));
    assert_eq!(decide(&until, &broken).decided_at, Some(8 * S));
}

#[test]
fn a_guard_fires_on_time_and_never_on_the_unknown() {
    let formula = compare(0, Comparison::Above, 5.0).lasting(10 * S);
    let mut guard = Guard::new(&formula, &[RANGE]);
    let bad = Some(Interval::exactly(9.0));
    let mut fired = None;
    for tick in 0..400_i64 {
        let now = tick * S / 10;
        let value = if (50..60).contains(&tick) { None } else { bad };
        if guard.update(now, &[value]) == T {
            fired.get_or_insert(now);
        }
    }
    assert_eq!(fired, Some(16 * S));
    assert!(guard.segment_count() < 10);
}

#[test]
fn a_guard_keeps_little_however_often_what_it_watches_changes() {
    let (slow, broken) = (compare(0, Comparison::Above, 5.0), compare(1, Comparison::Above, 0.5));
    let formula = Formula::Or(vec![
        Formula::And(vec![slow.clone().lasting(10 * S), broken.clone()]).lasting(30 * S),
        Formula::Or(vec![slow, broken.negated()]).negated().lasting(60 * S),
    ]);
    let mut guard = Guard::new(&formula, &[RANGE, Interval::SHARE]);
    for i in 0..100_000_i64 {
        // Something of everything, in no order.
        let value = |n: i64, most: i64| match (i * n) % 13 {
            12 => None,
            left => Some(Interval::exactly((left % (most + 1)) as f64)),
        };
        assert_ne!(guard.update(i * S / 1000, &[value(7919, 8), value(104_729, 1)]), T);
        assert!(guard.segment_count() < 60, "{} at {i}", guard.segment_count());
    }
}

#[test]
fn time_does_not_grow_with_the_width_of_the_window() {
    // Looking at every segment in every window would take 100,000 x 50,000 steps for each operator.
    let points = (0..100_000_i64).map(|i| (i, Some(((i * 7919) % 100) as f64)));
    let trace = Trace::new(vec![Signal::from_points(RANGE, points, 100_000)]);
    let until = Formula::Until {
        within: 50_000,
        left: Box::new(at_most(98.0)),
        right: Box::new(at_most(2.0).lasting(50_000)),
    };
    let formula = Formula::And(vec![until, at_most(50.0).always(50_000).eventually(50_000)]);
    let started = std::time::Instant::now();
    assert_eq!(evaluate::<Reading>(&formula, &trace).at(0).truth, F);
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "took {:?}", started.elapsed());
}

#[test]
fn staying_is_judged_once_its_window_is_full() {
    let claim =
        Claim::Stays { body: at_most(1.0), lasting: 20 * S, warm_up: 5 * S, after: Events::once(10 * S) };
    assert_eq!(decide(&claim, &full(&[(0.0, 9.0), (15.0, 0.5)], 40.0)).outcome, Outcome::Passed);
    assert_eq!(decide(&claim, &full(&[(0.0, 0.5), (30.0, 9.0)], 40.0)).outcome, Outcome::Failed);
    assert_eq!(decide(&claim, &full(&[(0.0, 0.5), (30.1, 9.0)], 40.0)).outcome, Outcome::Passed);
    let open = decide(&claim, &full(&[(0.0, 0.5)], 29.0)).outcome;
    assert_eq!(open, Outcome::inconclusive(Leaning::Passed, Reason::HorizonNotReached, None));
    let gapped = [(0.0, Some(0.5)), (20.0, None), (21.0, Some(0.5))];
    let gapped = decide(&claim, &Trace::new(vec![signal(&gapped, 30.0)])).outcome;
    assert_eq!(gapped, Outcome::inconclusive(Leaning::Passed, Reason::Gap, None));
}
