//! Whether the outcomes fit a system that holds less and less often with growing intensity.

use super::{Posterior, Question};

/// The probability below which outcomes do not fit.
const ODD: f64 = 0.01;
/// The parts of the range whose trials are looked at together: no two trials are at quite the same level.
const PARTS: usize = 20;

/// Trials that do not fit the rest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Oddity {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) held: usize,
    pub(super) of: usize,
    pub(super) chance: f64,
}

/// Finds the part of the range whose outcomes the posterior finds least probable, if they are improbable enough.
///
/// A single trial never is: the lapse allows for it.
pub(super) fn oddity(posterior: &Posterior, question: &Question, answers: &[(f64, bool)]) -> Option<Oddity> {
    let (low, high) = (question.low().value, question.high().value);
    let part = |level: f64| (((level - low) / (high - low) * PARTS as f64) as usize).min(PARTS - 1);
    let mut parts: Vec<Vec<(f64, bool)>> = vec![Vec::new(); PARTS];
    for (level, held) in answers {
        parts[part(*level)].push((*level, *held));
    }
    let odd = |trials: &Vec<(f64, bool)>| {
        let levels: Vec<f64> = trials.iter().map(|(level, _)| *level).collect();
        let held = trials.iter().filter(|(_, held)| *held).count();
        let predicted = posterior.predict(&levels);
        let (fewer, more): (f64, f64) = (predicted[..=held].iter().sum(), predicted[held..].iter().sum());
        Oddity {
            from: levels.iter().copied().fold(f64::INFINITY, f64::min),
            to: levels.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            held,
            of: trials.len(),
            chance: fewer.min(more),
        }
    };
    let all = parts.iter().filter(|trials| !trials.is_empty()).map(odd);
    all.min_by(|a, b| a.chance.total_cmp(&b.chance)).filter(|oddity| oddity.chance < ODD)
}
