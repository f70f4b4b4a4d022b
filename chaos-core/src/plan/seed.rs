//! Independent random streams from one recorded seed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::fingerprint;

/// Makes the generator of one purpose; the same seed and purpose give the same stream on every machine.
pub fn stream(seed: u64, purpose: &str) -> ChaCha12Rng {
    // The fingerprint spreads the purpose over 64 bits; ChaCha separates streams that differ in any of them.
    let hash = fingerprint::of(purpose.bytes());
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    rng.set_stream(hash);
    rng
}

/// Derives the seed of one purpose.
pub fn derive(seed: u64, purpose: &str) -> u64 {
    stream(seed, purpose).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_fixed_and_apart() {
        assert_eq!(derive(7, "fault a"), derive(7, "fault a"));
        assert_ne!(derive(7, "fault a"), derive(7, "fault b"));
        assert_ne!(derive(7, "fault a"), derive(8, "fault a"));
    }
}
