//! Signals: what was measured over time, with everything unknown said to be unknown.
//!
//! A signal is a step function whose values are intervals: a measured value is `[v, v]`, an unknown one the metric's
//! whole physical range. Values hold until the next observation, which is final on arrival; interpolation would invent
//! values and wait for the future. Nothing after the watermark, the last instant heard of, is known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::interval::Interval;
use super::steps::{BEGINNING, FOREVER, Segment, Steps, shifted};
use crate::time::Nanos;

/// Why a stretch of a signal is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Blank {
    /// Nothing was observed, or the last observation is too old, or what came was not a number.
    Gap,
    /// The window held too few samples for the statistic.
    TooFewSamples,
    /// The run had been aborted.
    Aborted,
    /// The next fault had begun.
    NextFault,
}

/// One value of a signal: what is known, and if nothing is, why.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    value: Interval,
    blank: Option<Blank>,
}

/// A metric over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    range: Interval,
    levels: Steps<Level>,
    /// The last instant heard of; all later values are unknown.
    heard: Nanos,
}

impl Signal {
    /// Returns a signal of which nothing is known yet, with the physical range of its metric.
    #[must_use]
    pub fn unknown(range: Interval) -> Self {
        Self { range, levels: Steps::constant(unknown(range, Blank::Gap)), heard: BEGINNING }
    }

    /// Returns the signal with the given values, each of which holds until the next (`None`: unknown), known up to
    /// and including `heard`.
    #[must_use]
    pub(crate) fn from_points(
        range: Interval,
        points: impl IntoIterator<Item = (Nanos, Option<f64>)>,
        heard: Nanos,
    ) -> Self {
        let mut signal = Self::unknown(range);
        for (instant, value) in points {
            match value {
                Some(value) => signal.set(instant, Interval::exactly(value)),
                None => signal.blank(instant, Blank::Gap),
            }
        }
        signal.hear(heard);
        signal.known_until(heard)
    }

    /// Returns the signal of a polled metric: a sample holds for `stale_after`, then the metric is unknown.
    ///
    /// The customary `stale_after` is 2.5 times the polling interval.
    #[must_use]
    pub(crate) fn from_polls(
        range: Interval,
        polls: impl IntoIterator<Item = (Nanos, f64)>,
        stale_after: Nanos,
        heard: Nanos,
    ) -> Self {
        let mut signal = Self::unknown(range);
        let mut stale = BEGINNING;
        for (instant, value) in polls {
            if stale != BEGINNING && stale < instant {
                signal.blank(stale, Blank::Gap);
            }
            signal.set(instant, Interval::exactly(value));
            stale = shifted(instant, stale_after);
        }
        if stale != BEGINNING {
            signal.blank(stale, Blank::Gap);
        }
        signal.hear(heard);
        signal.known_until(heard)
    }

    /// Returns the boolean signal that is true for one nanosecond at each of the given instants, in order.
    #[cfg(test)]
    pub(crate) fn from_pulses(instants: impl IntoIterator<Item = Nanos>, heard: Nanos) -> Self {
        let mut signal = Self::unknown(Interval::BOOLEAN);
        signal.levels = Steps::constant(known(Interval::exactly(0.0)));
        for instant in instants {
            signal.set(instant, Interval::exactly(1.0));
            signal.set(shifted(instant, 1), Interval::exactly(0.0));
        }
        signal.hear(heard);
        signal.known_until(heard)
    }

    /// Returns `factor` times the signal plus `offset`; the factor is not negative.
    #[must_use]
    pub fn scaled(&self, factor: f64, offset: f64) -> Self {
        let scale = |value: Interval| {
            let value = value.scaled(factor);
            Interval { lo: value.lo + offset, hi: value.hi + offset }
        };
        let levels = self.levels.map(|level| Level { value: scale(level.value), ..level });
        Self { range: scale(self.range), levels, heard: self.heard }
    }

    /// Sets the value from `instant` on; NaN or an end that is NaN makes it unknown.
    pub fn set(&mut self, instant: Nanos, value: Interval) {
        if value == Interval::EVERYTHING {
            return self.blank(instant, Blank::Gap);
        }
        self.levels.push(instant, known(value.clamped(self.range)));
    }

    /// Makes the value unknown from `instant` on.
    pub fn blank(&mut self, instant: Nanos, why: Blank) {
        self.levels.push(instant, unknown(self.range, why));
    }

    /// Moves the watermark forward: everything up to and including `instant` has been heard of.
    pub fn hear(&mut self, instant: Nanos) {
        self.heard = self.heard.max(instant);
    }

    /// Returns the physical range of the metric.
    #[must_use]
    pub fn range(&self) -> Interval {
        self.range
    }

    /// Returns the watermark: the last instant heard of.
    #[must_use]
    pub fn heard(&self) -> Nanos {
        self.heard
    }

    /// Returns the value at an instant.
    #[must_use]
    pub fn at(&self, instant: Nanos) -> Interval {
        self.levels.at(instant).value
    }

    /// Returns the values over all time.
    #[must_use]
    pub fn values(&self) -> Steps<Interval> {
        self.levels.map(|level| level.value)
    }

    /// Returns the unknown stretches within `[from, to)` and why each is unknown.
    pub(crate) fn blanks_in(&self, from: Nanos, to: Nanos) -> impl Iterator<Item = Segment<Blank>> + '_ {
        self.levels.segments_in(from, to).filter_map(|segment| {
            segment.value.blank.map(|value| Segment { start: segment.start, end: segment.end, value })
        })
    }

    /// Returns the share of `[from, to)` that is unknown, from 0 to 1.
    #[must_use]
    pub fn unknown_share(&self, from: Nanos, to: Nanos) -> f64 {
        let length = to.saturating_sub(from);
        if length <= 0 {
            return 0.0;
        }
        // In floating point, where several stretches without an end add up too.
        let blank: f64 = self.blanks_in(from, to).map(|s| s.end.saturating_sub(s.start) as f64).sum();
        (blank / length as f64).min(1.0)
    }

    /// Returns the signal as it was known at `watermark`: everything later is unknown.
    #[must_use]
    pub fn known_until(&self, watermark: Nanos) -> Self {
        let mut cut = self.blanked(shifted(watermark, 1), FOREVER, Blank::Gap);
        cut.heard = self.heard.min(watermark);
        cut
    }

    /// Returns the signal with `[from, to)` made unknown, as after an abort.
    #[must_use]
    pub(crate) fn blanked(&self, from: Nanos, to: Nanos, why: Blank) -> Self {
        if from >= to {
            return self.clone();
        }
        let mut inside = Steps::from_points(false, [(from, true)]);
        if to < FOREVER {
            inside.push(to, false);
        }
        let blank = unknown(self.range, why);
        let levels = self.levels.zip(&inside, |level, inside| if inside { blank } else { level });
        Self { levels, ..self.clone() }
    }

    /// Returns the signal with every unknown stretch filled by the value before it, the first one by the value after.
    ///
    /// This is the world as it presumably was; a verdict on it is a leaning, never a verdict.
    #[must_use]
    pub fn filled(&self) -> Self {
        let first = self.levels.segments().map(|s| s.value).find(|level| level.blank.is_none());
        let Some(mut last) = first else { return self.clone() };
        let levels = self.levels.map(|level| {
            if level.blank.is_none() {
                last = level;
            }
            last
        });
        Self { range: self.range, levels, heard: FOREVER }
    }
}

fn known(value: Interval) -> Level {
    Level { value, blank: None }
}

fn unknown(range: Interval, why: Blank) -> Level {
    Level { value: range, blank: Some(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: Interval = Interval { lo: 0.0, hi: 100.0 };

    #[test]
    fn a_poll_holds_until_it_is_stale() {
        let signal = Signal::from_polls(RANGE, [(0, 1.0), (10, 2.0), (50, 3.0)], 25, 200);
        let at = |t| signal.at(t);
        assert_eq!(at(-1), RANGE);
        assert_eq!(at(9), Interval::exactly(1.0));
        assert_eq!(at(34), Interval::exactly(2.0));
        assert_eq!(at(35), RANGE);
        assert_eq!(at(50), Interval::exactly(3.0));
        assert_eq!(at(75), RANGE);
        assert!((signal.unknown_share(0, 75) - 15.0 / 75.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_known_after_the_watermark() {
        let signal = Signal::from_points(RANGE, [(0, Some(1.0))], 10);
        assert_eq!(signal.at(10), Interval::exactly(1.0));
        assert_eq!(signal.at(11), RANGE);
        assert_eq!(signal.known_until(5).at(6), RANGE);
        assert_eq!(signal.known_until(5).heard(), 5);
    }

    #[test]
    fn nan_becomes_unknown_and_says_so() {
        let signal = Signal::from_points(RANGE, [(0, Some(1.0)), (5, Some(f64::NAN)), (8, Some(2.0))], 10);
        let blanks: Vec<_> = signal.blanks_in(0, 11).collect();
        assert_eq!(blanks, [Segment { start: 5, end: 8, value: Blank::Gap }]);
    }

    #[test]
    fn filling_takes_the_value_before_and_at_the_start_the_value_after() {
        let filled = Signal::from_points(RANGE, [(5, Some(1.0)), (8, None), (9, Some(2.0))], 10).filled();
        let values: Vec<f64> = [0, 8, 9, 1_000].into_iter().map(|t| filled.at(t).lo).collect();
        assert_eq!(values, [1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn after_an_abort_nothing_counts_until_the_phase_is_over() {
        let signal = Signal::from_points(RANGE, [(0, Some(1.0)), (20, Some(2.0))], 40);
        let aborted = signal.blanked(10, 30, Blank::Aborted);
        assert_eq!(aborted.at(9), Interval::exactly(1.0));
        assert_eq!(aborted.at(29), RANGE);
        assert_eq!(aborted.at(30), Interval::exactly(2.0));
    }
}
