//! `chaos doctor`

#[cfg(feature = "kube")]
mod cluster;

use std::collections::BTreeSet;

use chaos_core::{capability::Capability, injector::Hold, trouble::Trouble};
use chaos_faults::{
    backend::{Abilities, Mechanism},
    cost,
};
use chaos_lab::UserNamespaceError;
use serde::Serialize;

use crate::{
    args::{Doctor, Shape},
    exit_code::Exit,
    render,
};

/// The capability without which there is neither a lab nor a throw-away namespace.
const NETWORK_NAMESPACE: &str = "network-namespace";

/// The section of what backends consist of: its reasons were mostly said of them.
const PARTS: &str = "what they are made of";

/// What is missing with it, apart from labs.
const ELSEWHERE: &str = "no faults in other network namespaces; here they are tried and done in place";

/// What `--format json` prints.
#[derive(Serialize)]
struct Findings {
    user: String,
    lab: Finding,
    backends: Vec<Finding>,
    capabilities: Vec<Finding>,
}

/// A capability, with what its absence costs here.
#[derive(Serialize)]
struct Finding {
    name: String,
    works: bool,
    detail: Option<String>,
    costs: Option<String>,
    remedy: Option<String>,
}

impl Finding {
    fn of(found: Capability, costs: impl Into<String>) -> Self {
        let Capability { name, available: works, detail, remedy, .. } = found;
        Finding { name, works, detail, costs: (!works).then(|| costs.into()), remedy }
    }
}

/// Says what this machine and user can do, found out by trying; or else what a cluster lacks.
pub(crate) fn run(args: &Doctor) -> Exit {
    #[cfg(feature = "kube")]
    if let Some(context) = &args.cluster {
        return cluster::run(context, args);
    }
    let root = nix::unistd::geteuid().is_root();
    // Before the runtime: a process with threads cannot enter a user namespace.
    let entered = if root { Ok(()) } else { chaos_lab::enter_user_namespace() };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let abilities = runtime.block_on(Abilities::probe());
    let user = match (root, entered.is_ok()) {
        (true, _) => "root",
        (false, true) => "an ordinary user, in a user namespace of its own",
        (false, false) => "an ordinary user, without user namespaces",
    };
    let findings = Findings {
        user: user.into(),
        lab: lab(&entered, &abilities),
        backends: abilities
            .mechanisms()
            .map(|(mechanism, found)| backend(&abilities, mechanism, found))
            .collect(),
        capabilities: abilities.capabilities().iter().map(capability).collect(),
    };
    match args.format {
        Shape::Json => render::json(&findings),
        Shape::Text => render::print(&text(&findings)),
    }
    if findings.lab.works && findings.backends.iter().any(|b| b.works) { Exit::Passed } else { Exit::Refused }
}

fn lab(entered: &Result<(), UserNamespaceError>, abilities: &Abilities) -> Finding {
    const NAME: &str = "lab";
    let costs = "no experiments with a `lab`";
    if let Err(error) = entered {
        return Finding::of(Capability::missing(NAME, error.to_string(), error.remedy()), costs);
    }
    let found = abilities.capabilities().iter().find(|capability| capability.name == NETWORK_NAMESPACE);
    let found = found.cloned().unwrap_or_else(|| Capability::available(NAME));
    Finding::of(Capability { name: NAME.to_owned(), ..found }, format!("{costs}; {ELSEWHERE}"))
}

fn backend(abilities: &Abilities, mechanism: Mechanism, found: &Result<Hold, Trouble>) -> Finding {
    let name = mechanism.name();
    match found {
        Ok(hold) => Finding::of(Capability::found(name, hold.to_string()), ""),
        Err(Trouble { message, help, .. }) => {
            let missing = Capability::missing(name, message, help.clone().unwrap_or_default());
            let missing = Capability { remedy: help.clone(), ..missing };
            Finding::of(missing, cost(abilities, mechanism))
        }
    }
}

fn capability(found: &Capability) -> Finding {
    let costs =
        if found.name == NETWORK_NAMESPACE { ELSEWHERE } else { "nothing: what needs it has another way" };
    Finding::of(found.clone(), costs)
}

fn text(findings: &Findings) -> String {
    let mut out = format!("you are {}\n", findings.user);
    let mut said = BTreeSet::new();
    section(&mut out, &mut said, "environments", std::slice::from_ref(&findings.lab));
    section(&mut out, &mut said, "fault backends", &findings.backends);
    section(&mut out, &mut said, PARTS, &findings.capabilities);
    out
}

/// Writes a section; what has been `said` of something else is not repeated, with its cost alone where that differs.
fn section<'a>(out: &mut String, said: &mut BTreeSet<&'a str>, title: &str, found: &'a [Finding]) {
    out.push_str(&format!("\n{title}\n"));
    for finding in found {
        let detail = finding.detail.as_deref().unwrap_or_default();
        let again = !finding.works && !said.insert(detail);
        if again && title == PARTS {
            continue;
        }
        let (word, detail) = match (finding.works, again) {
            (true, _) => ("yes", detail),
            (false, false) => ("no ", detail),
            (false, true) => ("no ", "for the same reason"),
        };
        out.push_str(format!("  {word}  {:<18}{detail}", finding.name).trim_end());
        out.push('\n');
        let remedy = finding.remedy.as_ref().filter(|_| !again);
        for (label, line) in [("costs:", finding.costs.as_ref()), ("remedy:", remedy)] {
            if let Some(line) = line {
                out.push_str(&format!("       {label:<18}{line}\n"));
            }
        }
    }
}
