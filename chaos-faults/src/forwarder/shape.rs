//! What is asked of a link.

use std::time::Duration;

pub use chaos_core::model::packets::Distribution;

use crate::{bpf::Loss, share::Share};

/// What is asked of a link; the default changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// How much later packets go on.
    pub delay: Duration,
    /// How far each packet's delay may differ: half the width, or one standard deviation. Packets overtake each other
    /// when it exceeds the distance between them, unless they are to stay in order.
    pub jitter: Duration,
    /// How much of a packet's deviation the next one inherits, as a fraction.
    pub correlation: f64,
    /// How deviations are distributed.
    pub distribution: Distribution,
    /// Whether a packet waits for those before it, so that jitter lets none overtake.
    pub ordered: bool,
    /// The share of packets that go at once and so overtake those held.
    pub reorder: Share,
    /// How much passes, if not everything.
    pub rate: Option<Rate>,
    /// Which packets are lost, if any.
    pub loss: Option<Loss>,
    /// The share of packets that go on twice.
    pub duplicate: Share,
    /// The share of packets that get one bit flipped behind the transport header.
    pub corrupt: Share,
    /// How many bytes may be held at once; what comes beyond is lost and counted as overflow.
    pub limit_bytes: usize,
}

impl Shape {
    /// Enough for a second at half a gigabit.
    pub const LIMIT_BYTES: usize = 64 << 20;

    /// Delays packets by a fixed time.
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// Checks that all values are within what they may be.
    ///
    /// # Errors
    /// A correlation that is not a fraction, a rate of zero, or a delay of more than an hour.
    pub fn validate(&self) -> Result<(), ShapeError> {
        const HOUR: Duration = Duration::from_secs(3600);
        if self.delay > HOUR || self.jitter > HOUR {
            return Err(ShapeError::TooLong(self.delay.max(self.jitter)));
        }
        if !(0.0..1.0).contains(&self.correlation) {
            return Err(ShapeError::Correlation(self.correlation));
        }
        match self.rate {
            Some(Rate { bits_per_second: 0, .. }) => Err(ShapeError::NoRate),
            _ => Ok(()),
        }
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            correlation: 0.0,
            distribution: Distribution::Uniform,
            ordered: false,
            reorder: Share::NONE,
            rate: None,
            loss: None,
            duplicate: Share::NONE,
            corrupt: Share::NONE,
            limit_bytes: Self::LIMIT_BYTES,
        }
    }
}

/// How much passes, by a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bits per second, link headers included.
    pub bits_per_second: u64,
    /// Bytes that may pass at once after a pause.
    pub burst_bytes: u64,
    /// How long a packet may wait for its turn; what would wait longer is lost and counted as overflow.
    pub longest_wait: Duration,
}

/// Why a shape cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ShapeError {
    /// Packets would be held for ages.
    #[error("a delay of {0:?} is too long; at most an hour can be held")]
    TooLong(Duration),
    /// The correlation is not a fraction.
    #[error("the correlation is `{0}`, but must be a fraction from 0 to below 1")]
    Correlation(f64),
    /// Nothing would ever pass.
    #[error("a rate of zero lets nothing pass; use a block instead")]
    NoRate,
}
