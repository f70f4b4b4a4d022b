//! Models of packet loss: independent, or in bursts.

use serde::{Deserialize, Serialize};

use crate::{
    netlink::{Probability, attribute, error::Malformed},
    share::{Bursts, Share},
};

const NETEM_LOSS_GI: u16 = 1;
const NETEM_LOSS_GE: u16 = 2;

/// Which packets netem loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// Each packet independently; with a correlation, each random number leans on the one before by that share.
    Random {
        /// The share of packets lost.
        probability: Probability,
        /// How much one draw leans on the one before.
        correlation: Probability,
    },
    /// The Gilbert–Elliott model (`loss gemodel`): a good and a bad state, each with its own loss.
    Chain(Chain),
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
        Self::random(Share::NONE)
    }
}

impl Loss {
    /// Loses each packet independently with the probability `share`.
    pub fn random(share: Share) -> Self {
        Self::Random { probability: Probability::of(share), correlation: Probability::NEVER }
    }

    /// Returns the share of packets lost in the long run, if the model says it.
    pub fn ratio(&self) -> Option<f64> {
        match self {
            Self::Random { probability, .. } => Some(probability.ratio()),
            Self::Chain(chain) => Some(chain.ratio()),
            Self::FourState { .. } => None,
        }
    }

    /// Returns the value of `TCA_NETEM_LOSS`, or nothing for the random model, which lives in the fixed part.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let (kind, words) = match *self {
            Self::Random { .. } => return None,
            Self::Chain(Chain { enter, leave, pass_in_bad, lose_in_good }) => {
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
                NETEM_LOSS_GE => Some(Self::Chain(Chain {
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

impl From<Bursts> for Loss {
    fn from(bursts: Bursts) -> Self {
        Self::Chain(bursts.into())
    }
}

/// A Gilbert–Elliott chain as the kernel has it, stepped once per packet.
///
/// In the *bad* state every packet is lost but for `pass_in_bad`, in the *good* one none but for `lose_in_good`
/// (`h` and `k1` in the kernel; both 0 in the simple model of [`Bursts`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The probability, per packet, of going from good to bad (`p`, also called p13).
    pub enter: Probability,
    /// The probability, per packet, of going from bad to good (`r`, also called p31).
    pub leave: Probability,
    /// The probability that a packet passes in the bad state (`h`).
    pub pass_in_bad: Probability,
    /// The probability that a packet is lost in the good state (`1 − k`).
    pub lose_in_good: Probability,
}

impl From<Bursts> for Chain {
    fn from(bursts: Bursts) -> Self {
        Self {
            enter: Probability::of(bursts.enter()),
            leave: Probability::of(bursts.leave()),
            pass_in_bad: Probability::NEVER,
            lose_in_good: Probability::NEVER,
        }
    }
}

impl Chain {
    /// Returns the share of packets lost in the long run.
    pub fn ratio(&self) -> f64 {
        let (enter, leave) = (self.enter.ratio(), self.leave.ratio());
        let bad = if enter + leave == 0.0 { 0.0 } else { enter / (enter + leave) };
        bad * (1.0 - self.pass_in_bad.ratio()) + (1.0 - bad) * self.lose_in_good.ratio()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the chain as the kernel does (first the transition, then the verdict of the state left).
    #[test]
    fn a_chain_run_as_the_kernel_does_loses_what_was_asked() {
        let bursts = Bursts::of_length(Share::new(0.2).unwrap(), 4.0).unwrap();
        let chain = Chain::from(bursts);
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
