//! What is done to queries for names, in words.

#![warn(clippy::wildcard_enum_match_arm)]

use crate::{
    explain::{page::time, place::of_selector},
    model::{NameEffect, NameFailure, NameFault, Quantity, Selector, names::Per},
};

/// Says what a fault does to queries.
pub(super) fn detail(fault: &NameFault, on: &Selector) -> String {
    let (on, of) = (of_selector(on), &fault.of.value);
    let names = match of.as_str() {
        "*" => "any name".to_owned(),
        _ => format!("`{of}`, with or without a search domain"),
    };
    let asked = format!("DNS query that {on} sends for {names}");
    match &fault.effect.value {
        NameEffect::Delay { delay, jitter, per } => {
            let spread = match jitter.is_zero() {
                true => String::new(),
                false => format!(", give or take up to {}", time(*jitter)),
            };
            let late = format!("arrives {} later{spread}", time(*delay));
            match per {
                Per::Query => format!("Every {asked}: {late}."),
                Per::Lookup => format!(
                    "Every {asked}: {late}, once for a lookup: A, AAAA and the domains of the search list together."
                ),
            }
        }
        NameEffect::Fail { failure, ratio } => {
            let which = match *ratio < 1.0 {
                true => format!("Of every {asked}, {} at random", Quantity::ratio(*ratio)),
                false => format!("Every {asked}"),
            };
            format!("{which}: {}.", failed(*failure))
        }
        NameEffect::Answer { with } => {
            let with: Vec<String> = with.iter().map(ToString::to_string).collect();
            format!(
                "Every {asked}: is answered with {}, and for types other than A and AAAA with no records.",
                with.join(" and ")
            )
        }
    }
}

fn failed(failure: NameFailure) -> &'static str {
    match failure {
        NameFailure::Nxdomain => "is answered that the name does not exist (NXDOMAIN)",
        NameFailure::Servfail => "is answered that the server failed (SERVFAIL)",
        NameFailure::Refused => "is answered that the server refuses (REFUSED)",
        NameFailure::Timeout => "vanishes, and the client waits for its timeout",
        NameFailure::Truncate => {
            "over UDP, is answered that the answer is too long, so that it is asked again over TCP"
        }
    }
}
