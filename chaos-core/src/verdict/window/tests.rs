use proptest::prelude::*;

use super::super::steps::FOREVER;
use super::*;

const S: Nanos = 1_000_000_000;

fn ok(intended: Nanos, latency: f64) -> Observation {
    Observation { intended, completed: intended + (latency * 1e9) as Nanos, answer: Answer::Ok(latency) }
}

fn failed(intended: Nanos) -> Observation {
    Observation { intended, completed: intended + 1_000_000, answer: Answer::Failed }
}

fn windowed(statistic: Statistic, length: Nanos, least_samples: usize) -> Windowed {
    Windowed { least_samples, ..Windowed::new(statistic, length) }
}

#[test]
fn the_window_is_open_on_the_left_and_closed_on_the_right() {
    let observations = [ok(0, 0.1), ok(10 * S, 0.2), ok(20 * S, 0.3)];
    let count = |t| windowed(Statistic::Count, 10 * S, 0).at(t, &observations).unwrap().lo;
    assert_eq!(
        [count(0), count(10 * S), count(10 * S - 1), count(20 * S), count(30 * S)],
        [1.0, 1.0, 1.0, 1.0, 0.0]
    );
    let pair = [ok(10 * S, 0.2), ok(20 * S - 1, 0.3)];
    assert_eq!(windowed(Statistic::Count, 10 * S, 0).at(20 * S - 1, &pair), Some(Interval::exactly(2.0)));
}

#[test]
fn each_statistic_over_a_window() {
    let mut observations: Vec<Observation> = (1..=8).map(|i| ok(i * S, i as f64 / 10.0)).collect();
    observations.push(failed(9 * S));
    observations.push(Observation { intended: 10 * S, completed: 15 * S, answer: Answer::TimedOut(5.0) });
    let at = |statistic| windowed(statistic, 10 * S, 1).at(10 * S, &observations).unwrap();
    assert_eq!(at(Statistic::Success), Interval::exactly(0.8));
    assert_eq!(at(Statistic::Errors), Interval::exactly(0.2));
    assert_eq!(at(Statistic::Count), Interval::exactly(10.0));
    assert_eq!(at(Statistic::Rate), Interval::exactly(1.0));
    assert_eq!(at(Statistic::Min), Interval::exactly(0.1));
    // The error's latency does not count, the timeout's does, as far as it is known.
    assert_eq!(at(Statistic::Quantile(0.5)), Interval::exactly(0.5));
    assert_eq!(at(Statistic::Max), Interval::new(5.0, f64::INFINITY));
    assert_eq!(at(Statistic::Last), Interval::new(5.0, f64::INFINITY));
}

#[test]
fn a_quantile_of_too_few_samples_is_unknown() {
    let p99 = Windowed::new(Statistic::Quantile(0.99), 10 * S);
    assert_eq!(p99.least_samples, 299);
    let samples = |n: i64| (0..n).map(|i| ok(i * 10 * S / n, 0.1)).collect::<Vec<_>>();
    assert_eq!(p99.at(10 * S - 1, &samples(200)), None);
    assert_eq!(p99.at(10 * S - 1, &samples(299)), Some(Interval::exactly(0.1)));
}

#[test]
fn requests_that_could_not_be_made_widen_the_value() {
    let mut observations = vec![ok(1, 0.1), ok(2, 0.2), ok(3, 0.3)];
    observations.push(Observation { intended: 4, completed: 4, answer: Answer::NotRun });
    let at = |statistic| windowed(statistic, 10, 1).at(5, &observations);
    assert_eq!(at(Statistic::Success), Some(Interval::new(0.75, 1.0)));
    assert_eq!(at(Statistic::Errors), Some(Interval::new(0.0, 0.25)));
    assert_eq!(at(Statistic::Quantile(0.5)), Some(Interval::new(0.1, 0.2)));
    let none = [Observation { intended: 4, completed: 4, answer: Answer::NotRun }];
    assert_eq!(windowed(Statistic::Success, 10, 1).at(5, &none), None);
}

#[test]
fn windows_of_expectations_restart_at_phase_edges() {
    // Everything fails before 20 s and nothing after it: right after the edge the past must not show.
    let observations: Vec<Observation> =
        (0..400).map(|i| i * S / 10).map(|t| if t < 20 * S { failed(t) } else { ok(t, 0.1) }).collect();
    let errors = windowed(Statistic::Errors, 10 * S, 1);
    let signal = errors.signal(&observations, &[0, 20 * S], S, 39 * S);
    assert_eq!(signal.at(20 * S - 1), Interval::exactly(1.0));
    assert_eq!(signal.at(20 * S), Interval::exactly(0.0));
    assert_eq!(signal.at(39 * S), Interval::exactly(0.0));
    assert_eq!(signal.at(39 * S + 1), Interval::SHARE);
    let through = errors.replay(&observations, &[20 * S, 25 * S, 31 * S]);
    assert!((through.at(25 * S).lo - 0.49).abs() < 0.02, "{:?}", through.at(25 * S));
    assert_eq!(through.at(31 * S), Interval::exactly(0.0));
}

#[test]
fn nothing_is_known_before_the_first_phase() {
    let signal = windowed(Statistic::Success, S, 1).signal(&[ok(5 * S, 0.1)], &[5 * S], S, 9 * S);
    assert_eq!(signal.at(4 * S), Interval::SHARE);
    assert_eq!(signal.at(5 * S), Interval::exactly(1.0));
    let blanks: Vec<Blank> = signal.blanks_in(6 * S, FOREVER).map(|s| s.value).collect();
    assert_eq!(blanks, [Blank::TooFewSamples, Blank::Gap]);
}

#[test]
fn a_guard_counts_a_timeout_when_it_comes() {
    let late = Observation { intended: S, completed: 3 * S, answer: Answer::TimedOut(2.0) };
    let observations = [ok(S / 2, 0.1), late];
    let signal = windowed(Statistic::Errors, 10 * S, 1).replay(&observations, &[S, 2 * S, 3 * S]);
    assert_eq!(signal.at(2 * S), Interval::exactly(0.0));
    assert_eq!(signal.at(3 * S), Interval::exactly(0.5));
}

#[test]
fn phases_are_cut_by_intended_start() {
    let observations: Vec<Observation> = (0..10).map(|i| ok(i * S, 0.1)).collect();
    assert_eq!(within(&observations, 2 * S, 5 * S).len(), 3);
    assert_eq!(trials(within(&observations, 2 * S, 5 * S)).hits, 3);
    assert_eq!(distribution(&observations).len(), 10);
}

fn any_observations() -> impl Strategy<Value = Vec<Observation>> {
    let one = (0i64..20, 1i64..30, 0u8..10).prop_map(|(after, latency, kind)| (after, latency, kind));
    prop::collection::vec(one, 0..60).prop_map(|steps| {
        let mut intended = 0;
        steps
            .into_iter()
            .map(|(after, latency, kind)| {
                intended += after;
                let answer = match kind {
                    0 => Answer::Failed,
                    1 => Answer::TimedOut(latency as f64),
                    2 => Answer::NotRun,
                    _ => Answer::Ok(latency as f64),
                };
                Observation { intended, completed: intended + latency, answer }
            })
            .collect()
    })
}

const STATISTICS: [Statistic; 8] = [
    Statistic::Quantile(0.9),
    Statistic::Success,
    Statistic::Errors,
    Statistic::Rate,
    Statistic::Count,
    Statistic::Min,
    Statistic::Max,
    Statistic::Last,
];

proptest! {
    #[test]
    fn sliding_agrees_with_starting_afresh(observations in any_observations(), length in 1i64..60, which in 0usize..8) {
        let windowed = windowed(STATISTICS[which], length, 2);
        let settled = 1_300;
        let signal = windowed.signal(&observations, &[0], 7, settled);
        for t in (0..settled).step_by(7) {
            let fresh = windowed.at(t, &observations).unwrap_or(windowed.statistic.range());
            prop_assert_eq!(signal.at(t), fresh, "at {}", t);
        }
    }

    #[test]
    fn a_guard_replayed_saw_what_it_saw_live(observations in any_observations(), length in 1i64..60, which in 0usize..8) {
        let windowed = windowed(STATISTICS[which], length, 1);
        let mut arrivals = observations.clone();
        arrivals.sort_by_key(|o| o.completed);
        let mut live = LiveWindow::new(windowed);
        let mut seen = Vec::new();
        for (i, arrival) in arrivals.iter().enumerate() {
            live.observe(*arrival);
            if arrivals.get(i + 1).is_none_or(|next| next.completed > arrival.completed) {
                seen.push((arrival.completed, live.evaluate(arrival.completed)));
            }
        }
        let instants: Vec<Nanos> = seen.iter().map(|(t, _)| *t).collect();
        let replayed = windowed.replay(&observations, &instants);
        for (t, value) in seen {
            prop_assert_eq!(replayed.at(t), value.unwrap_or(windowed.statistic.range()));
        }
    }

    #[test]
    fn requests_not_made_never_exclude_what_they_would_have_given(observations in any_observations(), which in 0usize..8) {
        let windowed = windowed(STATISTICS[which], 2_000, 1);
        let known: Vec<Observation> = observations
            .iter()
            .map(|o| match o.answer {
                Answer::NotRun | Answer::TimedOut(_) => Observation { answer: Answer::Ok(35.0), ..*o },
                _ => *o,
            })
            .collect();
        // Replacing an answer changes what is counted, so only values of the metric are compared.
        let counts =
            matches!(windowed.statistic, Statistic::Success | Statistic::Errors | Statistic::Count | Statistic::Rate);
        if let (false, Some(seen), Some(truth)) =
            (counts, windowed.at(1_999, &observations), windowed.at(1_999, &known))
        {
            prop_assert!(seen.contains(truth.lo), "{seen:?} without {truth:?}");
        }
    }
}
