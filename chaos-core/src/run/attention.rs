//! Whether the runner itself kept running: while it stands still nobody watches the abort conditions, and agents that do not hear of
//! it end their faults.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::time::{Nanos, nanos};

/// When the runner last looked around.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    /// Zero until the first look.
    last: AtomicI64,
}

impl Attention {
    /// Looks around now, and returns for how long the runner had stood still, beyond its usual pause, where that was at least
    /// `least`. A gap is returned to one caller only.
    pub(crate) fn look(&self, now: Nanos, usual: Duration, least: Duration) -> Option<Duration> {
        let last = self.last.fetch_max(now, Ordering::Relaxed);
        if last == 0 {
            return None;
        }
        let gap = now.saturating_sub(last).saturating_sub(nanos(usual));
        (gap >= nanos(least)).then(|| crate::time::duration(gap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_gap_is_one_and_it_is_said_once() {
        let (attention, ms) = (Attention::default(), Duration::from_millis);
        let look = |at: u64| attention.look(nanos(ms(at)), ms(100), ms(2000));
        assert_eq!(look(9000), None, "nothing came before");
        assert_eq!(look(9100), None);
        assert_eq!(look(11_199), None);
        assert_eq!(look(13_299), Some(ms(2000)));
        assert_eq!(look(13_299), None);
        assert_eq!(look(13_200), None, "a late look sees nothing");
        assert_eq!(look(13_400), None);
    }
}
