//! What a fault on an object of a cluster's API does, in words.

use crate::{
    explain::{page::time, place::of_selector},
    model::{ObjectFault, Selector},
};

/// Says what happens to the object, and how it is undone.
pub(super) fn detail(fault: &ObjectFault, on: &Selector) -> String {
    let on = of_selector(on);
    match fault {
        ObjectFault::Scale { to: 0 } => format!(
            "The replicas of {on} become none: its pods end. At the end the number that was there before is put back, and the run waits \
             up to a minute for the new pods."
        ),
        ObjectFault::Scale { to } => format!(
            "The replicas of {on} become {to}; at the end the number that was there before is put back."
        ),
        ObjectFault::Patch { fields } => {
            let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
            format!(
                "In {on}: {}. At the end exactly these fields get back the values that they had; what somebody else changed meanwhile \
                 stays as it is.",
                fields.join(", ")
            )
        }
        ObjectFault::Detach { from } => format!(
            "Each of {on} loses the labels by which {from} selects it, and runs on without new connections from there. What owns it may \
             start another in its place, and removes one again when the labels are put back at the end."
        ),
        ObjectFault::Delete { grace: None } => {
            format!(
                "Each of {on} is deleted, with the grace period that it states itself. Nothing is put back: what owns it makes another."
            )
        }
        ObjectFault::Delete { grace: Some(grace) } => format!(
            "Each of {on} is deleted, and its programs have {} to end. Nothing is put back: what owns it makes another.",
            time(*grace)
        ),
        ObjectFault::Evict => format!(
            "Each of {on} is evicted, if the disruption budgets allow that at that moment. Nothing is put back: what owns it makes another."
        ),
        ObjectFault::Drain { bare } => format!(
            "{on} takes no more pods, and those on it are evicted as the disruption budgets allow; pods of a DaemonSet stay.{} At the end \
             the node takes pods again, if it did before; those that went stay where they are by then.",
            if *bare { " Pods go as well that nothing owns: nothing makes those again." } else { "" }
        ),
        ObjectFault::Restart => format!(
            "The pods of {on} are replaced, as `kubectl rollout restart` does it and at the pace that its strategy sets. Nothing is put \
             back: that would be a second rollout."
        ),
    }
}
