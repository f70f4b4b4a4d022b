//! The token bucket `tbf`: a rate with a burst, and a queue of bounded size for what waits.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::netlink::{attribute, error::Malformed, netem::TICK};

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;

/// `TC_LINKLAYER_ETHERNET`: with a link layer named, the kernel asks for no rate table.
pub(crate) const LINK_LAYER_ETHERNET: u8 = 1;

/// The bytes an Ethernet frame is longer than its packet.
const FRAME_HEADER: u32 = 18;

/// The parameters of a tbf qdisc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tbf {
    /// Bytes per second.
    pub rate: u64,
    /// How many bytes may pass at once after a pause; a packet larger than this never passes.
    pub burst: u32,
    /// How many bytes may wait; what comes on top is dropped.
    pub limit: u32,
}

impl Tbf {
    /// Chooses burst and limit for a rate: the burst is 5 ms of it but at least two full packets, and what waits
    /// waits at most `queueing`, but at least ten full packets may.
    ///
    /// `rate` is in bytes per second, `mtu` the interface's in bytes.
    pub fn for_rate(rate: u64, mtu: u32, queueing: Duration) -> Self {
        let frame = mtu.saturating_add(FRAME_HEADER);
        let bytes = |time: Duration| {
            u32::try_from(u128::from(rate).saturating_mul(time.as_nanos()) / 1_000_000_000)
                .unwrap_or(u32::MAX)
        };
        let burst = bytes(Duration::from_millis(5)).max(frame.saturating_mul(2));
        let limit = bytes(queueing).max(frame.saturating_mul(10)).saturating_add(burst);
        Self { rate, burst, limit }
    }

    /// Returns the value of `TCA_OPTIONS`.
    pub fn encode(&self) -> Vec<u8> {
        let mut parameters = rate_spec(self.rate);
        parameters.extend([0; 12]); // no peak rate
        // Limit, buffer in ticks (overridden by TCA_TBF_BURST), mtu of the peak rate.
        for word in [self.limit, ticks(self.burst, self.rate), 0] {
            parameters.extend(word.to_ne_bytes());
        }
        let mut out = Vec::new();
        attribute::push(&mut out, TCA_TBF_PARMS, &parameters);
        if self.rate > u64::from(u32::MAX) {
            attribute::push(&mut out, TCA_TBF_RATE64, &self.rate.to_ne_bytes());
        }
        attribute::push(&mut out, TCA_TBF_BURST, &self.burst.to_ne_bytes());
        out
    }

    /// Reads the value of `TCA_OPTIONS`. The kernel gives the burst back in ticks of 64 ns of the rate, so it is exact
    /// only to one tick's worth of bytes.
    ///
    /// # Errors
    /// [`Malformed`] when it is cut short.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let attributes = attribute::parse(bytes)?;
        let find = |wanted| attributes.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value);
        let parameters = find(TCA_TBF_PARMS).ok_or(Malformed { what: "tbf qdisc", length: bytes.len() })?;
        let rate = match find(TCA_TBF_RATE64) {
            Some(value) => attribute::long(value)?,
            None => attribute::word(parameters, 2)?.into(),
        };
        let burst = match find(TCA_TBF_BURST) {
            Some(value) => attribute::word(value, 0)?,
            None => {
                let nanoseconds = u128::from(attribute::word(parameters, 7)?) * u128::from(TICK);
                let bytes = (u128::from(rate) * nanoseconds + 500_000_000) / 1_000_000_000;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            }
        };
        Ok(Self { rate, burst, limit: attribute::word(parameters, 6)? })
    }

    /// Tells whether `read_back` is what the kernel answers to these parameters: the burst within two ticks.
    pub fn matches(&self, read_back: &Self) -> bool {
        let slack = 2 * (self.rate * TICK).div_ceil(1_000_000_000) + 1;
        self.rate == read_back.rate
            && self.limit == read_back.limit
            && u64::from(self.burst.abs_diff(read_back.burst)) <= slack
    }
}

/// Encodes `struct tc_ratespec`; a rate above 32 bits stands in an attribute of its own.
pub(crate) fn rate_spec(rate: u64) -> Vec<u8> {
    // cell_log, linklayer, overhead (16 bit), cell_align (16 bit), mpu (16 bit), rate.
    let mut out = vec![0, LINK_LAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
    out.extend(u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
    out
}

/// Returns the time `bytes` take at `rate`, in ticks of 64 ns.
pub(crate) fn ticks(bytes: u32, rate: u64) -> u32 {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    u32::try_from(nanoseconds / u128::from(TICK)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_rate_is_encoded_byte_by_byte_without_a_rate_table() {
        let tbf = Tbf { rate: 1_000_000, burst: 10_000, limit: 60_000 };
        let hex: String = tbf.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = concat!(
            "28000100",
            "0001000000000000",
            "40420f00",                 // Ethernet, 1,000,000 bytes per second
            "000000000000000000000000", // no peak rate
            "60ea0000",
            "5a620200",
            "00000000", // limit, 10 ms in ticks, mtu
            "08000600",
            "10270000", // burst
        );
        assert_eq!(hex, expected);
    }

    #[test]
    fn burst_and_limit_follow_the_rate() {
        let slow = Tbf::for_rate(1_000, 1500, Duration::from_millis(50));
        assert_eq!((slow.burst, slow.limit), (3036, 15_180 + 3036));
        let fast = Tbf::for_rate(125_000_000, 1500, Duration::from_millis(50));
        assert_eq!((fast.burst, fast.limit), (625_000, 6_250_000 + 625_000));
        assert_eq!(Tbf::for_rate(u64::MAX, u32::MAX, Duration::MAX).limit, u32::MAX);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(rate in 1..u64::MAX, burst: u32, limit: u32) {
            let tbf = Tbf { rate, burst, limit };
            prop_assert_eq!(Tbf::decode(&tbf.encode()).unwrap(), tbf);
        }

        #[test]
        fn a_burst_read_back_from_ticks_matches(rate in 1_000..50_000_000_000u64, burst in 1_500..10_000_000u32) {
            let tbf = Tbf { rate, burst, limit: 1 };
            let mut bytes = tbf.encode();
            bytes.truncate(bytes.len() - 8); // the kernel dumps no TCA_TBF_BURST
            let back = Tbf::decode(&bytes).unwrap();
            let ticks_fit = u128::from(burst) * 1_000_000_000 / u128::from(rate) / 64 < u128::from(u32::MAX);
            prop_assert!(!ticks_fit || tbf.matches(&back), "{:?} {:?}", tbf, back);
        }
    }
}
