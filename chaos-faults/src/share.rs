//! Which share of packets something happens to, checked once for every mechanism.
//!
//! How the kernel's queues and programs write it down stands with each of them.

/// A share of packets (or a correlation), from none (0) to all (1).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

/// A number that is not a share.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a share is `{0}`, but must be a fraction from 0 to 1")]
pub struct NoShare(pub f64);

impl Share {
    /// All of them.
    pub const ALL: Self = Self(1.0);
    /// None of them.
    pub const NONE: Self = Self(0.0);

    /// Takes a fraction.
    ///
    /// # Errors
    /// It is not a number from 0 to 1.
    pub fn new(fraction: f64) -> Result<Self, NoShare> {
        if (0.0..=1.0).contains(&fraction) { Ok(Self(fraction)) } else { Err(NoShare(fraction)) }
    }

    /// Returns the fraction.
    pub fn fraction(self) -> f64 {
        self.0
    }
}

/// Loss in bursts: a chain of a good and a bad state (Gilbert–Elliott), stepped once per packet, that loses every packet in
/// the bad state and none in the good one.
///
/// With `p` = `enter` and `r` = `leave`, a stay in the bad state lasts a geometric number of packets with mean
/// `N = 1/r`, and the chain is in it for the share `L = p / (p + r)` of packets. Solved for what people say, "lose `L`
/// in bursts of `N` packets": `r = 1/N` and `p = L / (N · (1 − L))`. `p` is a probability, so `L ≤ N / (N + 1)`: at a
/// mean burst of one packet no more than half can be lost, since a good packet then follows every loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    enter: Share,
    leave: Share,
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
    /// Loses a share of all packets in bursts of `length` packets on average.
    ///
    /// # Errors
    /// [`ImpossibleBursts`] when `length` is below 1, or the share above `length / (length + 1)`.
    pub fn of_length(lost: Share, length: f64) -> Result<Self, ImpossibleBursts> {
        let ratio = lost.fraction();
        let most = if length >= 1.0 { length / (length + 1.0) } else { 0.0 };
        if !(length >= 1.0 && length.is_finite() && ratio <= most) {
            return Err(ImpossibleBursts { ratio, length, most });
        }
        // At the very limit rounding may lead a hair above 1.
        let enter = (ratio / (length * (1.0 - ratio))).min(1.0);
        Ok(Self { enter: Share(enter), leave: Share(1.0 / length) })
    }

    /// Returns the probability, per packet, of going from the good state to the bad one.
    pub fn enter(self) -> Share {
        self.enter
    }

    /// Returns the probability, per packet, of going from the bad state to the good one.
    pub fn leave(self) -> Share {
        self.leave
    }

    /// Returns the share of packets lost in the long run.
    pub fn ratio(self) -> f64 {
        let (enter, leave) = (self.enter.fraction(), self.leave.fraction());
        enter / (enter + leave)
    }

    /// Returns the mean number of packets a stay in the bad state lasts.
    pub fn length(self) -> f64 {
        1.0 / self.leave.fraction()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bursts(ratio: f64, length: f64) -> Result<Bursts, ImpossibleBursts> {
        Bursts::of_length(Share::new(ratio).unwrap(), length)
    }

    #[test]
    fn shares_are_fractions() {
        assert!(Share::new(f64::NAN).is_err());
        assert!(Share::new(-0.1).is_err());
        assert_eq!(
            Share::new(10.0).unwrap_err().to_string(),
            "a share is `10`, but must be a fraction from 0 to 1"
        );
    }

    #[test]
    fn bursts_solve_for_share_and_length() {
        for (ratio, length) in [(0.01, 1.0), (0.1, 5.0), (0.5, 1.0), (0.3, 20.0), (0.0, 3.0), (0.1, 4.0)] {
            let bursts = bursts(ratio, length).unwrap();
            assert!((bursts.ratio() - ratio).abs() < 1e-8, "{ratio} {length}: {}", bursts.ratio());
            assert!((bursts.length() - length).abs() < 1e-6);
        }
    }

    #[test]
    fn bursts_that_cannot_be_are_refused() {
        for (ratio, length) in [(0.51, 1.0), (0.1, 0.5), (1.0, 1000.0), (0.9, 2.0), (0.1, f64::NAN)] {
            assert!(bursts(ratio, length).is_err(), "{ratio} {length}");
        }
        assert_eq!(
            bursts(0.9, 2.0).unwrap_err().to_string(),
            "a loss of 90.00% cannot come in bursts of 2 packets: between bursts at least one packet passes, so at most 66.67% \
             can be lost; ask for longer bursts or less loss"
        );
    }
}
