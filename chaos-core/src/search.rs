//! The breaking point: at which intensity does an experiment stop to hold?
//!
//! 1. A [`Question`] names a parameter, its range, and how exactly the answer is wanted.
//! 2. Each trial is a whole run at one level, and its [`Outcome`] is read off its record.
//! 3. The [`Posterior`] over the breaking point learns from every trial that answered: at level x the experiment holds with
//!    probability λ/2 + (1 − λ) logistic((x₅₀ − x)/s), with a lapse λ of 2 %.
//! 4. A [`Search`] says what to do next: it starts low, never goes beyond twice the highest level that held, and otherwise
//!    tries a random quantile of the posterior between 25 % and 75 %, from the recorded seed.
//! 5. Its [`Conclusion`] is one number with its interval, or why there is none.
//!
//! Nothing here runs anything or touches a file: the same question, seed and outcomes always give the same next step, which is
//! what lets a search go on after it was stopped.
//!
//! ```
//! use chaos_core::model::{Quantity, Unit};
//! use chaos_core::search::{Conclusion, Next, Outcome, Question, Search};
//!
//! let seconds = |value| Quantity::new(value, Unit::Seconds);
//! let question = Question::new("extra", seconds(0.0), seconds(2.0), seconds(0.04)).unwrap();
//! let mut search = Search::new(question, 7);
//! let conclusion = loop {
//!     match search.next() {
//!         // A system that breaks at exactly 740 ms.
//!         Next::Try(level) => search.learn(level, if level.value < 0.74 { Outcome::Held } else { Outcome::NotHeld }),
//!         Next::Done(conclusion) => break conclusion,
//!     }
//! };
//! let Conclusion::Found { point, .. } = conclusion else { panic!("{conclusion:?}") };
//! assert!((point.value - 0.74).abs() <= 0.04, "{point}");
//! ```

mod conclusion;
mod monotone;
mod outcome;
mod posterior;
mod question;
mod record;

pub use conclusion::Conclusion;
pub use outcome::Outcome;
pub use posterior::Posterior;
pub use question::{LEAST_TOLERANCE, MOST_TOLERANCE, MOST_TRIALS, Question, QuestionError};
pub use record::{Entry, Header, SCHEMA_VERSION, SearchRecord, Trial, UnreadableJournal};

use rand::RngExt as _;

use crate::{model::Quantity, plan::seed};

/// How often a level is tried again when a trial was inconclusive.
const RETRIES: usize = 2;
/// By how much the interval of a few trials is widened: stopping as soon as it is narrow enough costs coverage.
const CARE: f64 = 1.2;
/// From how many answers on it is reported as it is.
const MANY: usize = 15;
/// The credibility of the reported interval.
const CREDIBLE: f64 = 0.9;
/// How often the end of the range must have answered the same before that is the answer.
const ENOUGH_AT_THE_END: usize = 2;
/// By how much a step may exceed the highest level that held.
const BOLDEST_STEP: f64 = 2.0;

/// A search under way: what was asked, and what is known so far.
#[derive(Clone, Debug)]
pub struct Search {
    question: Question,
    seed: u64,
    posterior: Posterior,
    /// Every trial that counts, in order: its level and its result.
    trials: Vec<(f64, Outcome)>,
    /// How many of the trials were before it was taken up again.
    before: usize,
}

/// What a search does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Run the experiment at this level.
    Try(Quantity),
    /// Nothing more.
    Done(Conclusion),
}

impl Search {
    /// Begins a search; `seed` fixes all of its random choices.
    pub fn new(question: Question, seed: u64) -> Self {
        let posterior = Posterior::new(question.low().value, question.high().value);
        Search { question, seed, posterior, trials: Vec::new(), before: 0 }
    }

    /// Returns what is asked.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// Takes in the result of a trial. One that somebody interrupted does not count, and neither teaches anything nor moves
    /// the search on.
    pub fn learn(&mut self, level: Quantity, outcome: Outcome) {
        match outcome {
            Outcome::Interrupted => return,
            Outcome::Held => self.posterior.learn(level.value, true),
            Outcome::NotHeld => self.posterior.learn(level.value, false),
            Outcome::Inconclusive | Outcome::Ended { .. } => {}
        }
        self.trials.push((level.value, outcome));
    }

    /// Takes the search up again after it was stopped: what ended it before ends it no more, and an inconclusive level gets
    /// all of its retries again.
    pub fn resume(&mut self) {
        self.before = self.trials.len();
    }

    /// Says what to do next.
    pub fn next(&self) -> Next {
        let fresh = &self.trials[self.before..];
        if let Some((level, Outcome::Ended { by, reason })) = fresh.last() {
            let (at, by, reason) = (self.quantity(*level), *by, reason.clone());
            return Next::Done(Conclusion::Ended { at, by, reason });
        }
        let lost = fresh.iter().rev().take_while(|(_, outcome)| *outcome == Outcome::Inconclusive).count();
        if lost > RETRIES {
            let at = self.quantity(fresh[fresh.len() - 1].0);
            return Next::Done(Conclusion::Undecided { at, tried: lost });
        }
        let (low, high) = (self.question.start().value, self.question.high().value);
        let (held_low, failed_low) = self.answers_at(low);
        if held_low == 0 && failed_low >= ENOUGH_AT_THE_END {
            return Next::Done(Conclusion::AlreadyFails { at: self.question.start() });
        }
        let failed = self.answers().filter(|(_, held)| !held).count();
        let (held_high, _) = self.answers_at(high);
        if failed == 0 && held_high >= ENOUGH_AT_THE_END {
            return Next::Done(Conclusion::NotFound {
                up_to: self.question.high(),
                reliable: self.reliable(),
            });
        }
        if self.narrow_enough() {
            return Next::Done(self.conclude(true));
        }
        if self.trials.len() >= self.question.most_trials() as usize {
            return Next::Done(self.conclude(false));
        }
        // Until the mildest level has held, nothing harsher is tried.
        let Some(highest) = self.answers().filter(|(_, held)| *held).map(|(x, _)| x).reduce(f64::max) else {
            return Next::Try(self.question.start());
        };
        let boldest = (highest * BOLDEST_STEP).min(high);
        let level = if failed == 0 && boldest >= high {
            // Nothing has failed yet, and the end is within reach: see whether there is anything to be found.
            high
        } else {
            self.posterior.quantile(self.draw()).clamp(low, boldest)
        };
        Next::Try(self.quantity(level))
    }

    /// Returns what is known of the breaking point now: its median, and the reported interval.
    pub fn estimate(&self) -> (Quantity, Quantity, Quantity) {
        let tail = (1.0 - CREDIBLE) / 2.0;
        let point = self.posterior.quantile(0.5);
        let care = self.care();
        let lower = point - care * (point - self.posterior.quantile(tail));
        let upper = point + care * (self.posterior.quantile(1.0 - tail) - point);
        let (low, high) = (self.question.low().value, self.question.high().value);
        let within = |x: f64| self.quantity(x.clamp(low, high));
        (within(point), within(lower), within(upper))
    }

    /// Returns up to which level the experiment holds at least nine times in ten, with 95 % credibility; `None` if that lies
    /// below the range.
    pub fn reliable(&self) -> Option<Quantity> {
        let level = self.posterior.reliable(9.0, 0.05);
        (level >= self.question.low().value).then(|| self.quantity(level.min(self.question.high().value)))
    }

    /// Returns how many trials count so far.
    pub fn counted(&self) -> usize {
        self.trials.len()
    }

    fn quantity(&self, value: f64) -> Quantity {
        Quantity::new(value, self.question.low().unit).as_written()
    }

    /// Returns the trials that answered: where, and whether it held.
    fn answers(&self) -> impl Iterator<Item = (f64, bool)> {
        self.trials.iter().filter_map(|(level, outcome)| match outcome {
            Outcome::Held => Some((*level, true)),
            Outcome::NotHeld => Some((*level, false)),
            Outcome::Inconclusive | Outcome::Ended { .. } | Outcome::Interrupted => None,
        })
    }

    /// Counts how often a level held, and how often it did not.
    fn answers_at(&self, level: f64) -> (usize, usize) {
        let at = || self.answers().filter(move |(x, _)| *x == level);
        (at().filter(|(_, held)| *held).count(), at().filter(|(_, held)| !held).count())
    }

    /// Draws where in the posterior to look next; the same until something answers.
    fn draw(&self) -> f64 {
        let answered = self.answers().count();
        seed::stream(self.seed, &format!("search after {answered} answers")).random_range(0.25..=0.75)
    }

    /// Whether the interval is as narrow as was asked; never before something failed as well as held.
    fn narrow_enough(&self) -> bool {
        let tail = (1.0 - CREDIBLE) / 2.0;
        let width = self.posterior.quantile(1.0 - tail) - self.posterior.quantile(tail);
        let both = self.answers().any(|(_, held)| held) && self.answers().any(|(_, held)| !held);
        both && self.care() * width / 2.0 <= self.question.tolerance().value
    }

    fn care(&self) -> f64 {
        if self.answers().count() >= MANY { 1.0 } else { CARE }
    }

    fn conclude(&self, enough: bool) -> Conclusion {
        let answers: Vec<(f64, bool)> = self.answers().collect();
        if let Some(oddity) = monotone::oddity(&self.posterior, &self.question, &answers) {
            let (from, to) = (self.quantity(oddity.from), self.quantity(oddity.to));
            return Conclusion::NotMonotone {
                from,
                to,
                held: oddity.held,
                of: oddity.of,
                chance: oddity.chance,
            };
        }
        let (point, lower, upper) = self.estimate();
        Conclusion::Found { point, lower, upper, reliable: self.reliable(), enough }
    }
}

#[cfg(test)]
mod tests;
