//! What must hold of every formula on every trace.

use proptest::prelude::*;

use super::super::super::steps::shifted;
use super::*;

pub(super) type Points = Vec<(i64, Option<u8>)>;

pub(super) fn any_points() -> impl Strategy<Value = Points> {
    prop::collection::vec((1i64..8, prop::option::weighted(0.8, 0u8..9)), 1..12)
}

pub(super) fn build(points: &Points, heard: Nanos, fill: Option<&[u8]>) -> Signal {
    let mut t = 0;
    let mut segments = Vec::new();
    for (i, (length, value)) in points.iter().enumerate() {
        let value = value.or(fill.map(|fill| fill[i % fill.len()]));
        segments.push((t, value.map(f64::from)));
        t += length;
    }
    Signal::from_points(Interval { lo: 0.0, hi: 8.0 }, segments, heard)
}

pub(super) fn any_formula() -> impl Strategy<Value = Formula> {
    let comparisons = prop::sample::select(vec![
        Comparison::AtMost,
        Comparison::Below,
        Comparison::AtLeast,
        Comparison::Above,
        Comparison::Equal,
    ]);
    let leaf = (0usize..2, comparisons, 0u8..9).prop_map(|(s, c, limit)| compare(s, c, f64::from(limit)));
    leaf.prop_recursive(3, 12, 2, |inner| {
        let window = (0i64..6, 0i64..8);
        prop_oneof![
            inner.clone().prop_map(Formula::negated),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Formula::And),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Formula::Or),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Formula::Implies(Box::new(a), Box::new(b))),
            (window.clone(), inner.clone(), 0u8..4).prop_map(|((from, length), body, which)| {
                let (to, body) = (from + length, Box::new(body));
                match which {
                    0 => Formula::Always { from, to, body },
                    1 => Formula::Eventually { from, to, body },
                    2 => Formula::Historically { from, to, body },
                    _ => Formula::Once { from, to, body },
                }
            }),
            (inner.clone(), inner.clone(), 0i64..8).prop_map(|(left, right, within)| Formula::Until {
                within,
                left: Box::new(left),
                right: Box::new(right)
            }),
            (inner, 0i64..8, prop::option::of(1i64..60))
                .prop_map(|(body, after, end)| body.throughout(after, end)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn margin_and_truth_never_contradict(formula in any_formula(), x in any_points(), y in any_points(), heard in 0i64..60) {
        let trace = Trace::new(vec![build(&x, heard, None), build(&y, heard, None)]);
        for segment in evaluate::<Reading>(&formula, &trace).segments() {
            let Reading { truth, margin } = segment.value;
            prop_assert!(margin.lo <= margin.hi);
            prop_assert!(margin.lo <= 0.0 || truth == T, "{:?}", segment);
            prop_assert!(margin.hi >= 0.0 || truth == F, "{:?}", segment);
            prop_assert!(truth != T || margin.lo >= 0.0, "{:?}", segment);
            prop_assert!(truth != F || margin.hi <= 0.0, "{:?}", segment);
        }
    }

    #[test]
    fn no_completion_of_the_gaps_leaves_the_interval(
        formula in any_formula(), x in any_points(), y in any_points(), fill in prop::collection::vec(0u8..9, 5),
    ) {
        let gapped = Trace::new(vec![build(&x, 200, None), build(&y, 200, None)]);
        let complete = Trace::new(vec![build(&x, 200, Some(&fill)), build(&y, 200, Some(&fill))]);
        let (seen, truth) = (evaluate::<Reading>(&formula, &gapped), evaluate::<Reading>(&formula, &complete));
        for t in -10..100 {
            let (seen, truth) = (seen.at(t), truth.at(t));
            prop_assert!(seen.margin.lo <= truth.margin.lo && truth.margin.hi <= seen.margin.hi, "at {}", t);
            prop_assert!(seen.truth == U || seen.truth == truth.truth, "at {}", t);
        }
    }

    #[test]
    fn a_verdict_on_a_prefix_is_the_verdict_on_the_whole(
        formula in any_formula(), x in any_points(), y in any_points(), watermark in 0i64..60, at in 0i64..20,
    ) {
        let whole = Trace::new(vec![build(&x, 200, None), build(&y, 200, None)]);
        let early = evaluate::<Reading>(&formula, &whole.known_until(watermark)).at(at);
        let late = evaluate::<Reading>(&formula, &whole).at(at);
        prop_assert!(early.truth == U || early.truth == late.truth);
        prop_assert!(early.margin.lo <= late.margin.lo && late.margin.hi <= early.margin.hi);
        // What was known then is what a run that had stopped then would have seen.
        let stopped = Trace::new(vec![build(&x, watermark, None), build(&y, watermark, None)]);
        prop_assert_eq!(early, evaluate::<Reading>(&formula, &stopped).at(at));
    }

    #[test]
    fn what_lies_past_the_latest_decision_does_not_matter(
        formula in any_formula(), x in any_points(), y in any_points(), at in 0i64..20,
    ) {
        if let Some(latest) = latest_decision(&formula, at) {
            let whole = Trace::new(vec![build(&x, 400, None), build(&y, 400, None)]);
            let known = whole.known_until(latest.max(at));
            prop_assert_eq!(
                evaluate::<Reading>(&formula, &known).at(at),
                evaluate::<Reading>(&formula, &whole).at(at)
            );
        }
    }

    #[test]
    fn negation_and_shift_are_dual(formula in any_formula(), x in any_points(), y in any_points(), by in 0i64..9, length in 0i64..9) {
        let trace = Trace::new(vec![build(&x, 60, None), build(&y, 60, None)]);
        let value = |formula: &Formula| evaluate::<Reading>(formula, &trace);
        let twice = formula.clone().negated().negated();
        prop_assert_eq!(value(&twice), value(&formula));
        let body = Box::new(formula.clone());
        let always = value(&Formula::Always { from: by, to: by + length, body: body.clone() });
        let not_eventually = Formula::Eventually { from: by, to: by + length, body: Box::new(formula.negated()) };
        prop_assert_eq!(&always, &value(&not_eventually.negated()));
        // A window ahead is the same window behind, seen from its other side.
        let historically = value(&Formula::Historically { from: 0, to: length, body });
        for t in 0..80 {
            prop_assert_eq!(always.at(t), historically.at(shifted(t, by + length)));
        }
    }

    #[test]
    fn until_agrees_with_its_definition(x in any_points(), y in any_points(), within in 0i64..12) {
        let trace = Trace::new(vec![build(&x, 60, None), build(&y, 60, None)]);
        let (left, right) = (compare(0, Comparison::AtMost, 4.0), compare(1, Comparison::AtLeast, 4.0));
        let (p, q) = (evaluate::<Reading>(&left, &trace), evaluate::<Reading>(&right, &trace));
        let until = Formula::Until { within, left: Box::new(left), right: Box::new(right) };
        let found = evaluate::<Reading>(&until, &trace);
        for t in -5..80 {
            let mut best = Reading::BOTTOM;
            let mut held = Reading::TOP;
            for s in t..=t + within {
                best = best.join(q.at(s).meet(held));
                held = held.meet(p.at(s));
            }
            prop_assert_eq!(found.at(t), best, "at {}", t);
        }
    }

    #[test]
    fn a_guard_online_agrees_with_the_past_read_offline(x in any_points(), length in 0i64..9, limit in 0u8..9) {
        let formula = Formula::Or(vec![
            compare(0, Comparison::Above, f64::from(limit)).lasting(length),
            Formula::Once { from: 1, to: length + 1, body: Box::new(compare(0, Comparison::Equal, 3.0)) },
        ]);
        let signal = build(&x, 60, None);
        let mut guard = Guard::new(&formula, &[signal.range()]);
        for now in 0..60 {
            let value = signal.at(now);
            let online = guard.update(now, &[value.is_exact().then_some(value)]);
            let offline = evaluate::<Reading>(&formula, &Trace::new(vec![signal.known_until(now)])).at(now);
            prop_assert_eq!(online, offline.truth, "at {}", now);
        }
    }

    #[test]
    fn a_decision_was_open_just_before_it_fell(x in any_points(), within in 1i64..20, lasting in prop::option::of(0i64..10)) {
        let claim = Claim::Settles {
            body: at_most(4.0), within, lasting, after: Events::once(3), end: Some(40),
        };
        let trace = Trace::new(vec![build(&x, 60, None)]);
        if let Some(instant) = decided_at(&claim, &trace) {
            let outcome = decide(&claim, &trace).outcome;
            prop_assert_eq!(decide(&claim, &trace.known_until(instant)).outcome, outcome);
            prop_assert!(!decide(&claim, &trace.known_until(instant - 1)).outcome.is_decided());
        }
    }
}
