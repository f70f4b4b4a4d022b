//! The course of a probe, in as few points as a plot can show: none of its extremes is lost.

use crate::{
    probe::{Outcome, Sample},
    time::Nanos,
};

/// The measurements that were meant to start within a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cell {
    /// Its first instant.
    pub(super) start: Nanos,
    /// One past its last.
    pub(super) end: Nanos,
    /// How many were taken.
    pub(super) taken: usize,
    /// How many of them succeeded.
    pub(super) succeeded: usize,
    /// What was measured; none where nothing was.
    pub(super) values: Option<Values>,
}

/// What was measured, in order statistics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Values {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) p99: f64,
    pub(super) most: f64,
}

/// Splits the time of a run into `count` cells of one length.
pub(super) fn cells(
    samples: &[Sample],
    (from, to): (Nanos, Nanos),
    count: usize,
    value: impl Fn(&Sample) -> Option<f64>,
) -> Vec<Cell> {
    let span = to.saturating_sub(from).max(1);
    let border = |number: usize| from + (i128::from(span) * number as i128 / count as i128) as Nanos;
    let mut all: Vec<(Cell, Vec<f64>)> = (0..count)
        .map(|number| (Cell { start: border(number), end: border(number + 1), ..Cell::default() }, vec![]))
        .collect();
    for sample in samples {
        let number = all.partition_point(|(cell, _)| cell.end <= sample.intended);
        let Some((cell, values)) = all.get_mut(number).filter(|(cell, _)| cell.start <= sample.intended)
        else {
            continue;
        };
        match sample.observation.outcome {
            Outcome::NotRun => continue,
            Outcome::Ok => cell.succeeded += 1,
            Outcome::Failed | Outcome::TimedOut => {}
        }
        cell.taken += 1;
        values.extend(value(sample).filter(|value| value.is_finite()));
    }
    all.into_iter().map(|(cell, values)| Cell { values: of(values), ..cell }).collect()
}

fn of(mut values: Vec<f64>) -> Option<Values> {
    values.sort_by(f64::total_cmp);
    // The order statistic of a quantile, as in the tables beside the plot.
    let at = |q: f64| values.get(((values.len() as f64 * q).ceil() as usize).max(1) - 1).copied();
    Some(Values { least: *values.first()?, median: at(0.5)?, p99: at(0.99)?, most: *values.last()? })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::probe::Observation;

    fn sample(at: Nanos, latency: u64, outcome: Outcome) -> Sample {
        Sample {
            intended: at,
            late: Duration::ZERO,
            latency: Duration::from_nanos(latency),
            from: "here".into(),
            observation: Observation { outcome, ..Observation::ok() },
        }
    }

    fn latency(sample: &Sample) -> Option<f64> {
        (sample.observation.outcome == Outcome::Ok).then_some(sample.latency.as_nanos() as f64)
    }

    proptest! {
        #[test]
        fn every_measurement_is_in_one_cell_and_no_extreme_is_lost(
            all in prop::collection::vec((0..1000_i64, 1..1_000_000_u64, 0..3_u8), 0..300),
            count in 1..50_usize,
        ) {
            let outcome = |n| match n { 0 => Outcome::Ok, 1 => Outcome::Failed, _ => Outcome::NotRun };
            let samples: Vec<Sample> = all.iter().map(|(at, l, n)| sample(*at, *l, outcome(*n))).collect();
            let cells = cells(&samples, (0, 1000), count, latency);
            prop_assert_eq!(cells.len(), count);
            prop_assert_eq!((cells[0].start, cells[count - 1].end), (0, 1000));
            let taken = samples.iter().filter(|s| s.observation.outcome != Outcome::NotRun).count();
            prop_assert_eq!(cells.iter().map(|cell| cell.taken).sum::<usize>(), taken);
            let values: Vec<f64> = samples.iter().filter_map(latency).collect();
            let most = cells.iter().filter_map(|cell| cell.values).map(|v| v.most).max_by(f64::total_cmp);
            prop_assert_eq!(most, values.iter().copied().max_by(f64::total_cmp));
            let least = cells.iter().filter_map(|cell| cell.values).map(|v| v.least).min_by(f64::total_cmp);
            prop_assert_eq!(least, values.iter().copied().min_by(f64::total_cmp));
            for Values { least, median, p99, most } in cells.iter().filter_map(|cell| cell.values) {
                prop_assert!(least <= median && median <= p99 && p99 <= most);
            }
        }
    }
}
