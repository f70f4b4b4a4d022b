//! A cache of what claims look at, so that two claims on the same samples share one selection.
//!
//! Selecting from the samples of a long run costs more than judging them. Selections are kept while one run is judged, up to a bound.

use std::{cell::RefCell, collections::BTreeMap, ops::Deref, ops::Range, rc::Rc};

use super::{
    Period,
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

/// Observations within periods of a run, in the order of intended starts.
#[derive(Clone, Debug)]
pub(super) struct Selected {
    of: Rc<Vec<Observation>>,
    place: Range<usize>,
}

impl Deref for Selected {
    type Target = [Observation];

    fn deref(&self) -> &[Observation] {
        &self.of[self.place.clone()]
    }
}

/// The entries of one cache by key, the oldest first.
type Entries<K, V> = Vec<(K, Rc<V>)>;

/// What was selected from the samples of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    observations: RefCell<Entries<Selection, Vec<Observation>>>,
    values: RefCell<Entries<(Selection, Vec<Period>), Distribution>>,
    taken: RefCell<BTreeMap<String, Rc<Vec<Nanos>>>>,
}

impl Cache {
    /// Returns what the metric looks at of the whole run.
    pub(super) fn observations(&self, metric: &Metric, view: &RunView<'_>) -> Rc<Vec<Observation>> {
        let make = || metric::observations(metric, view.samples, view.end);
        kept(&self.observations, Selection::of(metric), make, Vec::len)
    }

    /// Returns what the metric looks at of some periods.
    pub(super) fn within(&self, metric: &Metric, periods: &[Period], view: &RunView<'_>) -> Selected {
        let of = self.observations(metric, view);
        if let [(start, end)] = periods {
            let first = of.partition_point(|o| o.intended < *start);
            let last = of.partition_point(|o| o.intended < *end).max(first);
            return Selected { of, place: first..last };
        }
        let of = during(periods, &of).into_owned();
        Selected { place: 0..of.len(), of: Rc::new(of) }
    }

    /// Returns the distribution of what the metric looks at of some periods.
    pub(super) fn values(&self, metric: &Metric, periods: &[Period], view: &RunView<'_>) -> Rc<Distribution> {
        let make = || distribution(&self.within(metric, periods, view));
        kept(&self.values, (Selection::of(metric), periods.to_vec()), make, Distribution::len)
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
    all: &RefCell<Entries<K, V>>,
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

/// The parts of a metric that decide which observations it looks at; metrics that agree in them share a selection.
#[derive(Clone, Debug, PartialEq)]
struct Selection {
    probe: String,
    field: Field,
    /// Whether the parts of a latency are looked at, which not every sample has.
    times: bool,
    filter: Vec<(String, Vec<String>, bool)>,
}

impl Selection {
    fn of(metric: &Metric) -> Self {
        let parts = metric.field != Field::Latency && !metric.field.is_read();
        let filter = metric.filter.iter().map(|f| (f.label.value.clone(), f.values.clone(), f.negated));
        Selection {
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
        assert_eq!(Selection::of(&success), Selection::of(&slow));
        assert_ne!(Selection::of(&success), Selection::of(&Metric::success("put")));
        let part = |function| Metric { function, field: Field::Connect, ..slow.clone() };
        // Of a share every sample counts, of the time to connect only those that have one.
        assert_ne!(Selection::of(&part(Function::Quantile(0.99))), Selection::of(&part(Function::Success)));
        assert_eq!(Selection::of(&part(Function::Quantile(0.99))), Selection::of(&part(Function::Max)));
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
