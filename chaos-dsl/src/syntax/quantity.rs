//! Numbers and what they count, exactly as written.

/// A number with or without a unit.
#[derive(Clone, Copy, Debug)]
pub struct Quantity<'a> {
    /// As it was written: `1m30s`.
    pub text: &'a str,
    /// Its value in the base unit of its kind, exactly.
    pub value: Decimal,
    /// What it counts.
    pub unit: Unit,
}

/// Two quantities are equal when they say the same amount in the same way.
impl PartialEq for Quantity<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.value == other.value && self.unit == other.unit
    }
}

/// What a quantity counts, and the base unit its value is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    Count,
    /// `500ms`: nanoseconds.
    Duration,
    /// `5%`: percent.
    Percentage,
    /// `0.2pp`: percentage points.
    Points,
    /// `50/s`: a number per this many nanoseconds.
    Rate {
        /// The length of the period in nanoseconds.
        per: u64,
    },
    /// `10mbit`: bits per second.
    Bandwidth,
    /// `64kb`: bytes.
    Size,
}

impl Unit {
    /// Returns what it is called in messages.
    pub fn describe(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Duration => "duration",
            Unit::Percentage => "percentage",
            Unit::Points => "percentage points",
            Unit::Rate { .. } => "rate",
            Unit::Bandwidth => "bandwidth",
            Unit::Size => "size",
        }
    }
}

/// An exact non-negative decimal number: `mantissa / 10^scale`, without trailing zeros after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Decimal {
    /// All digits.
    pub mantissa: u64,
    /// How many of them stand after the point.
    pub scale: u8,
}

impl Decimal {
    /// Makes a number, dropping zeros at its end after the point.
    pub fn new(mantissa: u64, scale: u8) -> Self {
        let mut number = Decimal { mantissa, scale };
        while number.scale > 0 && number.mantissa.is_multiple_of(10) {
            number.mantissa /= 10;
            number.scale -= 1;
        }
        number
    }

    /// Returns the number multiplied, or nothing when it does not fit.
    pub fn times(self, factor: u64) -> Option<Self> {
        let product = u128::from(self.mantissa) * u128::from(factor);
        let mut scale = self.scale;
        let mut mantissa = product;
        while scale > 0 && mantissa.is_multiple_of(10) {
            mantissa /= 10;
            scale -= 1;
        }
        Some(Decimal { mantissa: u64::try_from(mantissa).ok()?, scale })
    }

    /// Returns the sum, or nothing when it does not fit.
    pub fn plus(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let widen = |n: Decimal| n.mantissa.checked_mul(10u64.checked_pow(u32::from(scale - n.scale))?);
        Some(Decimal::new(widen(self)?.checked_add(widen(other)?)?, scale))
    }

    /// Returns the number if it is whole.
    pub fn whole(self) -> Option<u64> {
        (self.scale == 0).then_some(self.mantissa)
    }

    /// Returns the nearest floating-point number.
    pub fn to_f64(self) -> f64 {
        self.mantissa as f64 / 10f64.powi(i32::from(self.scale))
    }

    /// Returns the nearest floating-point number to a hundredth of it: dividing once rounds once.
    pub fn hundredth(self) -> f64 {
        self.mantissa as f64 / 10f64.powi(i32::from(self.scale) + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        let number = Decimal::new(150, 2);
        assert_eq!(number, Decimal { mantissa: 15, scale: 1 });
        assert_eq!(number.times(1_000_000).unwrap().whole(), Some(1_500_000));
        assert_eq!(Decimal::new(5, 1).plus(Decimal::new(2, 0)), Some(Decimal::new(25, 1)));
        assert_eq!(Decimal::new(999, 1).to_f64(), 99.9);
        assert_eq!(Decimal::new(u64::MAX, 0).times(2), None);
        assert_eq!(Decimal::new(u64::MAX, 0).plus(Decimal::new(1, 19)), None);
    }
}
