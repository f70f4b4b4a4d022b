//! The network emulator `netem`: delay, jitter, loss, duplication, corruption, reordering and rate in one qdisc.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::netlink::{Distribution, Loss, Probability, attribute, error::Malformed};

const TCA_NETEM_CORR: u16 = 1;
const TCA_NETEM_DELAY_DIST: u16 = 2;
const TCA_NETEM_REORDER: u16 = 3;
const TCA_NETEM_CORRUPT: u16 = 4;
const TCA_NETEM_LOSS: u16 = 5;
const TCA_NETEM_RATE: u16 = 6;
const TCA_NETEM_ECN: u16 = 7;
const TCA_NETEM_RATE64: u16 = 8;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;
/// Linux 6.6 and later; earlier kernels skip attributes they do not know.
const TCA_NETEM_PRNG_SEED: u16 = 14;

/// The size of `struct tc_netem_qopt`: latency, limit, loss, gap, duplicate, jitter.
const FIXED: usize = 24;

/// The tick of the 32-bit time fields, in nanoseconds (`PSCHED_SHIFT` 6); the 64-bit attributes are exact.
pub(crate) const TICK: u64 = 64;

/// The packets per second one netem can move: it is one queue under one lock, and one processor core hands on fewer
/// than two million packets a second.
pub const PACKETS_PER_SECOND: u64 = 2_000_000;

/// The smallest packet a rate is reckoned in, in bytes: a minimal Ethernet frame.
const SMALLEST_PACKET: u64 = 64;

/// Room on top of what the delay itself holds, in packets: the kernel's own default limit.
const HEADROOM: u64 = 1000;

/// The parameters of a netem qdisc; the default lets everything pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netem {
    /// How long every packet is held; exact to the nanosecond.
    pub delay: Duration,
    /// How far the delay varies; the kernel caps it at 2³¹−1 ns (2.147 s).
    pub jitter: Duration,
    /// How much one delay leans on the one before.
    pub delay_correlation: Probability,
    /// The shape of the variation. The kernel does not give a table back, so reading yields [`Distribution::Uniform`].
    pub distribution: Distribution,
    /// Which packets are lost.
    pub loss: Loss,
    /// The share of packets sent twice.
    pub duplicate: Probability,
    /// How much one draw of duplication leans on the one before.
    pub duplicate_correlation: Probability,
    /// The share of packets with one flipped bit.
    pub corrupt: Probability,
    /// How much one draw of corruption leans on the one before.
    pub corrupt_correlation: Probability,
    /// Which packets overtake; has an effect only together with a delay.
    pub reorder: Option<Reorder>,
    /// The rate packets are spaced out to.
    pub rate: Option<Rate>,
    /// How many packets can be held at once; what comes on top is dropped. See [`Netem::limit_for`].
    pub limit: u32,
    /// Whether loss marks packets with congestion-experienced, where they allow it, instead of dropping them.
    pub ecn: bool,
    /// The seed of the qdisc's random numbers (Linux 6.6 and later), for the same losses in the same order.
    pub seed: Option<u64>,
}

/// Which packets overtake those held by the delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reorder {
    /// The share of (candidate) packets sent at once.
    pub probability: Probability,
    /// How much one draw leans on the one before.
    pub correlation: Probability,
    /// Only every `gap`-th packet is a candidate; 1 makes all of them candidates.
    pub gap: u32,
}

/// A rate with the overheads of a link layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Bytes per second.
    pub bytes_per_second: u64,
    /// Bytes added to every packet (may be negative).
    pub packet_overhead: i32,
    /// The size of a cell, for links that send cells; 0 for those that do not.
    pub cell_size: u32,
    /// Bytes added to every cell.
    pub cell_overhead: i32,
}

impl Default for Netem {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            delay_correlation: Probability::NEVER,
            distribution: Distribution::Uniform,
            loss: Loss::default(),
            duplicate: Probability::NEVER,
            duplicate_correlation: Probability::NEVER,
            corrupt: Probability::NEVER,
            corrupt_correlation: Probability::NEVER,
            reorder: None,
            rate: None,
            limit: HEADROOM as u32,
            ecn: false,
            seed: None,
        }
    }
}

impl Netem {
    /// The largest jitter the kernel takes without cutting it.
    pub const LARGEST_JITTER: Duration = Duration::from_nanos(i32::MAX as u64);

    /// Returns the limit at which delay never turns into loss: `1000 + ⌈rate × longest hold⌉` packets.
    ///
    /// The longest hold is `delay + jitter × largest draw of the distribution`. The rate is that of the emulated link
    /// in its smallest packets (64 bytes) if netem has one, and never more than [`PACKETS_PER_SECOND`]. A limit is
    /// not memory: only packets really held take any.
    pub fn limit_for(&self) -> u32 {
        let held = self.delay.as_secs_f64() + self.jitter.as_secs_f64() * self.distribution.largest();
        let per_second = self
            .rate
            .map_or(PACKETS_PER_SECOND, |rate| rate.bytes_per_second.div_ceil(SMALLEST_PACKET))
            .min(PACKETS_PER_SECOND);
        let packets = (per_second as f64 * held).ceil() as u64;
        u32::try_from(packets.saturating_add(HEADROOM)).unwrap_or(u32::MAX)
    }

    /// Returns the same parameters with the limit of [`Netem::limit_for`].
    #[must_use]
    pub fn with_sufficient_limit(mut self) -> Self {
        self.limit = self.limit_for();
        self
    }

    /// Returns the value of `TCA_OPTIONS`: a bare `struct tc_netem_qopt`, then attributes.
    pub fn encode(&self) -> Vec<u8> {
        let (loss, loss_correlation) = match self.loss {
            Loss::Random { probability, correlation } => (probability, correlation),
            Loss::Chain(_) | Loss::FourState { .. } => (Probability::NEVER, Probability::NEVER),
        };
        let (delay, jitter) = (nanoseconds(self.delay), nanoseconds(self.jitter));
        let gap = self.reorder.map_or(0, |reorder| reorder.gap.max(1));
        let mut out =
            words([ticks(delay), self.limit, loss.bits(), gap, self.duplicate.bits(), ticks(jitter)]);
        attribute::push(
            &mut out,
            TCA_NETEM_CORR,
            &words([
                self.delay_correlation.bits(),
                loss_correlation.bits(),
                self.duplicate_correlation.bits(),
            ]),
        );
        if let Some(table) = self.distribution.table() {
            let table: Vec<u8> = table.iter().flat_map(|entry| entry.to_ne_bytes()).collect();
            attribute::push(&mut out, TCA_NETEM_DELAY_DIST, &table);
        }
        if let Some(reorder) = self.reorder {
            let value = words([reorder.probability.bits(), reorder.correlation.bits()]);
            attribute::push(&mut out, TCA_NETEM_REORDER, &value);
        }
        let corrupt = words([self.corrupt.bits(), self.corrupt_correlation.bits()]);
        attribute::push(&mut out, TCA_NETEM_CORRUPT, &corrupt);
        if let Some(model) = self.loss.encode() {
            attribute::push(&mut out, TCA_NETEM_LOSS, &model);
        }
        if let Some(rate) = self.rate {
            push_rate(&mut out, rate);
        }
        if self.ecn {
            attribute::push(&mut out, TCA_NETEM_ECN, &1u32.to_ne_bytes());
        }
        attribute::push(&mut out, TCA_NETEM_LATENCY64, &delay.to_ne_bytes());
        attribute::push(&mut out, TCA_NETEM_JITTER64, &jitter.to_ne_bytes());
        if let Some(seed) = self.seed {
            attribute::push(&mut out, TCA_NETEM_PRNG_SEED, &seed.to_ne_bytes());
        }
        out
    }

    /// Reads the value of `TCA_OPTIONS` as the kernel dumps it (and as [`Netem::encode`] writes it).
    ///
    /// # Errors
    /// [`Malformed`] when it is cut short.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fixed = |index| attribute::word(bytes, index);
        let probability = |value, index| attribute::word(value, index).map(Probability::from_bits);
        let rest = bytes.get(FIXED..).ok_or(Malformed { what: "netem qdisc", length: bytes.len() })?;
        let gap = fixed(3)?;
        let mut reorder = Reorder { probability: Probability::ALWAYS, correlation: Probability::NEVER, gap };
        let mut loss = probability(bytes, 2)?;
        let mut loss_correlation = Probability::NEVER;
        let mut model = None;
        let mut netem = Self {
            delay: Duration::from_nanos(u64::from(fixed(0)?) * TICK),
            jitter: Duration::from_nanos(u64::from(fixed(5)?) * TICK),
            limit: fixed(1)?,
            duplicate: probability(bytes, 4)?,
            ..Self::default()
        };
        for (kind, value) in attribute::parse(rest)? {
            match kind {
                TCA_NETEM_CORR => {
                    netem.delay_correlation = probability(value, 0)?;
                    loss_correlation = probability(value, 1)?;
                    netem.duplicate_correlation = probability(value, 2)?;
                }
                TCA_NETEM_DELAY_DIST => {
                    let table =
                        value.chunks_exact(2).map(|pair| i16::from_ne_bytes([pair[0], pair[1]])).collect();
                    netem.distribution = Distribution::Table(table);
                }
                TCA_NETEM_REORDER => {
                    (reorder.probability, reorder.correlation) =
                        (probability(value, 0)?, probability(value, 1)?);
                }
                TCA_NETEM_CORRUPT => {
                    (netem.corrupt, netem.corrupt_correlation) =
                        (probability(value, 0)?, probability(value, 1)?);
                }
                TCA_NETEM_LOSS => model = Loss::decode(value)?,
                TCA_NETEM_RATE => {
                    let rate = netem.rate.get_or_insert_default();
                    rate.bytes_per_second = rate.bytes_per_second.max(attribute::word(value, 0)?.into());
                    rate.packet_overhead = attribute::word(value, 1)? as i32;
                    rate.cell_size = attribute::word(value, 2)?;
                    rate.cell_overhead = attribute::word(value, 3)? as i32;
                }
                TCA_NETEM_RATE64 => {
                    netem.rate.get_or_insert_default().bytes_per_second = attribute::long(value)?;
                }
                TCA_NETEM_ECN => netem.ecn = attribute::word(value, 0)? != 0,
                TCA_NETEM_LATENCY64 => netem.delay = Duration::from_nanos(attribute::long(value)?),
                TCA_NETEM_JITTER64 => netem.jitter = Duration::from_nanos(attribute::long(value)?),
                TCA_NETEM_PRNG_SEED => netem.seed = Some(attribute::long(value)?),
                _ => {}
            }
        }
        if model.is_some() {
            (loss, loss_correlation) = (Probability::NEVER, Probability::NEVER);
        }
        netem.loss = model.unwrap_or(Loss::Random { probability: loss, correlation: loss_correlation });
        netem.reorder = (gap > 0).then_some(reorder);
        // The kernel dumps a rate of 0 for a netem that has none.
        netem.rate = netem.rate.filter(|rate| rate.bytes_per_second > 0);
        Ok(netem)
    }

    /// Tells whether `read_back` is what the kernel answers to a netem with these parameters: all but the table, which
    /// it keeps to itself, and the seed, which it makes up where none is given and forgets before Linux 6.6.
    pub fn matches(&self, read_back: &Self) -> bool {
        let comparable =
            |netem: &Self| Self { distribution: Distribution::Uniform, seed: None, ..netem.clone() };
        comparable(self) == comparable(read_back)
    }
}

fn push_rate(out: &mut Vec<u8>, rate: Rate) {
    let narrow = u32::try_from(rate.bytes_per_second);
    if narrow.is_err() {
        attribute::push(out, TCA_NETEM_RATE64, &rate.bytes_per_second.to_ne_bytes());
    }
    let value = words([
        narrow.unwrap_or(u32::MAX),
        rate.packet_overhead as u32,
        rate.cell_size,
        rate.cell_overhead as u32,
    ]);
    attribute::push(out, TCA_NETEM_RATE, &value);
}

/// Saturates at the 292 years a signed 64-bit number of nanoseconds holds.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).map_or(i64::MAX as u64, |nanoseconds| nanoseconds.min(i64::MAX as u64))
}

fn ticks(nanoseconds: u64) -> u32 {
    u32::try_from(nanoseconds / TICK).unwrap_or(u32::MAX)
}

fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[cfg(test)]
#[path = "netem_tests.rs"]
mod tests;
