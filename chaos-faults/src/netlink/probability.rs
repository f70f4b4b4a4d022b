//! Probabilities as the kernel's qdiscs hold them: 32 bits from never to always.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::share::Share;

/// A probability (or correlation) from 0 to 1, in steps of 2⁻³² (0.000 000 02 %).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Probability(u32);

impl Probability {
    /// It never happens.
    pub const NEVER: Self = Self(0);
    /// It always happens.
    pub const ALWAYS: Self = Self(u32::MAX);

    /// Writes a share as the kernel's number.
    pub fn of(share: Share) -> Self {
        Self((share.fraction() * f64::from(u32::MAX)).round() as u32)
    }

    /// Returns the ratio from 0 to 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / f64::from(u32::MAX)
    }

    /// Wraps the kernel's own number.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns the kernel's own number.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the probability of the opposite.
    pub const fn complement(self) -> Self {
        Self(u32::MAX - self.0)
    }
}

impl fmt::Display for Probability {
    /// Writes percent with up to four decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = format!("{:.4}", self.ratio() * 100.0);
        write!(f, "{}%", percent.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_of_a_percent_is_exact() {
        for hundredths in 0..=10_000u32 {
            let asked = f64::from(hundredths) / 10_000.0;
            let got = Probability::of(Share::new(asked).unwrap());
            assert!((got.ratio() - asked).abs() < 1e-9, "{asked}");
            let printed = got.to_string();
            let percent: f64 = printed.trim_end_matches('%').parse().unwrap();
            assert!((percent - asked * 100.0).abs() < 1e-6, "{printed}");
        }
        assert_eq!(Probability::of(Share::new(0.1).unwrap()).bits(), 429_496_730);
        assert_eq!(Probability::of(Share::ALL), Probability::ALWAYS);
        assert_eq!(Probability::of(Share::NONE), Probability::NEVER);
    }
}
