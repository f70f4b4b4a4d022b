//! Decides the fate of each packet, from a seed and nothing else.
//!
//! Time is handed in as nanoseconds, so that a schedule is a pure function of its seed and of what came when.

use std::time::Duration;

use chaos_core::model::packets::Distribution;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::shape::{Rate, Shape};
use crate::{bpf::Loss, share::Share};

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on at one moment, or at two.
    Send {
        /// When, in the nanoseconds handed in.
        due: u64,
        /// When its copy goes on, if it has one.
        copy: Option<u64>,
        /// Which bit of what may be damaged is flipped, modulo their number.
        damage: Option<u64>,
        /// Whether it has to wait for its turn at the rate.
        queued: bool,
    },
    /// It is lost, as asked.
    Lost,
    /// It would have to wait for too long and is lost.
    Overflow,
}

/// The state behind the decisions.
#[derive(Debug, Clone)]
pub struct Schedule {
    shape: Shape,
    random: ChaCha8Rng,
    /// The last standard normal deviation, which the next one inherits from.
    deviation: f64,
    /// Whether the chain of losses is in its bad state.
    bad: bool,
    /// When the last packet that keeps the order is due.
    latest: u64,
    /// When everything that was let through would have passed at the bare rate.
    bucket: u64,
}

impl Schedule {
    /// Begins a schedule.
    pub fn new(shape: Shape, seed: u64) -> Self {
        Self {
            shape,
            random: ChaCha8Rng::seed_from_u64(seed),
            deviation: 0.0,
            bad: false,
            latest: 0,
            bucket: 0,
        }
    }

    /// Decides about a packet of some bytes that came at `now`.
    pub fn decide(&mut self, now: u64, bytes: u64) -> Fate {
        if self.lost() {
            return Fate::Lost;
        }
        let Some(turn) = self.turn(now, bytes) else { return Fate::Overflow };
        let due = self.due(turn);
        let copy = self.happens(self.shape.duplicate).then(|| self.due(turn));
        let damage = self.happens(self.shape.corrupt).then(|| self.random.random());
        Fate::Send { due, copy, damage, queued: turn > now }
    }

    /// Returns whether some packets meet another fate than those beside them, so that each one of the wire has to be told
    /// apart.
    pub fn picks(&self) -> bool {
        let Shape { loss, duplicate, corrupt, reorder, .. } = &self.shape;
        loss.is_some() || [duplicate, corrupt, reorder].into_iter().any(|share| *share > Share::NONE)
    }

    fn happens(&mut self, share: Share) -> bool {
        share > Share::NONE && self.random.random::<f64>() < share.fraction()
    }

    fn lost(&mut self) -> bool {
        match self.shape.loss {
            None => false,
            Some(Loss::Independent(share)) => self.happens(share),
            Some(Loss::Bursts(bursts)) => {
                let lost = self.bad;
                self.bad ^= self.happens(if lost { bursts.leave() } else { bursts.enter() });
                lost
            }
        }
    }

    /// When the packet's turn comes at the rate, or nothing if that is too far off.
    fn turn(&mut self, now: u64, bytes: u64) -> Option<u64> {
        let Some(Rate { bits_per_second, burst_bytes, longest_wait }) = self.shape.rate else {
            return Some(now);
        };
        let time_of = |bytes: u64| {
            let nanoseconds = u128::from(bytes) * 8_000_000_000 / u128::from(bits_per_second.max(1));
            u64::try_from(nanoseconds).unwrap_or(u64::MAX)
        };
        let passed = self.bucket.max(now).saturating_add(time_of(bytes));
        let turn = passed.saturating_sub(time_of(burst_bytes)).max(now);
        if turn - now > nanoseconds(longest_wait) {
            return None;
        }
        self.bucket = passed;
        Some(turn)
    }

    /// When a packet goes on whose turn comes at this moment.
    fn due(&mut self, turn: u64) -> u64 {
        if self.happens(self.shape.reorder) {
            return turn;
        }
        let due = turn.saturating_add(self.held());
        if !self.shape.ordered {
            return due;
        }
        self.latest = self.latest.max(due);
        self.latest
    }

    /// For how long the packet is held.
    fn held(&mut self) -> u64 {
        let delay = nanoseconds(self.shape.delay);
        if self.shape.jitter.is_zero() {
            return delay;
        }
        let deviation = self.deviate() * self.shape.jitter.as_nanos() as f64;
        (delay as f64 + deviation).max(0.0).round() as u64
    }

    /// A deviation in units of the jitter.
    ///
    /// Correlation works on a standard normal deviation behind all three distributions, so that it leaves each of them
    /// what it is.
    fn deviate(&mut self) -> f64 {
        let correlation = self.shape.correlation;
        let fresh = self.standard_normal();
        self.deviation = correlation * self.deviation + (1.0 - correlation * correlation).sqrt() * fresh;
        let rank = || 0.5 * statrs::function::erf::erfc(-self.deviation / std::f64::consts::SQRT_2);
        match self.shape.distribution {
            Distribution::Uniform => 2.0 * rank() - 1.0,
            Distribution::Normal => self.deviation,
            // Pareto with exponent 3, moved to mean 0 and scaled to standard deviation 1; its tail is cut at 8.
            Distribution::Pareto => {
                let value = (1.0 - rank()).max(f64::MIN_POSITIVE).powf(-1.0 / 3.0);
                ((value - 1.5) / 0.75_f64.sqrt()).min(8.0)
            }
        }
    }

    fn standard_normal(&mut self) -> f64 {
        let (radius, angle): (f64, f64) = (self.random.random(), self.random.random());
        (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::Bursts;

    const MS: u64 = 1_000_000;

    fn held(shape: &Shape, count: usize) -> Vec<f64> {
        let mut schedule = Schedule::new(shape.clone(), 7);
        (0..count)
            .map(|_| match schedule.decide(0, 100) {
                Fate::Send { due, .. } => due as f64 / MS as f64,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn jittered(distribution: Distribution, correlation: f64) -> Shape {
        let (delay, jitter) = (Duration::from_millis(100), Duration::from_millis(10));
        Shape { delay, jitter, correlation, distribution, ..Shape::default() }
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn deviation(values: &[f64]) -> f64 {
        let center = mean(values);
        mean(&values.iter().map(|value| (value - center).powi(2)).collect::<Vec<_>>()).sqrt()
    }

    #[test]
    fn the_same_seed_decides_the_same() {
        let shape = Shape {
            loss: Some(Loss::Bursts(Bursts::of_length(Share::new(0.2).unwrap(), 3.0).unwrap())),
            duplicate: Share::new(0.3).unwrap(),
            corrupt: Share::new(0.3).unwrap(),
            ..jittered(Distribution::Normal, 0.3)
        };
        let decide = |seed| {
            let mut schedule = Schedule::new(shape.clone(), seed);
            (0..200).map(|at| schedule.decide(at * MS, 100)).collect::<Vec<_>>()
        };
        assert_eq!(decide(1), decide(1));
        assert_ne!(decide(1), decide(2));
    }

    #[test]
    fn without_jitter_every_packet_is_held_for_exactly_the_delay() {
        let shape = Shape::delayed(Duration::from_micros(1500));
        assert_eq!(held(&shape, 3), [1.5, 1.5, 1.5]);
    }

    #[test]
    fn jitter_keeps_the_mean_and_has_the_width_asked_for() {
        for correlation in [0.0, 0.5] {
            let uniform = held(&jittered(Distribution::Uniform, correlation), 100_000);
            assert!(uniform.iter().all(|ms| (90.0..=110.0).contains(ms)));
            for (distribution, width) in [
                (Distribution::Uniform, 10.0 / 3.0_f64.sqrt()),
                (Distribution::Normal, 10.0),
                // The cut tail takes some of the width.
                (Distribution::Pareto, 8.7),
            ] {
                let values = held(&jittered(distribution, correlation), 100_000);
                let (center, spread) = (mean(&values), deviation(&values));
                assert!((center - 100.0).abs() < 0.5, "{distribution:?}: mean {center}");
                assert!((spread - width).abs() < width * 0.1, "{distribution:?}: deviation {spread}");
            }
        }
    }

    #[test]
    fn in_order_none_overtakes_and_none_leaves_earlier_than_by_its_own_delay() {
        for distribution in [Distribution::Uniform, Distribution::Normal, Distribution::Pareto] {
            let shuffled = jittered(distribution, 0.0);
            let ordered = Shape { ordered: true, ..shuffled.clone() };
            let [mut shuffled, mut ordered] = [shuffled, ordered].map(|shape| Schedule::new(shape, 7));
            let due = |schedule: &mut Schedule, now| match schedule.decide(now, 100) {
                Fate::Send { due, .. } => due,
                other => panic!("{other:?}"),
            };
            let dues: Vec<_> = (0..10_000)
                .map(|number| (due(&mut shuffled, number * MS), due(&mut ordered, number * MS)))
                .collect();
            assert!(dues.windows(2).any(|two| two[1].0 < two[0].0));
            assert!(dues.windows(2).all(|two| two[1].1 >= two[0].1));
            assert!(dues.iter().all(|(alone, in_order)| in_order >= alone));
        }
    }

    #[test]
    fn correlation_is_what_was_asked_for() {
        let values = held(&jittered(Distribution::Normal, 0.6), 100_000);
        let (center, spread) = (mean(&values), deviation(&values));
        let products: Vec<_> = values.windows(2).map(|two| (two[0] - center) * (two[1] - center)).collect();
        let found = mean(&products) / spread.powi(2);
        assert!((found - 0.6).abs() < 0.02, "{found}");
    }

    #[test]
    fn delay_is_never_negative() {
        let shape = Shape { delay: Duration::from_millis(1), ..jittered(Distribution::Normal, 0.0) };
        assert!(held(&shape, 1000).contains(&0.0));
    }

    #[test]
    fn a_bucket_lets_the_burst_pass_and_then_keeps_the_rate() {
        // 8 Mbit/s are 1000 bytes a millisecond.
        let rate =
            Rate { bits_per_second: 8_000_000, burst_bytes: 3000, longest_wait: Duration::from_millis(2) };
        let mut schedule = Schedule::new(Shape { rate: Some(rate), ..Shape::default() }, 0);
        let mut turn = |now| match schedule.decide(now, 1000) {
            Fate::Send { due, .. } => Some(due),
            _ => None,
        };
        let now = 1000 * MS;
        let turns: Vec<_> = (0..6).map(|_| turn(now)).collect();
        assert_eq!(turns, [Some(now), Some(now), Some(now), Some(now + MS), Some(now + 2 * MS), None]);
        assert_eq!(turn(now + 10 * MS), Some(now + 10 * MS));
    }

    #[test]
    fn reordered_packets_go_at_once() {
        let shape = Shape { reorder: Share::new(0.25).unwrap(), ..Shape::delayed(Duration::from_millis(10)) };
        let values = held(&shape, 10_000);
        let early = values.iter().filter(|ms| **ms == 0.0).count();
        assert!((2250..2750).contains(&early), "{early}");
        assert!(values.iter().all(|ms| *ms == 0.0 || *ms == 10.0));
    }

    #[test]
    fn loss_duplication_and_damage_have_the_share_asked_for() {
        let share = Share::new(0.1).unwrap();
        for loss in [Loss::Independent(share), Loss::Bursts(Bursts::of_length(share, 4.0).unwrap())] {
            let shape = Shape { loss: Some(loss), duplicate: share, corrupt: share, ..Shape::default() };
            let mut schedule = Schedule::new(shape, 3);
            let (mut lost, mut copies, mut damaged) = (0, 0, 0);
            for _ in 0..50_000 {
                match schedule.decide(0, 100) {
                    Fate::Send { copy, damage, .. } => {
                        copies += u32::from(copy.is_some());
                        damaged += u32::from(damage.is_some());
                    }
                    _ => lost += 1,
                }
            }
            assert!((4300..5700).contains(&lost), "{lost}");
            assert!((4000..5000).contains(&copies), "{copies}");
            assert!((4000..5000).contains(&damaged), "{damaged}");
        }
    }
}
