//! What was asked for, by name, type and outcome.

use std::{collections::BTreeMap, time::Duration};

/// How many names are counted one by one; the rest is counted together.
const MOST_NAMES: usize = 512;

/// How many names are said.
const SAID: usize = 5;

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was not meant, or left out by chance.
    Passed,
    /// It was held.
    Delayed,
    /// It was of a lookup that had waited already.
    Released,
    /// It vanished.
    Dropped,
    /// It was answered instead of by its server.
    Answered,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "left alone",
            Outcome::Delayed => "delayed",
            Outcome::Released => "released with their lookup",
            Outcome::Dropped => "dropped",
            Outcome::Answered => "answered",
        }
    }
}

/// What was asked so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Queries that came by.
    pub seen: u64,
    /// Those whose name is meant.
    pub meant: u64,
    /// Those to which something was done.
    pub changed: u64,
    /// Lookups that were delayed.
    pub lookups: u64,
    outcomes: BTreeMap<Outcome, u64>,
    /// By whether it is meant, what was looked up, and the type.
    names: BTreeMap<(bool, String), BTreeMap<String, u64>>,
    /// Queries for names beyond those counted.
    others: u64,
}

impl Tally {
    /// Counts a query for a type, of a lookup of a name.
    pub(super) fn count(&mut self, meant: bool, name: &str, kind: String, outcome: Outcome) {
        self.seen += 1;
        self.meant += u64::from(meant);
        self.changed += u64::from(outcome != Outcome::Passed);
        if meant {
            *self.outcomes.entry(outcome).or_default() += 1;
        }
        let key = (meant, name.to_owned());
        if self.names.len() >= MOST_NAMES && !self.names.contains_key(&key) {
            self.others += 1;
            return;
        }
        *self.names.entry(key).or_default().entry(kind).or_default() += 1;
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Tally) {
        self.seen += other.seen;
        self.meant += other.meant;
        self.changed += other.changed;
        self.lookups += other.lookups;
        self.others += other.others;
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += count;
        }
        for (name, kinds) in &other.names {
            let own = self.names.entry(name.clone()).or_default();
            kinds.iter().for_each(|(kind, count)| *own.entry(kind.clone()).or_default() += count);
        }
    }

    /// Says it for people; `delay` is what was added on average.
    pub fn line(&self, delay: Option<Duration>) -> String {
        if self.meant == 0 {
            return match self.seen {
                0 => "saw no query".to_owned(),
                seen => format!("matched none of {seen} queries: asked for were {}", self.asked(false)),
            };
        }
        let mut line = format!("matched {} of {} queries", self.meant, self.seen);
        for (outcome, count) in &self.outcomes {
            line += &format!(", {} {count}", outcome.word());
            if let (Outcome::Delayed, Some(delay)) = (outcome, delay) {
                line += &format!(" by {:.3} ms on average", delay.as_secs_f64() * 1e3);
            }
        }
        if self.lookups > 0 {
            line += &format!(", in {} lookups", self.lookups);
        }
        line + &format!(": {}", self.asked(true))
    }

    /// Lists the names that were asked for most.
    fn asked(&self, meant: bool) -> String {
        let of = self.names.iter().filter(|((of, _), _)| *of == meant);
        let mut names: Vec<(u64, &str, &BTreeMap<String, u64>)> =
            of.map(|((_, name), kinds)| (kinds.values().sum(), name.as_str(), kinds)).collect();
        names.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let more = names.len().saturating_sub(SAID);
        let said = names.into_iter().take(SAID).map(|(count, name, kinds)| {
            let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            format!("`{name}` {count} ({})", kinds.join(", "))
        });
        let mut out = said.collect::<Vec<_>>().join(", ");
        if more > 0 {
            out += &format!(" and {more} more names");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_a_name_cost() {
        let mut tally = Tally::default();
        for (kind, outcome) in [
            ("A", Outcome::Delayed),
            ("AAAA", Outcome::Delayed),
            ("A", Outcome::Released),
            ("MX", Outcome::Passed),
        ] {
            tally.count(true, "pay.example", kind.into(), outcome);
        }
        tally.count(false, "other", "A".into(), Outcome::Passed);
        let mut twice = tally.clone();
        twice.add(&tally);
        assert_eq!(
            tally.line(Some(Duration::from_millis(500))),
            "matched 4 of 5 queries, left alone 1, delayed 2 by 500.000 ms on average, released with their lookup 1: \
             `pay.example` 4 (A 2, AAAA 1, MX 1)"
        );
        assert_eq!((twice.seen, twice.meant, twice.changed), (10, 8, 6));
    }

    #[test]
    fn what_nobody_asked_for_is_said_and_names_are_bounded() {
        let mut tally = Tally::default();
        assert_eq!(tally.line(None), "saw no query");
        for n in 0..2 * MOST_NAMES {
            tally.count(false, &format!("n{n:04}"), "A".into(), Outcome::Passed);
        }
        assert_eq!((tally.names.len(), tally.others), (MOST_NAMES, MOST_NAMES as u64));
        assert!(
            tally.line(None).starts_with("matched none of 1024 queries: asked for were `n0000` 1 (A 1), ")
        );
    }
}
