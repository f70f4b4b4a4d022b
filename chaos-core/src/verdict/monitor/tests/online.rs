//! Online evaluation against offline evaluation of every prefix.

use proptest::prelude::*;

use super::properties::{any_formula, any_points, build};
use super::*;

/// Watermarks in seconds, each with the truth and the margin expected there.
type Expected<'a> = &'a [(f64, Truth, f64, f64)];

const RANGES: [Interval; 2] = [Interval { lo: 0.0, hi: 8.0 }; 2];

/// The steps `(instant, value)` of a signal, without what it knows of its end.
fn steps_of(points: &[(i64, Option<u8>)]) -> Vec<(Nanos, Option<Interval>)> {
    let mut t = 0;
    let mut steps = Vec::new();
    for (length, value) in points {
        steps.push((t, value.map(|value| Interval::exactly(f64::from(value)))));
        t += length;
    }
    steps
}

/// Feeds everything up to `watermark` that was not fed yet.
fn feed(
    online: &mut Online<Reading>,
    signal: usize,
    steps: &[(Nanos, Option<Interval>)],
    fed: &mut usize,
    watermark: Nanos,
) {
    while let Some((at, value)) = steps.get(*fed).filter(|(at, _)| *at <= watermark) {
        online.set(SignalId(signal), *at, *value);
        *fed += 1;
    }
}

fn agrees(
    formula: &Formula,
    online: &mut Online<Reading>,
    taken: &mut Vec<(Nanos, Reading)>,
    known: &Trace,
) -> Result<(), TestCaseError> {
    taken.extend(online.take());
    let offline = evaluate::<Reading>(formula, known);
    let frontier = online.frontier();
    if frontier > super::super::super::steps::BEGINNING {
        let mut expected: Vec<(Nanos, Reading)> =
            offline.segments().filter(|s| s.start < frontier).map(|s| (s.start, s.value)).collect();
        expected.dedup_by(|later, earlier| later.1 == earlier.1);
        prop_assert_eq!(&expected, taken, "up to {}", frontier);
    }
    for t in (-3..70).filter(|t| *t >= frontier) {
        prop_assert_eq!(online.at(t), offline.at(t), "at {} of {:?}, final up to {}", t, formula, frontier);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn every_prefix_has_the_value_of_the_prefix(
        formula in any_formula(), x in any_points(), y in any_points(), gaps in prop::collection::vec(1i64..9, 1..20),
    ) {
        let (first, second) = (steps_of(&x), steps_of(&y));
        let (mut of_x, mut of_y) = (0, 0);
        let mut online = Online::new(&formula, &RANGES);
        let mut taken = Vec::new();
        let mut watermark = -1;
        for gap in gaps {
            watermark += gap;
            feed(&mut online, 0, &first, &mut of_x, watermark);
            feed(&mut online, 1, &second, &mut of_y, watermark);
            online.hear(watermark);
            let known = Trace::new(vec![build(&x, watermark, None), build(&y, watermark, None)]);
            agrees(&formula, &mut online, &mut taken, &known)?;
        }
    }

    #[test]
    fn signals_may_be_heard_of_apart(
        formula in any_formula(), x in any_points(), y in any_points(),
        turns in prop::collection::vec((prop::bool::ANY, 1i64..9), 1..20),
    ) {
        let steps = [steps_of(&x), steps_of(&y)];
        let (mut fed, mut heard) = ([0, 0], [-1, -1]);
        let mut online = Online::new(&formula, &RANGES);
        let mut taken = Vec::new();
        for (second, gap) in turns {
            let signal = usize::from(second);
            heard[signal] += gap;
            feed(&mut online, signal, &steps[signal], &mut fed[signal], heard[signal]);
            online.hear_of(SignalId(signal), heard[signal]);
            let known = |points, heard| if heard < 0 { Signal::unknown(RANGES[0]) } else { build(points, heard, None) };
            let known = Trace::new(vec![known(&x, heard[0]), known(&y, heard[1])]);
            agrees(&formula, &mut online, &mut taken, &known)?;
        }
    }

    #[test]
    fn it_does_not_matter_how_much_comes_at_once(
        formula in any_formula(), x in any_points(), y in any_points(), chunk in 1i64..40,
    ) {
        let all = |chunk: i64| {
            let (first, second) = (steps_of(&x), steps_of(&y));
            let (mut of_x, mut of_y) = (0, 0);
            let mut online: Online<Reading> = Online::new(&formula, &RANGES);
            let mut taken = Vec::new();
            for watermark in (0..=80).filter(|t| t % chunk == 0 || *t == 80) {
                feed(&mut online, 0, &first, &mut of_x, watermark);
                feed(&mut online, 1, &second, &mut of_y, watermark);
                online.hear(watermark);
                taken.extend(online.take());
            }
            (taken, online.frontier(), online.at(0))
        };
        prop_assert_eq!(all(chunk), all(1));
    }
}

/// The tables of the definition, watermark by watermark.
#[test]
fn the_interval_at_time_zero_narrows_as_offline() {
    let gapped =
        [(0, Some(0.2)), (10, Some(0.5)), (20, None), (30, Some(0.8)), (40, Some(3.0)), (50, Some(0.4))];
    let recovering = [(0, Some(4.0)), (6, Some(2.0)), (12, Some(0.8)), (18, Some(0.9)), (24, Some(0.7))];
    type Points<'a> = &'a [(i64, Option<f64>)];
    let table: [(Formula, Points<'_>, Expected<'_>); 2] = [
        (
            at_most(1.0).always(59 * S),
            &gapped,
            &[
                (5.0, U, -99.0, 0.8),
                (15.0, U, -99.0, 0.5),
                (25.0, U, -99.0, 0.5),
                (35.0, U, -99.0, 0.2),
                (40.0, F, -99.0, -2.0),
            ],
        ),
        (
            at_most(1.0).always(10 * S).eventually(30 * S),
            &recovering,
            &[
                (0.0, U, -99.0, 1.0),
                (12.0, U, -3.0, 1.0),
                (18.0, U, -1.0, 1.0),
                (21.9, U, -1.0, 1.0),
                (22.0, T, 0.1, 1.0),
            ],
        ),
    ];
    for (formula, points, expected) in table {
        let mut online: Online<Reading> = Online::new(&formula, &[RANGE]);
        let mut points = points.iter().peekable();
        for (watermark, truth, lo, hi) in expected {
            while let Some((at, value)) = points.next_if(|(at, _)| *at as f64 <= *watermark) {
                online.set(SignalId(0), at * S, value.map(Interval::exactly));
            }
            online.hear(seconds(*watermark));
            let found = online.at(0);
            let rounded = |x: f64| (x * 1e9).round() / 1e9;
            let found = (found.truth, rounded(found.margin.lo), rounded(found.margin.hi));
            assert_eq!(found, (*truth, *lo, *hi), "at {watermark}");
        }
    }
}

#[test]
fn memory_is_that_of_the_windows_however_long_the_run() {
    let until = Formula::Until {
        within: 50 * S,
        left: Box::new(at_most(98.0)),
        right: Box::new(at_most(2.0).lasting(60 * S)),
    };
    let past = Formula::Once { from: 10 * S, to: 60 * S, body: Box::new(at_most(1.0)) };
    let formula = Formula::And(vec![until, past, at_most(50.0).always(60 * S).eventually(60 * S)]);
    let mut online: Online<Reading> = Online::new(&formula, &[RANGE]);
    let mut most = [0, 0];
    for i in 0..200_000_i64 {
        let value = ((i * 7919) % 100) as f64;
        online.set(SignalId(0), i * S / 10, Some(Interval::exactly(value)));
        online.hear(i * S / 10);
        online.take().for_each(drop);
        let half = usize::from(i >= 100_000);
        if i >= 5_000 {
            most[half] = most[half].max(online.segment_count());
        }
    }
    assert!(most[1] <= most[0], "{most:?}");
    assert!(most[1] < 10_000, "{most:?}");
}

#[test]
fn a_stretch_to_an_end_keeps_the_steps_of_its_outcome_only() {
    let end = 1_000_000;
    let formula = at_most(50.0).throughout(0, Some(end));
    let mut online: Online<Reading> = Online::new(&formula, &[RANGE]);
    for i in 0..end {
        online.set(SignalId(0), i, Some(Interval::exactly(((i * 7919) % 100) as f64)));
        if i % 1_000 == 0 {
            online.hear(i);
            assert!(online.segment_count() < 200, "{} at {i}", online.segment_count());
        }
    }
    online.hear(end);
    assert_eq!(online.at(0).truth, F);
    assert_eq!(online.frontier(), super::super::super::steps::FOREVER);
}

/// Another monitor (rtamt 0.4.10) given the samples one by one: its value at `t` is the one for `t - h`.
#[test]
fn each_sample_makes_final_what_another_monitor_tells_then() {
    let at_least = |limit| compare(0, Comparison::AtLeast, limit);
    let past = |from, to, body: Formula| Formula::Once { from, to, body: Box::new(body) };
    let table: [(Formula, i64, &[f64]); 6] = [
        (at_most(5.0).always(2 * S), 2, &[-2.0, -2.0, -2.0, -1.0, -1.0, -1.0]),
        (at_least(5.0).eventually(2 * S), 2, &[2.0, 2.0, 2.0, 1.0, 1.0, 1.0]),
        (
            Formula::Eventually { from: S, to: 3 * S, body: Box::new(at_most(4.0).always(S)) },
            4,
            &[0.0, 0.0, 0.0, 2.0],
        ),
        (past(0, 2 * S, at_least(5.0)), 0, &[f64::NAN, f64::NAN, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0]),
        (
            Formula::Until { within: 3 * S, left: Box::new(at_most(5.0)), right: Box::new(at_least(6.0)) },
            3,
            &[1.0, 1.0, 1.0, 0.0, 0.0],
        ),
        (
            Formula::Or(vec![at_least(5.0).negated(), at_most(2.0).eventually(2 * S)]),
            2,
            &[4.0, 3.0, -1.0, 2.0, 1.0, 1.0],
        ),
    ];
    for (formula, h, expected) in table {
        let mut online: Online<Reading> = Online::new(&formula, &[Interval::EVERYTHING]);
        for (t, x) in [1.0, 2.0, 7.0, 3.0, 4.0, 6.0, 2.0, 1.0].into_iter().enumerate() {
            let t = t as i64;
            online.set(SignalId(0), t * S, Some(Interval::exactly(x)));
            online.hear(t * S);
            assert_eq!(online.frontier(), (t - h) * S + 1, "{formula:?}");
            // Before it has a whole window the other monitor says something else.
            if let Some(margin) = usize::try_from(t - h).ok().map(|i| expected[i]).filter(|m| !m.is_nan()) {
                assert_eq!(online.at((t - h) * S).margin, Interval::exactly(margin), "{formula:?} at {t}");
            }
        }
    }
}

/// Windows are lengths of time: a monitor that counts samples reads the value of 5 s for this one.
#[test]
fn windows_do_not_count_samples() {
    let trace = full(&[(0.0, 1.0), (1.0, 2.0), (5.0, 7.0), (6.0, 3.0)], 6.0);
    assert_eq!(read(&at_most(5.0).always(2 * S), &trace, 6.0, 0.0), (T, 3.0, 3.0));
}

/// The table of "x > 5 for 10s", with and without a gap, as its guard sees it.
#[test]
fn a_past_formula_is_final_at_once() {
    let formula = compare(0, Comparison::Above, 5.0).lasting(10 * S);
    let rows: [(bool, Expected<'_>); 2] = [
        (false, &[(5.0, U, -5.0, 1.0), (18.9, F, -1.0, -1.0), (19.0, T, 1.0, 1.0), (25.0, F, -2.0, -2.0)]),
        (true, &[(10.0, U, -5.0, 1.0), (18.9, U, -5.0, 1.0), (19.0, T, 1.0, 1.0), (25.0, F, -2.0, -2.0)]),
    ];
    for (gap, expected) in rows {
        let mut online: Online<Reading> = Online::new(&formula, &[RANGE]);
        let second = if gap { None } else { Some(Interval::exactly(4.0)) };
        let known = |value| Some(Interval::exactly(value));
        let mut points =
            [(0, known(6.0)), (8, second), (9, known(6.0)), (25, known(3.0))].into_iter().peekable();
        for (now, truth, lo, hi) in expected {
            while let Some((at, value)) = points.next_if(|(at, _)| *at as f64 <= *now) {
                online.set(SignalId(0), at * S, value);
            }
            online.hear(seconds(*now));
            assert_eq!(online.frontier(), seconds(*now) + 1);
            let found = online.at(seconds(*now));
            assert_eq!(
                (found.truth, found.margin),
                (*truth, Interval::new(*lo, *hi)),
                "at {now}, gap: {gap}"
            );
        }
    }
}
