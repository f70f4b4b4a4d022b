//! Tables of delay distributions, computed with the algorithm of iproute2's generators.
//!
//! netem draws a table entry at random and adds `entry / 8192 × jitter` to the delay, so a table is the inverse of a
//! cumulative distribution function with mean 0 and deviation 1, in steps of 1/8192, capped at ±4 by its 16 bits.
//! The generators are `netem/normal.c` and `netem/pareto.c` of iproute2; both make 4,096 entries.

use serde::{Deserialize, Serialize};
use statrs::function::erf::erf;

/// The kernel's `NETEM_DIST_SCALE`: a table entry that stands for one jitter.
pub const SCALE: f64 = 8192.0;

/// How the delay varies around its mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Distribution {
    /// Evenly between delay − jitter and delay + jitter; the kernel does this without a table.
    #[default]
    Uniform,
    /// Bell-shaped with the jitter as standard deviation, capped at four deviations.
    Normal,
    /// Long-tailed (shape 3), capped at four jitters above the delay, which leaves its mean 0.034 and its deviation 0.82
    /// jitters: the mean lies a little below the delay.
    Pareto,
    /// Any other table, at most 16,384 entries in units of jitter / 8192.
    Table(Vec<i16>),
}

impl Distribution {
    /// Returns the table to hand to the kernel, or nothing where it needs none.
    pub fn table(&self) -> Option<Vec<i16>> {
        match self {
            Self::Uniform => None,
            Self::Normal => Some(normal()),
            Self::Pareto => Some(pareto()),
            Self::Table(table) => Some(table.clone()),
        }
    }

    /// Returns the largest draw in units of jitter: how far above the delay a packet can be held.
    pub fn largest(&self) -> f64 {
        match self {
            Self::Uniform => 1.0,
            Self::Normal | Self::Pareto => f64::from(i16::MAX) / SCALE,
            Self::Table(table) => {
                table.iter().max().map_or(0.0, |largest| f64::from(*largest) / SCALE).max(0.0)
            }
        }
    }
}

/// Scales to table units and rounds half to even, as C's `rint` does, within 16 bits.
fn entry(value: f64) -> i16 {
    // `as` saturates at the ends of the 16 bits, which is the generators' own cap.
    value.round_ties_even() as i16
}

/// Inverts the normal distribution.
///
/// `normal.c` walks x from −10 in steps of 0.00005 and lets `table[rint(16384·Φ(x))] = x`, so an entry ends as the
/// last x of the grid whose rank is its own; every fourth one is kept. Bisection finds the same x directly.
fn normal() -> Vec<i16> {
    const SIZE: u32 = 16_384;
    const STEP: f64 = 0.000_05;
    let x = |step: u32| -10.0 + f64::from(step) * STEP;
    let rank = |step: u32| {
        let cumulative = 0.5 + 0.5 * erf(x(step) / std::f64::consts::SQRT_2);
        (f64::from(SIZE) * cumulative).round_ties_even()
    };
    (0..SIZE)
        .step_by(4)
        .map(|index| {
            let (mut low, mut high) = (0, 400_000);
            while high - low > 1 {
                let middle = u32::midpoint(low, high);
                if rank(middle) <= f64::from(index) { low = middle } else { high = middle }
            }
            entry(x(low) * SCALE)
        })
        .collect()
}

/// Inverts the Pareto distribution of shape 3 as `pareto.c` does, with its mean, 1.5, taken off and its constant 4/3.
fn pareto() -> Vec<i16> {
    const SHAPE: f64 = 3.0;
    (1..=65_536u32)
        .rev()
        .step_by(16)
        .map(|rank| {
            let value = (f64::from(rank) / 65_536.0).powf(-1.0 / SHAPE);
            entry((value - 1.5) * (4.0 / 3.0) * SCALE)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a over the entries as little-endian bytes.
    fn hash(table: &[i16]) -> u64 {
        let bytes = table.iter().flat_map(|entry| entry.to_le_bytes());
        bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// The tables that iproute2 installs as `normal.dist` and `pareto.dist`, entry by entry.
    #[test]
    fn tables_are_those_of_iproute2() {
        let normal = normal();
        assert_eq!(normal[..8], [-32768, -28307, -26871, -25967, -25298, -24765, -24320, -23937]);
        let pareto = pareto();
        assert_eq!(pareto[..8], [-5461, -5460, -5460, -5459, -5458, -5457, -5456, -5455]);
        assert_eq!((normal.len(), pareto.len()), (4096, 4096));
        assert_eq!((hash(&normal), hash(&pareto)), (0x3f19_8b60_14c3_b3b8, 0x209e_1d3c_8618_19fa));
    }

    #[test]
    fn tables_rise_and_have_the_mean_and_deviation_they_promise() {
        for (table, mean, deviation) in [(normal(), -0.0008, 1.0), (pareto(), -0.0335, 0.8197)] {
            assert!(table.is_sorted());
            let values: Vec<f64> = table.iter().map(|entry| f64::from(*entry) / SCALE).collect();
            let count = values.len() as f64;
            let got_mean = values.iter().sum::<f64>() / count;
            let got = (values.iter().map(|value| (value - got_mean).powi(2)).sum::<f64>() / count).sqrt();
            assert!((got_mean - mean).abs() < 0.0001, "mean {got_mean}");
            assert!((got - deviation).abs() < 0.0001, "deviation {got}");
        }
    }
}
