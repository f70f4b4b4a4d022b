//! How the agent's clock stands to the runner's, as far as pings show.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chaos_core::time::{Nanos, duration};

/// How many exchanges count: with ten in the time of silence, some tens of seconds, in which clocks hardly drift.
const KEPT: usize = 128;

/// The exchanges with one agent.
#[derive(Debug, Default)]
pub(super) struct Alignment {
    exchanges: Mutex<VecDeque<Exchange>>,
}

/// One question and its answer; the times of the runner on its session's clock, that of the agent on its own.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    sent: Nanos,
    answered: Nanos,
    agent: Nanos,
}

/// How far the agent's clock is ahead of the session's, and how wrong that may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub(super) ahead: i128,
    pub(super) uncertainty: Duration,
}

impl Exchange {
    fn round_trip(&self) -> Nanos {
        (self.answered - self.sent).max(0)
    }
}

impl Alignment {
    /// Takes in an exchange.
    pub(super) fn add(&self, sent: Nanos, answered: Nanos, agent: Nanos) {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        if exchanges.len() == KEPT {
            exchanges.pop_front();
        }
        exchanges.push_back(Exchange { sent, answered, agent });
    }

    /// Returns what the fastest exchange says: the agent read its clock between question and answer, so the middle is
    /// wrong by half of the round trip at most.
    pub(super) fn offset(&self) -> Option<Offset> {
        let exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        let best = exchanges.iter().min_by_key(|exchange| exchange.round_trip())?;
        let middle = i128::from(best.sent) + i128::from(best.round_trip()) / 2;
        Some(Offset {
            ahead: i128::from(best.agent) - middle,
            uncertainty: duration(best.round_trip() - best.round_trip() / 2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_exchange_counts_and_old_ones_are_forgotten() {
        let alignment = Alignment::default();
        assert_eq!(alignment.offset(), None);
        alignment.add(1_000, 9_000, 105_000);
        assert_eq!(
            alignment.offset(),
            Some(Offset { ahead: 100_000, uncertainty: Duration::from_nanos(4_000) })
        );
        alignment.add(10_000, 10_200, 110_150);
        let best = Offset { ahead: 100_050, uncertainty: Duration::from_nanos(100) };
        assert_eq!(alignment.offset(), Some(best));
        for _ in 1..KEPT {
            alignment.add(20_000, 21_000, 120_000);
        }
        assert_eq!(alignment.offset(), Some(best));
        alignment.add(20_000, 21_000, 120_000);
        assert_ne!(alignment.offset(), Some(best));
    }

    #[test]
    fn the_middle_is_never_wrong_by_more_than_it_says() {
        // However the way there and the way back share the round trip.
        for there in 0..=100 {
            let alignment = Alignment::default();
            alignment.add(0, 100, 5_000 + there);
            let Offset { ahead, uncertainty } = alignment.offset().unwrap();
            assert!((ahead - 5_000).unsigned_abs() <= uncertainty.as_nanos());
        }
    }
}
