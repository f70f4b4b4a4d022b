//! Two streams side by side.

use std::collections::VecDeque;

use crate::{time::Nanos, verdict::steps::FOREVER};

/// Two streams that are read side by side.
#[derive(Debug, Clone)]
pub(super) struct Side<T, U> {
    pub(super) left: Option<T>,
    pub(super) right: Option<U>,
}

impl<T: Copy, U: Copy> Side<T, U> {
    pub(super) const NONE: Self = Self { left: None, right: None };

    /// Takes the steps before `limit` off both streams and hands `emit` both values at each.
    pub(super) fn merge(
        &mut self,
        left: &mut VecDeque<(Nanos, T)>,
        right: &mut VecDeque<(Nanos, U)>,
        limit: Nanos,
        mut emit: impl FnMut(Nanos, T, U),
    ) {
        loop {
            let next_left = left.front().map_or(FOREVER, |(at, _)| *at);
            let next_right = right.front().map_or(FOREVER, |(at, _)| *at);
            let at = next_left.min(next_right);
            if at >= limit {
                return;
            }
            if next_left == at {
                self.left = left.pop_front().map(|(_, value)| value);
            }
            if next_right == at {
                self.right = right.pop_front().map(|(_, value)| value);
            }
            if let (Some(left), Some(right)) = (self.left, self.right) {
                emit(at, left, right);
            }
        }
    }
}
