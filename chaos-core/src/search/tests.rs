use proptest::prelude::*;

use super::*;
use crate::{model::Unit, outcome::Verdict, plan::seed};

fn seconds(value: f64) -> Quantity {
    Quantity::new(value, Unit::Seconds)
}

/// 0 ms .. 2 s to within 40 ms: the range and the tolerance of the figures in the documentation.
fn question() -> Question {
    Question::new("extra", seconds(0.0), seconds(2.0), seconds(0.04)).unwrap()
}

/// Searches a system that answers by a rule, up to `most` steps; returns how each level came out, and the conclusion.
fn searched(
    question: Question,
    seed: u64,
    mut rule: impl FnMut(f64, usize) -> Outcome,
) -> (Vec<(f64, Outcome)>, Conclusion) {
    let mut search = Search::new(question, seed);
    let mut trials = Vec::new();
    loop {
        assert!(trials.len() <= 200, "a search ends: {trials:?}");
        match search.next() {
            Next::Done(conclusion) => return (trials, conclusion),
            Next::Try(level) => {
                let outcome = rule(level.value, trials.len());
                trials.push((level.value, outcome.clone()));
                search.learn(level, outcome);
            }
        }
    }
}

fn edge(at: f64) -> impl FnMut(f64, usize) -> Outcome {
    move |level, _| if level < at { Outcome::Held } else { Outcome::NotHeld }
}

/// What many searches of one kind of system come to.
#[derive(Debug, Default)]
struct Figures {
    runs: usize,
    found: usize,
    covered: usize,
    reliable: usize,
    errors: Vec<f64>,
    trials: Vec<usize>,
}

impl Figures {
    /// Searches systems that hold with probability logistic((x50 − x)/s), without a lapse.
    fn of(scale: f64, runs: usize) -> Figures {
        let mut figures = Figures { runs, ..Figures::default() };
        for run in 0..runs {
            let mut chance = seed::stream(run as u64, "a system");
            let x50 = chance.random_range(0.2..=1.8);
            let holds = |x: f64| 1.0 / (1.0 + ((x - x50) / scale).exp());
            let (trials, conclusion) = searched(question(), run as u64, |level, _| {
                if chance.random_bool(holds(level)) { Outcome::Held } else { Outcome::NotHeld }
            });
            let Conclusion::Found { point, lower, upper, reliable, .. } = conclusion else { continue };
            figures.found += 1;
            figures.covered += usize::from((lower.value..=upper.value).contains(&x50));
            // Without an answer nothing wrong was said.
            figures.reliable += usize::from(reliable.is_none_or(|level| holds(level.value) >= 0.9));
            figures.errors.push((point.value - x50).abs());
            figures.trials.push(trials.len());
        }
        figures.errors.sort_by(f64::total_cmp);
        figures.trials.sort_unstable();
        figures
    }

    fn share(&self, count: usize) -> f64 {
        count as f64 / self.found as f64
    }

    fn p95_error(&self) -> f64 {
        self.errors[self.errors.len() * 95 / 100]
    }

    fn median_trials(&self) -> usize {
        self.trials[self.trials.len() / 2]
    }
}

/// The figures of "Bayes, stop at half-width 40" for systems with an edge of 10, 40 and 120 ms: errors below 24, 53 and 97 ms in
/// 95 of 100 searches, coverage 1.0, 0.84 and 0.86, after 12, 25 and 54 trials, without climbing up to the breaking point first.
/// 120 searches gave coverage 0.99, 0.97 and 0.85, errors below 16, 33 and 75 ms, and 21, 35 and 60 trials.
#[test]
fn the_interval_covers_what_it_says() {
    for (scale, coverage, error, trials) in
        [(0.010, 0.93, 0.030, 25), (0.040, 0.89, 0.055, 42), (0.120, 0.78, 0.120, 60)]
    {
        let figures = Figures::of(scale, 60);
        let said = format!(
            "edge {scale}: found {} of {}, covered {:.2}, p95 error {:.3}, trials {}, reliable {:.2}",
            figures.found,
            figures.runs,
            figures.share(figures.covered),
            figures.p95_error(),
            figures.median_trials(),
            figures.share(figures.reliable)
        );
        // A monotone system is taken for another one in a few of a hundred searches at most.
        assert!(figures.found * 100 >= figures.runs * 93, "{said}");
        assert!(figures.share(figures.covered) >= coverage, "{said}");
        assert!(figures.p95_error() <= error, "{said}");
        assert!(figures.median_trials() <= trials, "{said}");
        assert!(figures.share(figures.reliable) >= 0.88, "{said}");
    }
}

#[test]
fn it_starts_low_and_climbs_by_no_more_than_twice_what_held() {
    let (trials, conclusion) = searched(question(), 3, edge(0.74));
    assert_eq!(trials[0], (0.04, Outcome::Held));
    let mut highest = 0.02;
    for (level, outcome) in &trials {
        assert!(*level <= 2.0 * highest + 1e-9, "{level} after {highest}: {trials:?}");
        if *outcome == Outcome::Held {
            highest = f64::max(highest, *level);
        }
    }
    let Conclusion::Found { point, lower, upper, reliable, enough: true } = conclusion else {
        panic!("{conclusion:?}")
    };
    assert!((point.value - 0.74).abs() <= 0.04, "{point}");
    assert!(
        lower.value <= 0.74 && 0.74 <= upper.value && upper.value - lower.value <= 0.081,
        "{lower} {upper}"
    );
    assert!(reliable.is_some_and(|level| level.value <= 0.74), "{reliable:?}");
}

#[test]
fn nothing_is_found_where_the_harshest_level_holds() {
    let (trials, conclusion) = searched(question(), 1, edge(9.0));
    let Conclusion::NotFound { up_to, reliable } = conclusion else { panic!("{conclusion:?}") };
    assert_eq!(up_to, seconds(2.0));
    assert!(reliable.is_some_and(|level| level.value > 0.9), "{reliable:?}");
    assert_eq!(trials.iter().filter(|(level, _)| *level == 2.0).count(), 2);
    assert!(trials.len() <= 9, "{trials:?}");
}

#[test]
fn what_fails_at_once_is_said_after_trying_the_mildest_level_twice() {
    let (trials, conclusion) = searched(question(), 1, edge(0.0));
    assert_eq!(conclusion, Conclusion::AlreadyFails { at: seconds(0.04) });
    assert_eq!(trials, vec![(0.04, Outcome::NotHeld); 2]);
    // Once is not an answer yet.
    let (_, conclusion) =
        searched(
            question(),
            1,
            |level, n| {
                if n > 0 && level < 0.5 { Outcome::Held } else { Outcome::NotHeld }
            },
        );
    assert!(matches!(conclusion, Conclusion::Found { .. }), "{conclusion:?}");
}

#[test]
fn a_range_that_begins_above_nothing_begins_at_its_low_end() {
    let question = Question::new("extra", seconds(0.1), seconds(2.0), seconds(0.04)).unwrap();
    let (trials, _) = searched(question, 1, edge(0.5));
    assert_eq!(trials[0].0, 0.1);
}

#[test]
fn an_inconclusive_level_is_tried_three_times_and_teaches_nothing() {
    let (trials, conclusion) =
        searched(question(), 5, |level, _| if level < 0.3 { Outcome::Held } else { Outcome::Inconclusive });
    let (last, _) = trials[trials.len() - 1];
    assert_eq!(conclusion, Conclusion::Undecided { at: seconds(last), tried: 3 });
    assert!(
        trials[trials.len() - 3..].iter().all(|(level, o)| *level == last && *o == Outcome::Inconclusive)
    );
    // Twice is made up for.
    let mut lost = 0;
    let (trials, conclusion) = searched(question(), 5, |level, _| {
        if level >= 0.3 && lost < 2 {
            lost += 1;
            return Outcome::Inconclusive;
        }
        edge(0.74)(level, 0)
    });
    assert_eq!(trials.iter().filter(|(_, o)| *o == Outcome::Inconclusive).count(), 2);
    assert!(matches!(conclusion, Conclusion::Found { .. }), "{conclusion:?}");
}

#[test]
fn what_did_not_take_place_ends_it_until_it_is_taken_up_again() {
    for by in [Verdict::Refused, Verdict::NotPermitted, Verdict::NotRestored] {
        let ended = Outcome::Ended { by, reason: "why".into() };
        let mut search = Search::new(question(), 1);
        search.learn(seconds(0.04), Outcome::Held);
        search.learn(seconds(0.08), ended);
        let conclusion = Conclusion::Ended { at: seconds(0.08), by, reason: "why".into() };
        assert_eq!(search.next(), Next::Done(conclusion));
        search.resume();
        assert_eq!(search.next(), Next::Try(seconds(0.08)));
    }
}

#[test]
fn an_interrupted_trial_does_not_count() {
    let mut search = Search::new(question(), 1);
    search.learn(seconds(0.04), Outcome::Held);
    let next = search.next();
    search.learn(seconds(0.08), Outcome::Interrupted);
    assert_eq!(search.next(), next);
    assert_eq!(search.counted(), 1);
}

#[test]
fn used_up_trials_leave_what_is_known() {
    let (trials, conclusion) = searched(question().at_most(6), 1, edge(0.74));
    assert_eq!(trials.len(), 6);
    let Conclusion::Found { lower, upper, enough: false, .. } = conclusion else { panic!("{conclusion:?}") };
    assert!(lower.value < 0.74 && 0.74 < upper.value);
    assert!(!conclusion.is_answer());
}

#[test]
fn a_band_that_fails_is_no_breaking_point() {
    // Fails between 400 and 600 ms only: whoever goes on beyond sees that there is no single number.
    let mut refused = 0;
    for seed in 0..20 {
        let (_, conclusion) = searched(question().at_most(40), seed, |level, trial| {
            // The first trials of the band happen to hold, so that the search sees both sides of it.
            if (0.4..0.6).contains(&level) && trial > 6 { Outcome::NotHeld } else { edge(1.0)(level, trial) }
        });
        match conclusion {
            Conclusion::NotMonotone { from, to, held, of, chance } => {
                refused += 1;
                assert!(from.value <= to.value && held <= of && chance < 0.01);
            }
            // Where it never looked into the band again, its number is right.
            Conclusion::Found { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let answers: Vec<(f64, bool)> = [0.1, 0.2, 0.4]
        .map(|x| (x, true))
        .into_iter()
        .chain([0.5; 6].map(|x| (x, false)))
        .chain([0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8].map(|x| (x, true)))
        .collect();
    let mut posterior = Posterior::new(0.0, 2.0);
    answers.iter().for_each(|(x, held)| posterior.learn(*x, *held));
    let oddity = monotone::oddity(&posterior, &question(), &answers).expect("six against the rest are odd");
    assert_eq!((oddity.held, oddity.of, oddity.from), (0, 6, 0.5));
    assert!(refused <= 20);
}

#[test]
fn one_outlier_is_a_lapse() {
    let (_, conclusion) =
        searched(
            question(),
            9,
            |level, trial| {
                if trial == 2 { Outcome::NotHeld } else { edge(0.74)(level, trial) }
            },
        );
    let Conclusion::Found { point, .. } = conclusion else { panic!("{conclusion:?}") };
    assert!((point.value - 0.74).abs() < 0.1, "{point}");
}

#[test]
fn questions_that_cannot_be_answered_are_refused() {
    let ask =
        |low, high, within| Question::new("x", seconds(low), seconds(high), seconds(within)).unwrap_err();
    assert!(matches!(ask(1.0, 1.0, 0.1), QuestionError::Empty { .. }));
    assert!(matches!(ask(0.0, 2.0, 0.001), QuestionError::Tolerance { .. }));
    assert!(matches!(ask(0.0, 2.0, 0.6), QuestionError::Tolerance { .. }));
    assert!(matches!(ask(0.0, 1.2345, 0.1), QuestionError::Digits { .. }));
    let mixed = Question::new("x", seconds(0.0), Quantity::ratio(0.5), seconds(0.1)).unwrap_err();
    assert_eq!(mixed, QuestionError::Units);
    assert!(Question::new("x", seconds(0.0), seconds(2.0), seconds(0.01)).is_ok());
    assert!(Question::new("x", seconds(0.0), seconds(2.0), seconds(0.5)).is_ok());
}

#[test]
fn the_posterior_is_what_bayes_says() {
    let mut posterior = Posterior::new(0.0, 2.0);
    assert!((posterior.quantile(0.5) - 1.0).abs() < 1e-9);
    assert!((posterior.quantile(0.05) - 0.1).abs() < 0.01);
    // Held at the very middle: the breaking point is above it with the probability that the two halves give.
    posterior.learn(1.0, true);
    let predicted = posterior.predict(&[1.0]);
    assert!((predicted[0] + predicted[1] - 1.0).abs() < 1e-9);
    assert!(posterior.quantile(0.5) > 1.4 && predicted[1] > 0.8);
    // Of two trials, each count has its share.
    let both = posterior.predict(&[0.5, 1.9]);
    assert_eq!(both.len(), 3);
    assert!((both.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    // The chance to hold: one half at the point, and never beyond what the lapse allows.
    assert!((posterior::holds(1.0, 1.0, 0.1) - 0.5).abs() < 1e-12);
    assert!((posterior::holds(0.0, 1.0, 0.001) - 0.99).abs() < 1e-9);
    assert!((posterior::holds(2.0, 1.0, 0.001) - 0.01).abs() < 1e-9);
}

fn header(question: Question) -> Header {
    Header {
        version: SCHEMA_VERSION,
        search: "s1".into(),
        experiment: "e".into(),
        question,
        seed: 3,
        started: "2026-03-01T10:00:00Z".parse().unwrap(),
        scenario: "0".into(),
    }
}

fn trial(number: u32, level: Quantity, outcome: Outcome) -> Trial {
    Trial {
        number,
        level,
        run: Some(format!("r{number}")),
        outcome,
        verdict: None,
        reason: String::new(),
        took: std::time::Duration::from_secs(9),
    }
}

#[test]
fn a_search_goes_on_where_its_journal_ends() {
    let whole = {
        let mut record = SearchRecord::new(header(question()));
        while let Next::Try(level) = record.search().next() {
            let number = record.trials.len() as u32 + 1;
            record.push(trial(number, level, edge(0.74)(level.value, 0)));
        }
        record
    };
    let line = |entry: &Entry| serde_json::to_string(entry).unwrap() + "\n";
    for cut in 0..whole.trials.len() {
        let mut journal = line(&Entry::Search(Box::new(whole.header.clone())));
        for done in &whole.trials[..cut] {
            let run = done.run.clone().unwrap();
            journal += &line(&Entry::Begun { number: done.number, level: done.level, run });
            journal += &line(&Entry::Over(done.clone()));
        }
        // The crash came while the next trial was under way, or while its end was written down.
        let next = &whole.trials[cut];
        journal += &line(&Entry::Begun { number: next.number, level: next.level, run: "r".into() });
        let half = line(&Entry::Over(next.clone()));
        for tail in ["", &half[..half.len() / 2]] {
            let mut record = SearchRecord::read(&format!("{journal}{tail}")).unwrap();
            record.resume();
            while let Next::Try(level) = record.search().next() {
                let number = record.trials.len() as u32 + 1;
                record.push(trial(number, level, edge(0.74)(level.value, 0)));
            }
            assert_eq!(record.trials, whole.trials);
            assert_eq!(record.conclusion, whole.conclusion);
            assert!(whole.conclusion.is_some());
        }
    }
}

#[test]
fn journals_that_are_none_are_refused() {
    assert!(matches!(SearchRecord::read(""), Err(UnreadableJournal::NoHeader)));
    assert!(matches!(SearchRecord::read("{}\n"), Err(UnreadableJournal::NoHeader)));
    let mut newer = header(question());
    newer.version = 2;
    let line = serde_json::to_string(&Entry::Search(Box::new(newer))).unwrap();
    assert!(matches!(SearchRecord::read(&(line + "\n")), Err(UnreadableJournal::Version(2))));
    let line = serde_json::to_string(&Entry::Search(Box::new(header(question())))).unwrap();
    let spoiled = format!("{line}\nnonsense\n{line}\n");
    assert!(matches!(SearchRecord::read(&spoiled), Err(UnreadableJournal::Line { line: 2, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However the outcomes fall, a search ends within its trials, never tries what is not allowed, and is a function of them.
    #[test]
    fn every_search_ends_within_its_bounds(
        seed in any::<u64>(),
        most in 1_u32..30,
        outcomes in prop::collection::vec(0..10_u8, 40),
    ) {
        let question = question().at_most(most);
        let rule = |_: f64, n: usize| match outcomes[n] {
            0..=4 => Outcome::Held,
            5..=8 => Outcome::NotHeld,
            _ => Outcome::Inconclusive,
        };
        let (trials, conclusion) = searched(question.clone(), seed, rule);
        prop_assert!(trials.len() <= most as usize);
        prop_assert_eq!(&searched(question, seed, rule), &(trials.clone(), conclusion));
        let mut highest = 0.02;
        for (level, outcome) in trials {
            prop_assert!((0.04..=2.0).contains(&level) && level <= 2.0 * highest + 0.006, "{level} {highest}");
            prop_assert_eq!(seconds(level).as_written().value, level);
            if outcome == Outcome::Held {
                highest = f64::max(highest, level);
            }
        }
    }

    /// More that held moves the breaking point up, more that failed moves it down.
    #[test]
    fn evidence_moves_the_right_way(levels in prop::collection::vec((0.0..2.0_f64, any::<bool>()), 0..12), at in 0.1..1.9_f64) {
        let mut posterior = Posterior::new(0.0, 2.0);
        levels.iter().for_each(|(x, held)| posterior.learn(*x, *held));
        let middle = posterior.quantile(0.5);
        let after = |held| {
            let mut posterior = posterior.clone();
            posterior.learn(at, held);
            posterior.quantile(0.5)
        };
        prop_assert!(after(true) >= middle - 1e-9 && after(false) <= middle + 1e-9);
        let quantiles: Vec<f64> = (0..=20).map(|i| posterior.quantile(f64::from(i) / 20.0)).collect();
        prop_assert!(quantiles.windows(2).all(|w| w[0] <= w[1]));
    }
}
