//! Values that may be partly unknown: numeric intervals and three-valued truth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A closed range of numbers that surely holds a value; a measured value is `[v, v]`.
///
/// An infinite end is written as `null` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The lower end; `null` stands for minus infinity.
    #[serde(with = "lower_end")]
    #[schemars(with = "Option<f64>")]
    pub lo: f64,
    /// The upper end; `null` stands for plus infinity.
    #[serde(with = "upper_end")]
    #[schemars(with = "Option<f64>")]
    pub hi: f64,
}

impl Interval {
    /// Everything: nothing is known, not even a physical range.
    pub const EVERYTHING: Self = Self { lo: f64::NEG_INFINITY, hi: f64::INFINITY };
    /// The physical range of a share, such as a success rate.
    pub(crate) const SHARE: Self = Self { lo: 0.0, hi: 1.0 };
    /// The physical range of a latency, a count or a rate.
    pub const NON_NEGATIVE: Self = Self { lo: 0.0, hi: f64::INFINITY };
    /// The range of a boolean, false as 0 and true as 1.
    pub(crate) const BOOLEAN: Self = Self::SHARE;

    /// Returns the interval from `lo` to `hi`; the ends are swapped when they come in the wrong order.
    ///
    /// A NaN at either end means that nothing is known.
    #[must_use]
    pub fn new(lo: f64, hi: f64) -> Self {
        if lo.is_nan() || hi.is_nan() {
            return Self::EVERYTHING;
        }
        Self { lo: lo.min(hi), hi: lo.max(hi) }
    }

    /// Returns the interval of one measured value; NaN is not a measurement and gives everything.
    #[must_use]
    pub fn exactly(value: f64) -> Self {
        Self::new(value, value)
    }

    /// Whether the value is known to the last bit.
    #[must_use]
    pub fn is_exact(self) -> bool {
        self.lo == self.hi
    }

    /// Whether `value` may be the true one.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        self.lo <= value && value <= self.hi
    }

    /// Returns the smaller of two values, end by end.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.min(other.hi) }
    }

    /// Returns the larger of two values, end by end.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { lo: self.lo.max(other.lo), hi: self.hi.max(other.hi) }
    }

    /// Returns every difference `self - other`; `inf - inf` widens to the open side.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let lo = self.lo - other.hi;
        let hi = self.hi - other.lo;
        Self {
            lo: if lo.is_nan() { f64::NEG_INFINITY } else { lo },
            hi: if hi.is_nan() { f64::INFINITY } else { hi },
        }
    }

    /// Returns the interval mirrored at zero.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { lo: -self.hi, hi: -self.lo }
    }

    /// Returns the interval multiplied by a factor that is not negative; `0 x inf` is 0.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let times = |end: f64| if factor == 0.0 { 0.0 } else { end * factor };
        Self::new(times(self.lo), times(self.hi))
    }

    /// Returns the interval with a finite number added.
    #[must_use]
    pub fn shifted(self, by: f64) -> Self {
        Self { lo: self.lo + by, hi: self.hi + by }
    }

    /// Returns the part inside `range`; a measurement outside of it is pulled to its nearer end.
    #[must_use]
    pub(crate) fn clamped(self, range: Self) -> Self {
        Self { lo: self.lo.clamp(range.lo, range.hi), hi: self.hi.clamp(range.lo, range.hi) }
    }
}

/// Three-valued truth in Kleene's strong logic, ordered `False < Unknown < True`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Truth {
    /// False, whatever the unknown values are.
    False,
    /// Depends on values that are not known.
    Unknown,
    /// True, whatever the unknown values are.
    True,
}

impl Truth {
    /// Returns the negation; unknown stays unknown.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }

    /// Whether more data can no longer change it.
    #[must_use]
    pub(crate) fn is_decided(self) -> bool {
        self != Self::Unknown
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// How a value is compared with its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// `value < limit`
    Below,
    /// `value <= limit`
    AtMost,
    /// `value > limit`
    Above,
    /// `value >= limit`
    AtLeast,
    /// `value == limit`
    Equal,
    /// `value != limit`
    NotEqual,
}

impl Comparison {
    /// Returns the truth of the comparison for every value in `value` and every limit in `limit`.
    #[must_use]
    pub fn truth(self, value: Interval, limit: Interval) -> Truth {
        let decide = |yes: bool, no: bool| match (yes, no) {
            (true, _) => Truth::True,
            (_, true) => Truth::False,
            _ => Truth::Unknown,
        };
        match self {
            Self::Below => decide(value.hi < limit.lo, value.lo >= limit.hi),
            Self::AtMost => decide(value.hi <= limit.lo, value.lo > limit.hi),
            Self::Above => decide(value.lo > limit.hi, value.hi <= limit.lo),
            Self::AtLeast => decide(value.lo >= limit.hi, value.hi < limit.lo),
            Self::Equal => {
                decide(value.is_exact() && value == limit, value.hi < limit.lo || value.lo > limit.hi)
            }
            Self::NotEqual => Self::Equal.truth(value, limit).negated(),
        }
    }

    /// Returns the margin by which the comparison holds (positive) or fails (negative), in the value's unit.
    ///
    /// Strict and non-strict comparisons share a margin: it is the truth that tells them apart.
    #[must_use]
    pub fn margin(self, value: Interval, limit: Interval) -> Interval {
        match self {
            Self::Below | Self::AtMost => limit.minus(value),
            Self::Above | Self::AtLeast => value.minus(limit),
            Self::Equal => {
                let difference = value.minus(limit);
                let far = difference.lo.abs().max(difference.hi.abs());
                let near =
                    if difference.contains(0.0) { 0.0 } else { difference.lo.abs().min(difference.hi.abs()) };
                Interval { lo: -far, hi: -near }
            }
            Self::NotEqual => Self::Equal.margin(value, limit).negated(),
        }
    }

    /// Whether smaller values are the better ones.
    #[must_use]
    pub fn prefers_small(self) -> bool {
        matches!(self, Self::Below | Self::AtMost)
    }
}

mod lower_end {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(end: &f64, to: S) -> Result<S::Ok, S::Error> {
        end.is_finite().then_some(*end).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NEG_INFINITY))
    }
}

mod upper_end {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(end: &f64, to: S) -> Result<S::Ok, S::Error> {
        end.is_finite().then_some(*end).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::INFINITY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPARISONS: [Comparison; 6] = [
        Comparison::Below,
        Comparison::AtMost,
        Comparison::Above,
        Comparison::AtLeast,
        Comparison::Equal,
        Comparison::NotEqual,
    ];

    #[test]
    fn an_atom_is_true_only_when_every_possible_value_satisfies_it() {
        let limit = Interval::exactly(5.0);
        let truths = |comparison: Comparison| {
            [
                comparison.truth(Interval::exactly(5.0), limit),
                comparison.truth(Interval::new(4.0, 5.0), limit),
                comparison.truth(Interval::new(5.0, 6.0), limit),
                comparison.truth(Interval::new(4.0, 6.0), limit),
            ]
        };
        use Truth::{False as F, True as T, Unknown as U};
        assert_eq!(truths(Comparison::AtMost), [T, T, U, U]);
        assert_eq!(truths(Comparison::Below), [F, U, F, U]);
        assert_eq!(truths(Comparison::AtLeast), [T, U, T, U]);
        assert_eq!(truths(Comparison::Above), [F, F, U, U]);
        assert_eq!(truths(Comparison::Equal), [T, U, U, U]);
        assert_eq!(truths(Comparison::NotEqual), [F, U, U, U]);
    }

    #[test]
    fn the_sign_of_the_margin_never_contradicts_the_truth() {
        let ends = [-2.0, 0.0, 1.0, 1.5, f64::INFINITY];
        for comparison in COMPARISONS {
            for (lo, hi) in ends.iter().flat_map(|lo| ends.iter().map(move |hi| (*lo, *hi))) {
                let value = Interval::new(lo, hi);
                let truth = comparison.truth(value, Interval::exactly(1.0));
                let margin = comparison.margin(value, Interval::exactly(1.0));
                assert!(margin.lo <= 0.0 || truth == Truth::True, "{comparison:?} {value:?} {margin:?}");
                assert!(margin.hi >= 0.0 || truth == Truth::False, "{comparison:?} {value:?} {margin:?}");
                assert!(truth != Truth::True || margin.lo >= 0.0, "{comparison:?} {value:?} {margin:?}");
                assert!(truth != Truth::False || margin.hi <= 0.0, "{comparison:?} {value:?} {margin:?}");
            }
        }
    }

    #[test]
    fn open_ends_survive_json() {
        for interval in [Interval::EVERYTHING, Interval::NON_NEGATIVE, Interval::exactly(2.5)] {
            let text = serde_json::to_string(&interval).unwrap();
            assert_eq!(serde_json::from_str::<Interval>(&text).unwrap(), interval, "{text}");
        }
    }

    #[test]
    fn nan_is_no_measurement() {
        assert_eq!(Interval::exactly(f64::NAN), Interval::EVERYTHING);
        assert_eq!(Interval::NON_NEGATIVE.minus(Interval::new(0.0, f64::INFINITY)), Interval::EVERYTHING);
    }
}
