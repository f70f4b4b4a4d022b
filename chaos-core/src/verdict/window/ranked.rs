//! The one order statistic that a window is asked for, while values enter and leave.

use std::collections::BTreeMap;

use super::super::quantile::rank;

/// Which order statistic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wanted {
    /// The smallest value.
    Least,
    /// The largest value.
    Greatest,
    /// That of rank `ceil(q n)`.
    Quantile(f64),
}

/// A multiset of numbers in two halves, of which the lower ends with the order statistic.
///
/// One value more or less moves the rank by one at most, so each change takes O(log n).
#[derive(Debug, Clone)]
pub(super) struct Ranked {
    wanted: Wanted,
    lower: Half,
    upper: Half,
}

impl Ranked {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self { wanted, lower: Half::default(), upper: Half::default() }
    }

    /// Returns how many values there are.
    pub(super) fn len(&self) -> usize {
        self.lower.len + self.upper.len
    }

    pub(super) fn insert(&mut self, value: f64) {
        let key = Key::of(value);
        let half =
            if self.lower.last().is_some_and(|last| key <= last) { &mut self.lower } else { &mut self.upper };
        half.insert(key);
        self.balance();
    }

    /// Takes out a value that had been inserted.
    pub(super) fn remove(&mut self, value: f64) {
        let key = Key::of(value);
        let half =
            if self.lower.last().is_some_and(|last| key <= last) { &mut self.lower } else { &mut self.upper };
        half.remove(key);
        self.balance();
    }

    /// Returns the order statistic, none of nothing.
    pub(super) fn get(&self) -> Option<f64> {
        let key = match self.wanted {
            Wanted::Least => self.upper.first(),
            Wanted::Greatest => self.upper.last(),
            Wanted::Quantile(_) => self.lower.last(),
        };
        key.map(Key::value)
    }

    fn balance(&mut self) {
        let wanted = match self.wanted {
            // Both ends of one half are at hand.
            Wanted::Least | Wanted::Greatest => 0,
            Wanted::Quantile(q) => rank(q, self.len()),
        };
        while self.lower.len < wanted
            && let Some(key) = self.upper.first()
        {
            self.upper.remove(key);
            self.lower.insert(key);
        }
        while self.lower.len > wanted
            && let Some(key) = self.lower.last()
        {
            self.lower.remove(key);
            self.upper.insert(key);
        }
    }
}

/// A multiset in order.
#[derive(Debug, Clone, Default)]
struct Half {
    counts: BTreeMap<Key, usize>,
    len: usize,
}

impl Half {
    fn first(&self) -> Option<Key> {
        self.counts.first_key_value().map(|(key, _)| *key)
    }

    fn last(&self) -> Option<Key> {
        self.counts.last_key_value().map(|(key, _)| *key)
    }

    fn insert(&mut self, key: Key) {
        *self.counts.entry(key).or_insert(0) += 1;
        self.len += 1;
    }

    fn remove(&mut self, key: Key) {
        let Some(count) = self.counts.get_mut(&key) else {
            debug_assert!(false, "invariant: what leaves had entered");
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&key);
        }
        self.len -= 1;
    }
}

/// A number by its place in the total order of IEEE 754.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(i64);

impl Key {
    fn of(value: f64) -> Self {
        Self(Self::folded(value.to_bits() as i64))
    }

    fn value(self) -> f64 {
        f64::from_bits(Self::folded(self.0) as u64)
    }

    /// Turns the magnitudes of negative numbers around; the same again turns them back.
    fn folded(bits: i64) -> i64 {
        bits ^ (((bits >> 63) as u64) >> 1) as i64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_sorting(
            values in prop::collection::vec((prop_oneof![-4.0..4.0_f64, Just(0.0), Just(-0.0), Just(f64::INFINITY), Just(1.0)], prop::bool::ANY), 1..200),
            q in 0.001..1.0_f64,
        ) {
            let mut sorted: Vec<f64> = Vec::new();
            let mut all = [Wanted::Least, Wanted::Greatest, Wanted::Quantile(q)].map(Ranked::new);
            for (turn, (value, leaves)) in values.iter().enumerate() {
                if *leaves && !sorted.is_empty() {
                    let gone = sorted.remove(turn * 7 % sorted.len());
                    all.iter_mut().for_each(|ranked| ranked.remove(gone));
                } else {
                    sorted.push(*value);
                    sorted.sort_by(f64::total_cmp);
                    all.iter_mut().for_each(|ranked| ranked.insert(*value));
                }
                let at = |index: Option<usize>| index.and_then(|index| sorted.get(index)).map(|value| value.to_bits());
                let expected = [at(Some(0)), at(sorted.len().checked_sub(1)), at(rank(q, sorted.len()).checked_sub(1))];
                let found = all.each_ref().map(|ranked| ranked.get().map(f64::to_bits));
                prop_assert_eq!(found, expected);
                prop_assert!(all.iter().all(|ranked| ranked.len() == sorted.len()));
            }
        }
    }
}
