//! `chaos doctor`

#[cfg(feature = "kube")]
mod cluster;

use std::collections::BTreeSet;

use chaos::Restorers;
use chaos_core::{
    capability::{Capability, NETWORK_NAMESPACE},
    trouble::Trouble,
};
use chaos_lab::UserNamespaceError;
use serde::Serialize;

use crate::{
    args::{Doctor, Shape},
    exit_code::Exit,
    render, world,
};

/// The section of what backends consist of: its reasons were mostly said of them.
const PARTS: &str = "what they are made of";

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
    fn of(found: Capability) -> Self {
        let Capability { name, available: works, detail, costs, remedy, .. } = found;
        Finding { name, works, detail, costs, remedy }
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
    let found = match runtime.block_on(capabilities()) {
        Ok(found) => found,
        Err(trouble) => {
            render::error(&trouble.message, trouble.help.as_deref());
            return Exit::Refused;
        }
    };
    let user = match (root, entered.is_ok()) {
        (true, _) => "root",
        (false, true) => "an ordinary user, in a user namespace of its own",
        (false, false) => "an ordinary user, without user namespaces",
    };
    let lab = lab(&entered, &found);
    let (parts, backends): (Vec<Capability>, Vec<Capability>) =
        found.into_iter().partition(|found| found.part);
    let findings = Findings {
        user: user.into(),
        lab,
        backends: backends.into_iter().map(Finding::of).collect(),
        capabilities: parts.into_iter().map(Finding::of).collect(),
    };
    match args.format {
        Shape::Json => render::json(&findings),
        Shape::Text => render::print(&text(&findings)),
    }
    if findings.lab.works && findings.backends.iter().any(|b| b.works) { Exit::Passed } else { Exit::Refused }
}

/// Asks everything that can inject on this machine, as a run would have it. What cannot answer is a finding, too.
async fn capabilities() -> Result<Vec<Capability>, Trouble> {
    let restorers = Restorers::of(&world::executable()?)?;
    let mut all = Vec::new();
    for injector in restorers.injectors() {
        all.extend(injector.capabilities().await.unwrap_or_else(|Trouble { message, help, .. }| {
            let silent =
                Capability { remedy: help, available: false, ..Capability::found(injector.name(), message) };
            vec![silent.costing("every fault that it injects")]
        }));
    }
    // It held nothing.
    let _ = restorers.close().await;
    Ok(all)
}

fn lab(entered: &Result<(), UserNamespaceError>, found: &[Capability]) -> Finding {
    const NAME: &str = "lab";
    const COSTS: &str = "no experiments with a `lab`";
    if let Err(error) = entered {
        return Finding::of(Capability::missing(NAME, error.to_string(), error.remedy()).costing(COSTS));
    }
    let found = found.iter().find(|found| found.name == NETWORK_NAMESPACE);
    let found = found.cloned().unwrap_or_else(|| Capability::available(NAME));
    let costs = match &found.costs {
        Some(others) => format!("{COSTS}; {others}"),
        None => COSTS.to_owned(),
    };
    Finding::of(Capability { name: NAME.to_owned(), ..found }.costing(costs))
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
