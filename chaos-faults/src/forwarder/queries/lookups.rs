//! Which queries are of one lookup: what a client asks to resolve one name, in whatever types and domains.

use std::collections::{BTreeMap, VecDeque};

/// How long after the last query of a lookup came the next one may come that is asked at the same time.
const TOGETHER: u64 = 50_000_000;

/// How long after the last query of a lookup was released the next one may come, which waited for its answer.
const MOMENT: u64 = 250_000_000;

/// How many lookups are remembered; what is older is over.
const MOST: usize = 4096;

/// A query of a lookup: its name and type, and what tells it from the same query of another client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) kind: u16,
    /// Its number and where it came from: the same for one that is sent again.
    pub(super) sender: Vec<u8>,
}

/// The lookups that are under way, by what is looked up.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    open: BTreeMap<String, VecDeque<Lookup>>,
    count: usize,
}

#[derive(Debug)]
struct Lookup {
    due: u64,
    /// When its last query came.
    heard: u64,
    /// Until when another query may belong to it.
    until: u64,
    asked: BTreeMap<(String, u16), Vec<u8>>,
}

impl Lookups {
    /// Returns when a query of the lookup of `what` is due, which is at once where the lookup has waited already, and whether
    /// it begins one; `delay` is only called for one that begins.
    pub(super) fn due(
        &mut self,
        what: &str,
        asked: Asked,
        now: u64,
        delay: impl FnOnce() -> u64,
    ) -> (u64, bool) {
        if self.count >= MOST {
            self.forget(now);
        }
        let lookups = self.open.entry(what.to_owned()).or_default();
        let before = lookups.len();
        lookups.retain(|lookup| lookup.until > now);
        self.count -= before - lookups.len();
        let key = (asked.name, asked.kind);
        let again = lookups.iter().position(|lookup| lookup.asked.get(&key) == Some(&asked.sender));
        let lacks = |lookup: &Lookup| !lookup.asked.contains_key(&key);
        // Asked at the same time, or once others were answered; in between it is another client's.
        let together = || lookups.iter().rposition(|lookup| now <= lookup.heard + TOGETHER && lacks(lookup));
        let later = || lookups.iter().position(|lookup| now >= lookup.due && lacks(lookup));
        if let Some(lookup) = again.or_else(together).or_else(later).and_then(|at| lookups.get_mut(at)) {
            lookup.asked.insert(key, asked.sender);
            lookup.heard = now;
            lookup.until = lookup.due.max(now) + MOMENT;
            return (lookup.due.max(now), false);
        }
        let due = now + delay();
        let asked = BTreeMap::from([(key, asked.sender)]);
        lookups.push_back(Lookup { due, heard: now, until: due + MOMENT, asked });
        self.count += 1;
        (due, true)
    }

    /// Forgets what is over, or else everything: a client more is delayed once more.
    fn forget(&mut self, now: u64) {
        self.open.retain(|_, lookups| {
            lookups.retain(|lookup| lookup.until > now);
            !lookups.is_empty()
        });
        self.count = self.open.values().map(VecDeque::len).sum();
        if self.count >= MOST {
            self.open.clear();
            self.count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn asked(name: &str, kind: u16, sender: u8) -> Asked {
        Asked { name: name.into(), kind, sender: vec![sender] }
    }

    #[test]
    fn a_lookup_waits_once_for_all_its_types_and_domains() {
        let mut lookups = Lookups::default();
        let mut due = |name: &str, kind, sender, now: u64| {
            lookups.due("pay", asked(name, kind, sender), now * MS, || 500 * MS)
        };
        assert_eq!(due("pay.lab", 1, 1, 0), (500 * MS, true));
        assert_eq!(due("pay.lab", 28, 2, 1), (500 * MS, false));
        // Sent again.
        assert_eq!(due("pay.lab", 1, 1, 300), (500 * MS, false));
        // The next domain, as soon as the first has answered.
        assert_eq!(due("pay", 1, 3, 501), (501 * MS, false));
        assert_eq!(due("pay", 28, 4, 501), (501 * MS, false));
        // Another client, or the same once more.
        assert_eq!(due("pay.lab", 1, 5, 502), (1002 * MS, true));
        // The moment has passed.
        assert_eq!(due("pay", 15, 6, 2000), (2500 * MS, true));
    }

    #[test]
    fn lookups_at_the_same_time_wait_for_themselves() {
        let mut lookups = Lookups::default();
        let mut due = |kind, sender, now: u64| {
            lookups.due("pay", asked("pay", kind, sender), now * MS, || 100 * MS).0 / MS
        };
        assert_eq!([due(1, 1, 0), due(1, 2, 10), due(28, 3, 11), due(28, 4, 12)], [100, 110, 110, 100]);
        // A client that only asks for AAAA is none that waits for another one's A.
        assert_eq!([due(1, 5, 70), due(28, 6, 130)], [170, 230]);
    }

    #[test]
    fn they_are_bounded() {
        let mut lookups = Lookups::default();
        for n in 0..3 * MOST as u64 {
            lookups.due(&n.to_string(), asked("x", 1, 1), n, || 500 * MS);
        }
        assert!(lookups.count <= MOST && lookups.open.len() <= MOST);
    }
}
