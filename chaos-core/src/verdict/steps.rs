//! Right-continuous step functions over dense time, and the exact sliding of a window over them.
//!
//! A value given at `t` holds on `[t, next)`. A closed window `[t+a, t+b]` meets the segment `[s, e)` exactly when
//! `s - b <= t < e - a`, so the extremum over a sliding window is again a step function: segments are shifted, nothing
//! is sampled (O. Maler and D. Nickovic, "Monitoring temporal properties of continuous signals", FORMATS 2004;
//! A. Donzé and O. Maler, "Robust satisfaction of temporal logic over real-valued signals", FORMATS 2010).

use crate::time::Nanos;

mod sliding;

pub(crate) use sliding::{Combine, Sliding};

/// The instant before all others; a segment that starts here has no beginning.
pub(crate) const BEGINNING: Nanos = i64::MIN;
/// The instant after all others; a segment that ends here has no end.
pub const FOREVER: Nanos = i64::MAX;

/// Moves an instant by a length; the two ends of time stay where they are.
#[must_use]
pub fn shifted(instant: Nanos, by: Nanos) -> Nanos {
    if instant == BEGINNING || instant == FOREVER {
        instant
    } else {
        instant.saturating_add(by).clamp(BEGINNING + 1, FOREVER - 1)
    }
}

/// A total, right-continuous step function of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps<T> {
    // INVARIANT: not empty, first at `BEGINNING`, strictly increasing instants, neighbours differ.
    points: Vec<(Nanos, T)>,
}

/// One segment `[start, end)` of a step function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment<T> {
    /// The first instant of the segment.
    pub start: Nanos,
    /// The first instant after the segment.
    pub end: Nanos,
    /// The value on the whole segment.
    pub value: T,
}

impl<T: Copy + PartialEq> Steps<T> {
    /// Returns the function that has the same value at all times.
    #[must_use]
    pub fn constant(value: T) -> Self {
        Self { points: vec![(BEGINNING, value)] }
    }

    /// Returns the function that is `before` until the first point, then the value of the latest point.
    ///
    /// Points must come in the order of time; of several points at one instant the last counts.
    #[must_use]
    pub(crate) fn from_points(before: T, points: impl IntoIterator<Item = (Nanos, T)>) -> Self {
        let mut steps = Self::constant(before);
        for (instant, value) in points {
            steps.push(instant, value);
        }
        steps
    }

    /// Sets the value from `instant` on. An instant before the latest step is moved onto that step.
    pub fn push(&mut self, instant: Nanos, value: T) {
        let latest = self.last_change();
        if instant <= latest {
            self.points.pop();
        }
        if self.points.last().is_none_or(|(_, before)| *before != value) {
            self.points.push((instant.max(latest), value));
        }
    }

    fn index_at(&self, instant: Nanos) -> usize {
        self.points.partition_point(|(start, _)| *start <= instant).saturating_sub(1)
    }

    /// Returns the value at an instant.
    #[must_use]
    pub fn at(&self, instant: Nanos) -> T {
        self.points[self.index_at(instant)].1
    }

    /// Returns the instant of the last change, `BEGINNING` when there is none.
    #[must_use]
    pub(crate) fn last_change(&self) -> Nanos {
        self.points.last().map_or(BEGINNING, |(start, _)| *start)
    }

    /// Returns the instants at which the value changes.
    pub fn changes(&self) -> impl Iterator<Item = Nanos> + '_ {
        self.points.iter().skip(1).map(|(start, _)| *start)
    }

    /// Returns the number of segments.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.points.len()
    }

    fn segment(&self, index: usize) -> Segment<T> {
        let (start, value) = self.points[index];
        let end = self.points.get(index + 1).map_or(FOREVER, |(end, _)| *end);
        Segment { start, end, value }
    }

    /// Returns the segments in the order of time.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = Segment<T>> + '_ {
        (0..self.points.len()).map(|index| self.segment(index))
    }

    /// Returns the segments that meet `[from, to)`, cut to it.
    pub fn segments_in(&self, from: Nanos, to: Nanos) -> impl Iterator<Item = Segment<T>> + '_ {
        let first = self.index_at(from);
        (first..self.points.len())
            .map(|index| self.segment(index))
            .take_while(move |segment| segment.start < to)
            .map(move |segment| Segment {
                start: segment.start.max(from),
                end: segment.end.min(to),
                ..segment
            })
            .filter(|segment| segment.start < segment.end)
    }

    /// Applies a function to each value.
    #[must_use]
    pub fn map<U: Copy + PartialEq>(&self, mut change: impl FnMut(T) -> U) -> Steps<U> {
        self.map_segments(|segment| change(segment.value))
    }

    /// Applies a function to each segment.
    #[must_use]
    pub(crate) fn map_segments<U: Copy + PartialEq>(
        &self,
        mut change: impl FnMut(Segment<T>) -> U,
    ) -> Steps<U> {
        let mut segments = self.segments();
        let first = segments.next().map(&mut change).expect("invariant: a step function has a first segment");
        let mut steps = Steps::constant(first);
        for segment in segments {
            steps.push(segment.start, change(segment));
        }
        steps
    }

    /// Combines two functions instant by instant.
    #[must_use]
    pub fn zip<U, V>(&self, other: &Steps<U>, mut combine: impl FnMut(T, U) -> V) -> Steps<V>
    where
        U: Copy + PartialEq,
        V: Copy + PartialEq,
    {
        let (mut i, mut j) = (0, 0);
        let mut steps = Steps::constant(combine(self.points[0].1, other.points[0].1));
        loop {
            let next_self = self.points.get(i + 1).map_or(FOREVER, |point| point.0);
            let next_other = other.points.get(j + 1).map_or(FOREVER, |point| point.0);
            let next = next_self.min(next_other);
            if next == FOREVER {
                return steps;
            }
            if next_self == next {
                i += 1;
            }
            if next_other == next {
                j += 1;
            }
            steps.push(next, combine(self.points[i].1, other.points[j].1));
        }
    }

    /// Combines, for each `t`, the values of all segments that meet `[t + from, t + to]`, in the order of time.
    ///
    /// `combine` must be associative and idempotent enough not to care that a segment counts once however much of it
    /// lies in the window (minimum, maximum, composition of clamps). Takes O(n) in all.
    #[must_use]
    pub(crate) fn slide(&self, from: Nanos, to: Nanos, combine: impl Fn(T, T) -> T) -> Self {
        let mut window = Sliding::new(from, to, combine);
        let mut steps: Option<Self> = None;
        let mut emit = |instant, value| match &mut steps {
            None => steps = Some(Self::constant(value)),
            Some(steps) => steps.push(instant, value),
        };
        for (start, value) in &self.points {
            window.enter(*start, *value, &mut emit);
        }
        window.advance(FOREVER, &mut emit);
        steps.expect("invariant: a step function has a first segment")
    }

    /// Combines, for each `t`, all values on `[t + after, end)`; where that is empty the result is `nothing`.
    #[must_use]
    pub(crate) fn accumulate_to(
        &self,
        after: Nanos,
        end: Nanos,
        nothing: T,
        combine: impl Fn(T, T) -> T,
    ) -> Self {
        let mut tail: Option<T> = None;
        let mut points: Vec<(Nanos, T)> = Vec::with_capacity(self.points.len() + 1);
        if end < FOREVER {
            points.push((shifted(end, after.saturating_neg()), nothing));
        }
        for segment in self.segments().rev().filter(|segment| segment.start < end) {
            let value = tail.map_or(segment.value, |later| combine(segment.value, later));
            tail = Some(value);
            points.push((shifted(segment.start, after.saturating_neg()), value));
        }
        let mut points = points.into_iter().rev();
        let before = points.next().map_or(nothing, |(_, value)| value);
        Self::from_points(before, points)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn random_steps() -> impl Strategy<Value = Steps<i64>> {
        (-5i64..5, prop::collection::vec((1i64..6, -5i64..5), 0..12)).prop_map(|(before, lengths)| {
            let mut instant = 0;
            Steps::from_points(
                before,
                lengths.into_iter().map(|(length, value)| {
                    instant += length;
                    (instant, value)
                }),
            )
        })
    }

    #[test]
    fn a_later_value_at_the_same_instant_replaces_the_earlier_one() {
        let steps = Steps::from_points(0, [(5, 1), (5, 0), (7, 2)]);
        assert_eq!(
            steps.segments().map(|s| (s.start, s.value)).collect::<Vec<_>>(),
            [(BEGINNING, 0), (7, 2)]
        );
    }

    #[test]
    fn a_segment_that_starts_at_the_very_end_of_the_window_counts() {
        let steps = Steps::from_points(1, [(10, 0), (11, 1)]);
        let least = steps.slide(0, 4, i64::min);
        assert_eq!((least.at(5), least.at(6), least.at(10), least.at(11)), (1, 0, 0, 1));
        let past = steps.slide(-4, 0, i64::min);
        assert_eq!((past.at(9), past.at(10), past.at(14), past.at(15)), (1, 0, 0, 1));
    }

    proptest! {
        #[test]
        fn sliding_agrees_with_looking_at_every_instant(steps in random_steps(), from in -8i64..8, length in 0i64..8) {
            let slid = steps.slide(from, from + length, i64::min);
            for instant in -20..90 {
                let least = (instant + from..=instant + from + length).map(|t| steps.at(t)).min();
                prop_assert_eq!(Some(slid.at(instant)), least);
            }
        }

        #[test]
        fn accumulating_agrees_with_looking_at_every_instant(
            steps in random_steps(), after in 0i64..8, end in 1i64..60,
        ) {
            let tail = steps.accumulate_to(after, end, 99, i64::min);
            for instant in -20..80 {
                let least = (instant + after..end).map(|t| steps.at(t)).min().unwrap_or(99);
                prop_assert_eq!(tail.at(instant), least);
            }
        }

        #[test]
        fn minimum_is_the_dual_of_maximum(steps in random_steps(), from in -8i64..8, length in 0i64..8) {
            let dual = steps.map(|v| -v).slide(from, from + length, i64::max).map(|v| -v);
            prop_assert_eq!(steps.slide(from, from + length, i64::min), dual);
        }
    }
}
