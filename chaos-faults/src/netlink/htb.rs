//! The classful qdisc `htb`: here only a tree to steer into, where the kernel has no `prio`.

use serde::{Deserialize, Serialize};

use crate::netlink::{attribute, tbf};

const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_INIT: u16 = 2;
const TCA_HTB_RATE64: u16 = 6;
const TCA_HTB_CEIL64: u16 = 7;

/// The version the kernel insists on (`HTB_VER >> 16`).
const VERSION: u32 = 3;

/// The kernel's usual divisor from rate to quantum; every class here names its quantum itself.
const RATE_TO_QUANTUM: u32 = 10;

/// How many bytes a class sends before the next one's turn.
const QUANTUM: u32 = 60_000;

/// The parameters of an htb root. Its default class is none, which sends unsteered packets straight on, unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Htb;

impl Htb {
    /// Returns the value of `TCA_OPTIONS` of the root.
    pub fn encode(&self) -> Vec<u8> {
        let init: Vec<u8> =
            [VERSION, RATE_TO_QUANTUM, 0, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut out = Vec::new();
        attribute::push(&mut out, TCA_HTB_INIT, &init);
        out
    }
}

/// The parameters of an htb class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HtbClass {
    /// Bytes per second, guaranteed and at most.
    pub rate: u64,
    /// How many bytes may pass at once after a pause.
    pub burst: u32,
}

impl HtbClass {
    /// A class that limits nothing: a thousand gigabits a second. What shapes is the qdisc inside it.
    pub const UNLIMITED: Self = Self { rate: 125_000_000_000, burst: 1_250_000_000 };

    /// Returns the value of `TCA_OPTIONS`: `struct tc_htb_opt` and the wide rates.
    pub fn encode(&self) -> Vec<u8> {
        let rate = tbf::rate_spec(self.rate);
        let buffer = tbf::ticks(self.burst, self.rate);
        let mut parameters = [rate.clone(), rate].concat();
        // Buffer of the rate, buffer of the ceiling, quantum, level (out only), priority.
        for word in [buffer, buffer, QUANTUM, 0, 0] {
            parameters.extend(word.to_ne_bytes());
        }
        let mut out = Vec::new();
        attribute::push(&mut out, TCA_HTB_PARMS, &parameters);
        if self.rate > u64::from(u32::MAX) {
            attribute::push(&mut out, TCA_HTB_RATE64, &self.rate.to_ne_bytes());
            attribute::push(&mut out, TCA_HTB_CEIL64, &self.rate.to_ne_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_root_and_an_unlimited_class_are_encoded() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(Htb.encode()),
            concat!("18000200", "03000000", "0a000000", "00000000", "00000000", "00000000")
        );
        let class = hex(HtbClass { rate: 1_000_000, burst: 10_000 }.encode());
        let rate = concat!("0001000000000000", "40420f00");
        let expected = format!("30000100{rate}{rate}5a6202005a62020060ea00000000000000000000");
        assert_eq!(class, expected);
        let wide = HtbClass::UNLIMITED.encode();
        assert_eq!(wide.len(), 48 + 12 + 12);
    }
}
