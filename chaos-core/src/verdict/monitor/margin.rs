//! Margins: how close a claim came to the other verdict, also across units.
//!
//! A raw margin has its metric's unit, and margins of different units are never compared. The normalised margin is the
//! share of the allowed budget that was left, at most 1, and may be compared; it carries along which atom, when and by
//! how much, so that the closest call can be named.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Nanos;
use crate::verdict::interval::Interval;
use crate::verdict::monitor::{Algebra, Atom, Obligation, Scale, Trace, evaluate};
use crate::verdict::steps::BEGINNING;

/// Returns the share of the budget that is left: `raw` over the distance between limit and ideal, at most 1.
///
/// With no budget at all it is 0 when met and the miss in steps of the scale's quantum otherwise.
#[must_use]
pub fn normalised(raw: f64, limit: f64, scale: Scale) -> f64 {
    let budget = (limit - scale.ideal).abs();
    if budget > 0.0 {
        (raw / budget).min(1.0)
    } else if raw >= 0.0 {
        0.0
    } else {
        raw / scale.quantum
    }
}

/// Returns the normalised margin of a deadline: the share of `within` that was left.
#[must_use]
pub(crate) fn normalised_deadline(margin: Nanos, within: Nanos) -> f64 {
    if within <= 0 {
        return if margin >= 0 { 0.0 } else { -1.0 };
    }
    (margin as f64 / within as f64).min(1.0)
}

/// The atom that was nearest to turning a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClosestCall {
    /// The id the caller gave the atom.
    pub atom: u32,
    /// When it was closest, in nanoseconds since the start of the run.
    pub at: Nanos,
    /// By how much it held (positive) or failed, in its metric's unit.
    pub raw: f64,
    /// The share of the allowed budget that was left.
    pub normalised: f64,
}

/// A normalised margin that remembers where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Call {
    normalised: f64,
    raw: f64,
    /// `None` at the two ends of the lattice, which no atom gives.
    atom: Option<u32>,
    at: Nanos,
}

impl Algebra for Call {
    const TOP: Self = Self { normalised: f64::INFINITY, raw: f64::INFINITY, atom: None, at: BEGINNING };
    const BOTTOM: Self =
        Self { normalised: f64::NEG_INFINITY, raw: f64::NEG_INFINITY, atom: None, at: BEGINNING };

    fn meet(self, other: Self) -> Self {
        if other.normalised < self.normalised { other } else { self }
    }

    fn join(self, other: Self) -> Self {
        if other.normalised > self.normalised { other } else { self }
    }

    fn negated(self) -> Self {
        Self { normalised: -self.normalised, raw: -self.raw, ..self }
    }

    fn atom(atom: &Atom, value: Interval, limit: Interval, at: Nanos) -> Self {
        let margin = atom.read(value, limit).margin;
        // A value that is only bounded counts at its worse end, as far as there is one.
        let raw = [margin.lo, margin.hi].into_iter().find(|end| end.is_finite());
        let limit = if limit.lo.is_finite() { limit.lo } else { limit.hi };
        raw.map_or(Self::TOP, |raw| Self {
            normalised: normalised(raw, limit, atom.scale),
            raw,
            atom: Some(atom.id),
            at,
        })
    }

    fn blank(_: &Atom, _: Interval, _: Interval) -> Self {
        Self::TOP
    }
}

/// Returns the atom, among all obligations, that came nearest to turning the verdict.
pub(crate) fn closest_call(obligations: &[Obligation], trace: &Trace) -> Option<ClosestCall> {
    let mut closest: Option<ClosestCall> = None;
    for obligation in obligations.iter().filter(|obligation| !obligation.at.is_empty()) {
        let calls = evaluate::<Call>(&obligation.formula, trace);
        for at in &obligation.at {
            let call = calls.at(*at);
            let Some(atom) = call.atom else { continue };
            let found =
                ClosestCall { atom, at: call.at.max(*at), raw: call.raw, normalised: call.normalised };
            if closest.is_none_or(|closest| found.normalised < closest.normalised) {
                closest = Some(found);
            }
        }
    }
    closest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::interval::Comparison;
    use crate::verdict::monitor::{Claim, Formula, SignalId, Span, decide};
    use crate::verdict::signal::Signal;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    #[test]
    fn the_budget_left() {
        close(normalised(0.100 - 0.088, 0.100, Scale::FROM_ZERO), 0.12);
        close(normalised(0.01 - 0.004, 0.01, Scale::FROM_ZERO), 0.6);
        close(normalised(0.9995 - 0.999, 0.999, Scale::FROM_ONE), 0.5);
        close(normalised(0.998 - 0.999, 0.999, Scale::FROM_ONE), -1.0);
        close(normalised(0.5 - 0.9, 0.5, Scale::FROM_ZERO), -0.8);
        close(normalised(1.2 - 1.05, 1.2, Scale::FROM_ONE), 0.75);
        close(normalised_deadline(12_000_000_000, 30_000_000_000), 0.4);
        close(normalised(4.0, 2.0, Scale::FROM_ZERO), 1.0);
    }

    #[test]
    fn without_a_budget_a_miss_counts_in_quanta() {
        close(normalised(0.0, 0.0, Scale::FROM_ZERO), 0.0);
        close(normalised(-3.0, 0.0, Scale::FROM_ZERO), -3.0);
        close(normalised(0.999 - 1.0, 1.0, Scale::FROM_ONE), -0.1);
        close(normalised_deadline(0, 0), 0.0);
        close(normalised_deadline(-5, 0), -1.0);
    }

    #[test]
    fn what_must_be_at_least_so_much_has_its_limit_as_budget() {
        close(normalised(45.0 - 30.0, 30.0, Scale::FROM_ZERO), 0.5);
        close(normalised(21.0 - 30.0, 30.0, Scale::FROM_ZERO), -0.3);
        close(normalised(90.0 - 30.0, 30.0, Scale::FROM_ZERO), 1.0);
    }

    #[test]
    fn the_closest_call_is_found_across_units() {
        let latency = Signal::from_points(
            Interval::NON_NEGATIVE,
            [(0, Some(0.050)), (100, Some(0.088)), (200, Some(0.060))],
            400,
        );
        let success = Signal::from_points(Interval::SHARE, [(0, Some(1.0)), (300, Some(0.9995))], 400);
        let body = Formula::And(vec![
            Formula::Atom(Atom::compares(7, SignalId(0), Comparison::AtMost, 0.1, Scale::FROM_ZERO)),
            Formula::Atom(Atom::compares(8, SignalId(1), Comparison::AtLeast, 0.999, Scale::FROM_ONE)),
        ]);
        let claim = Claim::Always { body, spans: vec![Span { start: 0, end: Some(400) }], warm_up: 0 };
        let call = decide(&claim, &Trace::new(vec![latency, success])).closest.unwrap();
        assert_eq!((call.atom, call.at), (7, 100));
        close(call.raw, 0.012);
        close(call.normalised, 0.12);
    }
}
