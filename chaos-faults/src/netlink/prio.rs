//! The classful qdisc `prio`: bands that filters steer into, served in order.

use serde::{Deserialize, Serialize};

/// The most bands the kernel takes (`TCQ_PRIO_BANDS`).
pub const MOST_BANDS: u8 = 16;

/// The map of `pfifo_fast`, the kernel's own default: packets no filter steers keep the order they had without us.
const PRIORITY_MAP: [u8; 16] = [1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];

/// The bands unsteered packets use.
pub const DEFAULT_BANDS: u8 = 3;

/// The parameters of a prio qdisc: three bands for ordinary traffic, and the given number after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prio {
    /// How many bands come after the three ordinary ones, at most 13.
    pub extra_bands: u8,
}

impl Prio {
    /// Returns the value of `TCA_OPTIONS`: `struct tc_prio_qopt`.
    pub fn encode(&self) -> Vec<u8> {
        let bands = i32::from(self.extra_bands) + i32::from(DEFAULT_BANDS);
        let mut out = bands.to_ne_bytes().to_vec();
        out.extend(PRIORITY_MAP);
        out
    }

    /// Returns the class number of extra band `index` (from 0); classes count from 1.
    pub const fn class(index: u8) -> u16 {
        DEFAULT_BANDS as u16 + index as u16 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn bands_and_the_default_map_are_encoded() {
        let bytes = Prio { extra_bands: 2 }.encode();
        assert_eq!(bytes[..4], [5, 0, 0, 0]);
        assert_eq!(bytes[4..], PRIORITY_MAP);
        assert!(PRIORITY_MAP.iter().all(|band| *band < DEFAULT_BANDS));
        assert_eq!(Prio::class(0), 4);
    }
}
