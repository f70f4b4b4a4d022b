//! A window longer than its deadline, which at the deadline still holds what was before.

use super::{Finding, Kind, claims, reach, text};
use crate::model::{Claim, Experiment};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    for (about, span, claim) in claims(experiment) {
        let (Claim::Within { predicate, within, .. }
        | Claim::Stops { predicate, within, .. }
        | Claim::Settles { predicate, within, .. }) = claim
        else {
            continue;
        };
        let window = reach(predicate);
        if window > *within {
            let message = format!(
                "the window of {} is longer than the deadline of {}, so it still holds what was before",
                text(window),
                text(*within)
            );
            let help = "shorten the window, or lengthen the deadline";
            out.push(Finding::new(Kind::TooShort, about, span, message, help));
        }
    }
}
