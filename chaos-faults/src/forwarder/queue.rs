//! Packets that are held, by when they are due.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A packet that waits.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    due: u64,
    /// Among packets due at the same moment the first come goes first.
    number: u64,
    arrived: u64,
    frame: Box<[u8]>,
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Packets that are held, up to a number of bytes.
#[derive(Debug)]
pub(super) struct Queue {
    held: BinaryHeap<Held>,
    bytes: usize,
    limit: usize,
    next: u64,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self { held: BinaryHeap::new(), bytes: 0, limit, next: 0 }
    }

    /// Holds a packet until it is due; returns whether there was room for it.
    pub(super) fn push(&mut self, arrived: u64, due: u64, frame: &[u8]) -> bool {
        if self.bytes + frame.len() > self.limit {
            return false;
        }
        self.bytes += frame.len();
        self.held.push(Held { due, number: self.next, arrived, frame: frame.into() });
        self.next += 1;
        true
    }

    /// Returns when the next packet is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.held.peek().map(|held| held.due)
    }

    /// Takes the next packet that is due at `now`, with the moment it came.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<(u64, Box<[u8]>)> {
        if self.next_due()? > now {
            return None;
        }
        let held = self.held.pop()?;
        self.bytes -= held.frame.len();
        Some((held.arrived, held.frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_when_due_and_first_come_first() {
        let mut queue = Queue::new(100);
        for (due, byte) in [(20, 1), (10, 2), (20, 3), (10, 4)] {
            assert!(queue.push(0, due, &[byte]));
        }
        assert_eq!(queue.pop_due(9), None);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop_due(20)).map(|(_, frame)| frame[0]).collect();
        assert_eq!(order, [2, 4, 1, 3]);
    }

    #[test]
    fn bytes_are_bounded_and_come_free_again() {
        let mut queue = Queue::new(10);
        assert!(queue.push(0, 1, &[0; 6]));
        assert!(!queue.push(0, 1, &[0; 5]));
        assert!(queue.push(0, 2, &[0; 4]));
        assert!(queue.pop_due(1).is_some());
        assert!(queue.push(0, 3, &[0; 6]));
    }
}
