//! Whether a fault did what was asked for: matching traffic is not enough, it must have changed some.

use std::time::Duration;

use super::record::PartRecord;
use crate::{
    injector::{Done, Measured, Unit},
    model::{FaultSpec, Quantity},
    time::{Nanos, duration},
};

/// The share of matching packets that may pass a stalled mechanism before the fault counts as unproven.
const MOST_BYPASSED: f64 = 0.01;

/// How many packets an effect must be expected to have changed where nothing counts them: at fewer, it may well have changed
/// none (one time in 22,000 at this number).
const LEAST_EXPECTED: f64 = 10.0;

/// The shortest delay that can be distinguished from none, beside what a packet's way through the kernel varies anyway.
pub(crate) const LEAST_DELAY: Duration = Duration::from_micros(1);

/// One part of a fault with what it measured.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) effect: &'a Measured,
    /// How long it was in place.
    pub(crate) held: Duration,
}

impl<'a> Part<'a> {
    /// Returns what a part of a run measured; none where it was not measured.
    pub(crate) fn of(record: &'a PartRecord, now: Nanos) -> Option<Part<'a>> {
        let until = record.reverting.or(record.reverted).unwrap_or(now);
        let held = record.injected.map_or(Duration::ZERO, |from| duration(until.saturating_sub(from)));
        record.effect.as_ref().map(|effect| Part { effect, held })
    }
}

/// Says why the parts of a fault together do not count as exercised, behind the fault's name; `None` where they do.
///
/// Of effects that were asked for together each must have changed something, on some object in some direction.
pub(crate) fn idle(parts: &[Part<'_>], unit: Unit) -> Option<String> {
    let sum = |field: fn(&Measured) -> u64| parts.iter().map(|part| field(part.effect)).sum::<u64>();
    let (met, changed, bypassed) = (sum(|e| e.met), sum(|e| e.changed), sum(|e| e.bypassed));
    let many = unit.plural();
    if met == 0 {
        return Some(unit.met_none().into());
    }
    if changed == 0 {
        return Some(format!("matched {met} {many} and changed none of them"));
    }
    let share = bypassed as f64 / met as f64;
    if share > MOST_BYPASSED {
        return Some(format!(
            "let {bypassed} of {met} matching {many} pass ({}), because what holds them had stalled",
            Quantity::ratio((share * 1e3).round() / 1e3)
        ));
    }
    let each = || parts.iter().flat_map(|part| part.effect.each.iter().map(move |done| (part, done)));
    let mut asked: Vec<&FaultSpec> = Vec::new();
    for (_, done) in each() {
        if !asked.contains(&&done.spec) {
            asked.push(&done.spec);
        }
    }
    asked.into_iter().find_map(|spec| {
        let of_spec = || each().filter(|(_, done)| done.spec == *spec);
        if of_spec().any(|(part, done)| is_done(part, done)) {
            return None;
        }
        // One that hits at random may have missed by chance what another effect changed.
        let others = each().any(|(part, done)| done.spec != *spec && is_done(part, done));
        let at_random = of_spec().filter(|(_, done)| done.spec.ratio().is_some());
        if others && at_random.map(|(part, _)| expected(spec, part)).sum::<f64>() >= 1.0 {
            return None;
        }
        let met: u64 = of_spec().map(|(part, _)| part.effect.met).sum();
        Some(match spec.delays() {
            Some(delay) if delay < LEAST_DELAY => {
                format!("was asked for `{spec}`, which is too short to be measured")
            }
            Some(_) => {
                let added = of_spec().filter_map(|(part, _)| part.effect.delay).max().unwrap_or_default();
                format!("was asked for `{spec}` and added {} on average", Quantity::duration(added))
            }
            None if of_spec().any(|(_, done)| done.changed.is_none()) => {
                format!(
                    "was asked for `{spec}`, and of {met} {many} it may have changed none: too few matched"
                )
            }
            None => format!("was asked for `{spec}` and changed none of {met} {many}"),
        })
    })
}

/// Whether an effect changed something in the way that was asked for.
fn is_done(part: &Part<'_>, done: &Done) -> bool {
    let Some(changed) = done.changed else {
        return expected(&done.spec, part) >= LEAST_EXPECTED;
    };
    // A delay that was measured must be half of what was asked for.
    let is_long = |delay| delay >= LEAST_DELAY && part.effect.delay.is_none_or(|added| added >= delay / 2);
    changed > 0 && done.spec.delays().is_none_or(is_long)
}

/// Returns how many of the packets that matched an effect changes on average.
fn expected(spec: &FaultSpec, part: &Part<'_>) -> f64 {
    spec.changes(part.effect.met as f64, part.held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(met: u64, each: &[(FaultSpec, Option<u64>)]) -> Measured {
        let done =
            |(spec, changed): &(FaultSpec, Option<u64>)| Done { spec: spec.clone(), changed: *changed };
        let changed = each.iter().map(|(_, changed)| changed.unwrap_or(met)).max().unwrap_or(met);
        Measured { met, changed, each: each.iter().map(done).collect(), ..Measured::nothing(Unit::Packets) }
    }

    fn said(effects: &[Measured]) -> Option<String> {
        let parts: Vec<Part<'_>> =
            effects.iter().map(|effect| Part { effect, held: Duration::from_secs(5) }).collect();
        idle(&parts, Unit::Packets)
    }

    fn one(met: u64, spec: FaultSpec, changed: Option<u64>) -> Option<String> {
        said(&[measured(met, &[(spec, changed)])])
    }

    #[test]
    fn what_matched_without_being_changed_is_idle() {
        assert_eq!(said(&[measured(0, &[])]).unwrap(), "matched no traffic");
        let block = || FaultSpec::Partition;
        assert_eq!(one(252, block(), Some(0)).unwrap(), "matched 252 packets and changed none of them");
        assert_eq!(one(252, block(), Some(1)), None);
        // Where nothing distinguishes the effects, the sum decides.
        assert_eq!(said(&[measured(3, &[])]), None);
    }

    #[test]
    fn each_effect_that_was_asked_for_must_have_changed_something() {
        let both =
            |lost| [(FaultSpec::delay(Duration::from_millis(5)), Some(250)), (FaultSpec::loss(0.001), lost)];
        assert_eq!(said(&[measured(250, &both(Some(2)))]), None);
        let idle = said(&[measured(250, &both(Some(0)))]).unwrap();
        assert_eq!(idle, "was asked for `loss 0.1%` and changed none of 250 packets");
        // Some object, some direction is enough.
        assert_eq!(said(&[measured(250, &both(Some(0))), measured(90, &both(Some(1)))]), None);
    }

    #[test]
    fn a_delay_must_be_half_of_what_was_asked_for() {
        let delayed = |asked: u64, added: Option<u64>| {
            let spec = FaultSpec::delay(Duration::from_micros(asked));
            let effect = measured(100, &[(spec, Some(100))]);
            said(&[Measured { delay: added.map(Duration::from_micros), ..effect }])
        };
        assert_eq!(delayed(100_000, Some(50_000)), None);
        let idle = delayed(100_000, Some(49_000)).unwrap();
        assert_eq!(idle, "was asked for `delay 100ms` and added 49ms on average");
        assert_eq!(delayed(100_000, None), None, "the kernel holds packets as long as it was asked to");
        let nothing = one(100, FaultSpec::delay(Duration::from_nanos(1)), Some(100)).unwrap();
        assert_eq!(nothing, "was asked for `delay 1ns`, which is too short to be measured");
    }

    #[test]
    fn what_nobody_counts_is_judged_by_what_is_to_be_expected() {
        let corrupt = |ratio| FaultSpec::Corrupt { ratio };
        assert_eq!(one(1000, corrupt(0.01), None), None);
        let rare = one(999, corrupt(0.01), None).unwrap();
        assert_eq!(
            rare,
            "was asked for `corrupt 1%`, and of 999 packets it may have changed none: too few matched"
        );
        // 100 packets a second are 10 ms apart: hardly one comes within 1 ms of another.
        let reorder =
            |milliseconds| FaultSpec::Reorder { ratio: 0.2, hold: Duration::from_millis(milliseconds) };
        assert!(one(500, reorder(1), None).is_some());
        assert_eq!(one(500, reorder(50), None), None);
    }

    #[test]
    fn what_passed_a_stalled_mechanism_is_counted() {
        let bypassed = |bypassed| {
            let effect = measured(1000, &[(FaultSpec::delay(Duration::from_millis(5)), Some(900))]);
            said(&[Measured { bypassed, delay: Some(Duration::from_millis(5)), ..effect }])
        };
        assert_eq!(bypassed(10), None);
        let idle = bypassed(11).unwrap();
        assert_eq!(idle, "let 11 of 1000 matching packets pass (1.1%), because what holds them had stalled");
    }
}
