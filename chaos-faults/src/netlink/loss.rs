//! Models of packet loss: independent, or in bursts.

use serde::{Deserialize, Serialize};

use crate::netlink::{Probability, attribute, error::Malformed};

const NETEM_LOSS_GI: u16 = 1;
const NETEM_LOSS_GE: u16 = 2;

/// Which packets netem loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// Each packet by itself; with a correlation, each random number leans on the one before by that share.
    Random {
        /// The share of packets lost.
        probability: Probability,
        /// How much one draw leans on the one before.
        correlation: Probability,
    },
    /// The Gilbert–Elliott model (`loss gemodel`): a good and a bad state, each with its own loss.
    Bursts(Bursts),
    /// The four-state model (`loss state`): read back from others, never chosen here.
    FourState {
        /// From good to burst loss.
        p13: Probability,
        /// From burst loss to good.
        p31: Probability,
        /// From burst loss to reception within a burst.
        p32: Probability,
        /// From good to a single loss.
        p14: Probability,
        /// From reception within a burst to burst loss.
        p23: Probability,
    },
}

impl Default for Loss {
    fn default() -> Self {
        Self::random(0.0)
    }
}

impl Loss {
    /// Loses each packet by itself with the probability `ratio`.
    pub fn random(ratio: f64) -> Self {
        Self::Random { probability: Probability::from_ratio(ratio), correlation: Probability::NEVER }
    }

    /// Returns the share of packets lost in the long run, if the model says it.
    pub fn ratio(&self) -> Option<f64> {
        match self {
            Self::Random { probability, .. } => Some(probability.ratio()),
            Self::Bursts(bursts) => Some(bursts.ratio()),
            Self::FourState { .. } => None,
        }
    }

    /// Returns the value of `TCA_NETEM_LOSS`, or nothing for the random model, which lives in the fixed part.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let (kind, words) = match *self {
            Self::Random { .. } => return None,
            Self::Bursts(Bursts { enter, leave, pass_in_bad, lose_in_good }) => {
                (NETEM_LOSS_GE, vec![enter, leave, pass_in_bad, lose_in_good])
            }
            Self::FourState { p13, p31, p32, p14, p23 } => (NETEM_LOSS_GI, vec![p13, p31, p32, p14, p23]),
        };
        let value: Vec<u8> = words.iter().flat_map(|word| word.bits().to_ne_bytes()).collect();
        let mut out = Vec::new();
        attribute::push(&mut out, kind, &value);
        Some(out)
    }

    /// Reads the value of `TCA_NETEM_LOSS`; nothing for a model that is not known.
    pub(crate) fn decode(value: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut found = None;
        for (kind, value) in attribute::parse(value)? {
            let word = |index| attribute::word(value, index).map(Probability::from_bits);
            found = match kind {
                NETEM_LOSS_GE => Some(Self::Bursts(Bursts {
                    enter: word(0)?,
                    leave: word(1)?,
                    pass_in_bad: word(2)?,
                    lose_in_good: word(3)?,
                })),
                NETEM_LOSS_GI => Some(Self::FourState {
                    p13: word(0)?,
                    p31: word(1)?,
                    p32: word(2)?,
                    p14: word(3)?,
                    p23: word(4)?,
                }),
                _ => found,
            };
        }
        Ok(found)
    }
}

/// A Gilbert–Elliott chain, stepped once per packet.
///
/// In the *bad* state every packet is lost but for `pass_in_bad`, in the *good* one none but for `lose_in_good`
/// (`h` and `k1` in the kernel; both 0 in the simple model used here).
///
/// With `p` = `enter` and `r` = `leave`, a stay in the bad state lasts a geometric number of packets with mean
/// `N = 1/r`, and the chain is in it for the share `L = p / (p + r)` of packets. Solved for what people say, "lose `L`
/// in bursts of `N` packets": `r = 1/N` and `p = L / (N · (1 − L))`. `p` is a probability, so `L ≤ N / (N + 1)`: at a
/// mean burst of one packet no more than half can be lost, since a good packet then follows every loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bursts {
    /// The probability, per packet, of going from good to bad (`p`, also called p13).
    pub enter: Probability,
    /// The probability, per packet, of going from bad to good (`r`, also called p31).
    pub leave: Probability,
    /// The probability that a packet passes in the bad state (`h`).
    pub pass_in_bad: Probability,
    /// The probability that a packet is lost in the good state (`1 − k`).
    pub lose_in_good: Probability,
}

/// A burst length and a share of loss that no chain can have together.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "a loss of {:.2}% cannot come in bursts of {length} packets: between bursts at least one packet passes, \
     so at most {:.2}% can be lost; ask for longer bursts or less loss", ratio * 100.0, most * 100.0
)]
pub struct ImpossibleBursts {
    /// The share of loss asked for.
    pub ratio: f64,
    /// The mean burst length asked for, in packets.
    pub length: f64,
    /// The largest share such bursts allow.
    pub most: f64,
}

impl Bursts {
    /// Loses the share `ratio` of all packets in bursts of `length` packets on average.
    ///
    /// # Errors
    /// [`ImpossibleBursts`] when `length` is below 1, or `ratio` is not within 0 and `length / (length + 1)`.
    pub fn of_length(ratio: f64, length: f64) -> Result<Self, ImpossibleBursts> {
        let most = if length >= 1.0 { length / (length + 1.0) } else { 0.0 };
        if !(length >= 1.0 && length.is_finite() && (0.0..=most).contains(&ratio)) {
            return Err(ImpossibleBursts { ratio, length, most });
        }
        Ok(Self {
            enter: Probability::from_ratio(ratio / (length * (1.0 - ratio))),
            leave: Probability::from_ratio(1.0 / length),
            pass_in_bad: Probability::NEVER,
            lose_in_good: Probability::NEVER,
        })
    }

    /// Returns the share of packets lost in the long run.
    pub fn ratio(&self) -> f64 {
        let (enter, leave) = (self.enter.ratio(), self.leave.ratio());
        let bad = if enter + leave == 0.0 { 0.0 } else { enter / (enter + leave) };
        bad * (1.0 - self.pass_in_bad.ratio()) + (1.0 - bad) * self.lose_in_good.ratio()
    }

    /// Returns the mean number of packets a stay in the bad state lasts.
    pub fn length(&self) -> f64 {
        1.0 / self.leave.ratio()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_solve_for_share_and_length() {
        for (ratio, length) in [(0.01, 1.0), (0.1, 5.0), (0.5, 1.0), (0.3, 20.0), (0.0, 3.0)] {
            let bursts = Bursts::of_length(ratio, length).unwrap();
            assert!((bursts.ratio() - ratio).abs() < 1e-8, "{ratio} {length}: {}", bursts.ratio());
            assert!((bursts.length() - length).abs() < 1e-6);
        }
        assert!(Bursts::of_length(0.51, 1.0).is_err());
        assert!(Bursts::of_length(0.1, 0.5).is_err());
        assert!(Bursts::of_length(f64::NAN, 2.0).is_err());
    }

    /// Runs the chain as the kernel does (first the transition, then the verdict of the state left).
    #[test]
    fn a_chain_run_as_the_kernel_does_loses_what_was_asked() {
        let chain = Bursts::of_length(0.2, 4.0).unwrap();
        let mut random = 0x2545_f491_4f6c_dd1du64;
        let mut draw = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 32) as u32
        };
        let (mut bad, mut lost, mut bursts, mut before) = (false, 0u32, 0u32, false);
        const PACKETS: u32 = 1_000_000;
        for _ in 0..PACKETS {
            let gone = bad && draw() > chain.pass_in_bad.bits();
            let change = if bad { chain.leave } else { chain.enter };
            bad ^= draw() < change.bits();
            lost += u32::from(gone);
            bursts += u32::from(gone && !before);
            before = gone;
        }
        let ratio = f64::from(lost) / f64::from(PACKETS);
        let length = f64::from(lost) / f64::from(bursts);
        assert!((ratio - 0.2).abs() < 0.01, "lost {ratio}");
        assert!((length - 4.0).abs() < 0.2, "length {length}");
    }
}
