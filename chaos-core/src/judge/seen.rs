//! What claims look at, made once for all that look at the same.
//!
//! Samples of a long run are many, so that going over them costs more than judging what they say. What is made of them is kept
//! while one run is judged, up to a bound.

use std::{cell::RefCell, collections::BTreeMap, ops::Deref, ops::Range, rc::Rc};

use super::{
    Stretch,
    metric::{self, during},
};
use crate::verdict::{
    quantile::Distribution,
    window::{Observation, distribution},
};
use crate::{
    judge::view::RunView,
    model::{Field, Metric},
    probe::Outcome,
    time::Nanos,
};

/// The most observations, and as many values of distributions, that are kept beside the latest ones.
const MOST_KEPT: usize = 4_000_000;

/// Observations within stretches of a run, in the order of intended starts.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    of: Rc<Vec<Observation>>,
    place: Range<usize>,
}

impl Deref for Seen {
    type Target = [Observation];

    fn deref(&self) -> &[Observation] {
        &self.of[self.place.clone()]
    }
}

/// What has been made for each key, the oldest first.
type Made<K, V> = Vec<(K, Rc<V>)>;

/// What has been made of the samples of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    observations: RefCell<Made<Look, Vec<Observation>>>,
    values: RefCell<Made<(Look, Vec<Stretch>), Distribution>>,
    taken: RefCell<BTreeMap<String, Rc<Vec<Nanos>>>>,
}

impl Kept {
    /// Returns what the metric looks at of the whole run.
    pub(super) fn observations(&self, metric: &Metric, view: &RunView<'_>) -> Rc<Vec<Observation>> {
        let make = || metric::observations(metric, view.samples, view.end);
        kept(&self.observations, Look::of(metric), make, Vec::len)
    }

    /// Returns what the metric looks at of some stretches.
    pub(super) fn seen(&self, metric: &Metric, stretches: &[Stretch], view: &RunView<'_>) -> Seen {
        let of = self.observations(metric, view);
        if let [(start, end)] = stretches {
            let first = of.partition_point(|o| o.intended < *start);
            let last = of.partition_point(|o| o.intended < *end).max(first);
            return Seen { of, place: first..last };
        }
        let of = during(stretches, &of).into_owned();
        Seen { place: 0..of.len(), of: Rc::new(of) }
    }

    /// Returns the distribution of what the metric looks at of some stretches.
    pub(super) fn values(
        &self,
        metric: &Metric,
        stretches: &[Stretch],
        view: &RunView<'_>,
    ) -> Rc<Distribution> {
        let make = || distribution(&self.seen(metric, stretches, view));
        kept(&self.values, (Look::of(metric), stretches.to_vec()), make, Distribution::len)
    }

    /// Returns when the measurements of a probe that were taken were meant to start, in order.
    pub(super) fn taken(&self, probe: &str, view: &RunView<'_>) -> Rc<Vec<Nanos>> {
        if let Some(taken) = self.taken.borrow().get(probe) {
            return taken.clone();
        }
        let samples = view.samples.get(probe).into_iter().flatten();
        let mut taken: Vec<Nanos> =
            samples.filter(|s| s.observation.outcome != Outcome::NotRun).map(|s| s.intended).collect();
        taken.sort_unstable();
        let taken = Rc::new(taken);
        self.taken.borrow_mut().insert(probe.to_owned(), taken.clone());
        taken
    }
}

/// Returns what is kept for a key, or makes it; the oldest make room.
fn kept<K: PartialEq, V>(
    all: &RefCell<Made<K, V>>,
    key: K,
    make: impl FnOnce() -> V,
    size: fn(&V) -> usize,
) -> Rc<V> {
    if let Some((_, found)) = all.borrow().iter().find(|(known, _)| *known == key) {
        return found.clone();
    }
    let made = Rc::new(make());
    let mut all = all.borrow_mut();
    while !all.is_empty() && all.iter().map(|(_, one)| size(one)).sum::<usize>() + size(&made) > MOST_KEPT {
        all.remove(0);
    }
    all.push((key, made.clone()));
    made
}

/// What of a metric decides which observations it looks at; two metrics that agree in it have the same.
#[derive(Clone, Debug, PartialEq)]
struct Look {
    probe: String,
    field: Field,
    /// Whether the parts of a latency are looked at, which not every sample has.
    times: bool,
    filter: Vec<(String, Vec<String>, bool)>,
}

impl Look {
    fn of(metric: &Metric) -> Self {
        let parts = metric.field != Field::Latency && !metric.field.is_read();
        let filter = metric.filter.iter().map(|f| (f.label.value.clone(), f.values.clone(), f.negated));
        Look {
            probe: metric.probe.value.clone(),
            field: metric.field,
            times: parts && metric::looks_at_times(metric.function),
            filter: filter.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Function;

    #[test]
    fn metrics_that_look_at_the_same_share_it() {
        let (success, slow) = (Metric::success("get"), Metric::latency("get", 0.99));
        assert_eq!(Look::of(&success), Look::of(&slow));
        assert_ne!(Look::of(&success), Look::of(&Metric::success("put")));
        let part = |function| Metric { function, field: Field::Connect, ..slow.clone() };
        // Of a share every sample counts, of the time to connect only those that have one.
        assert_ne!(Look::of(&part(Function::Quantile(0.99))), Look::of(&part(Function::Success)));
        assert_eq!(Look::of(&part(Function::Quantile(0.99))), Look::of(&part(Function::Max)));
    }

    #[test]
    fn the_oldest_makes_room_for_the_latest() {
        let all = RefCell::new(Vec::new());
        let size = |count: &usize| *count;
        let of = |key: char, count: usize| *kept(&all, key, || count, size);
        assert_eq!(of('a', MOST_KEPT / 2), MOST_KEPT / 2);
        assert_eq!(of('a', 7), MOST_KEPT / 2, "made once");
        assert_eq!(of('b', MOST_KEPT / 2), MOST_KEPT / 2);
        assert_eq!(of('c', 2 * MOST_KEPT), 2 * MOST_KEPT);
        assert_eq!(of('a', 7), 7, "made again");
    }
}
