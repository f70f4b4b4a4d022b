//! What a fault on processes does, in words.

#![warn(clippy::wildcard_enum_match_arm)]

use crate::{
    explain::place::of_selector,
    model::{ProcessEffect, ProcessFault, Selector},
    which::Which,
};

/// Says what happens to the processes, and how it is undone.
pub(super) fn detail(fault: &ProcessFault, on: &Selector) -> String {
    let place = of_selector(on);
    let which = match &fault.named {
        Which::Any => format!("Every process of {place}"),
        Which::These(names) => {
            let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            let names = names.join(" or ");
            match on {
                Selector::Process(_) => format!("Every process called {names} on this machine"),
                Selector::Hosts(_)
                | Selector::Here(_)
                | Selector::Netns(_)
                | Selector::Pods(_)
                | Selector::Service(_)
                | Selector::Object(_)
                | Selector::Named(_) => format!("Every process called {names} in the network of {place}"),
            }
        }
    };
    match fault.effect {
        ProcessEffect::Pause => format!(
            "{which} is stopped, with all of its threads, and keeps its connections open without answering; processes that it started \
             are others, and run on. At the end each goes on where it was."
        ),
        ProcessEffect::Kill | ProcessEffect::Terminate => format!(
            "{which} is sent {}. Nothing is put back: whether and when something starts it again is measured.",
            fault.effect.signal()
        ),
    }
}
