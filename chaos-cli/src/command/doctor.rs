//! `chaos doctor`

use chaos_faults::backend::Abilities;
use serde::Serialize;

use crate::{
    args::{Doctor, Shape},
    exit_code::Exit,
    render,
};

/// What `--format json` prints.
#[derive(Serialize)]
struct Findings {
    user: String,
    lab: Finding,
    backends: Vec<Finding>,
    capabilities: Vec<Finding>,
}

#[derive(Serialize)]
struct Finding {
    name: String,
    works: bool,
    detail: Option<String>,
    remedy: Option<String>,
}

/// Says what this machine and user can do, found out by trying in throw-away namespaces.
pub(crate) fn run(args: &Doctor) -> Exit {
    let root = nix::unistd::geteuid().is_root();
    // Before the runtime: a process with threads cannot enter a user namespace.
    let entered = if root { Ok(()) } else { chaos_lab::enter_user_namespace() };
    let lab = match &entered {
        Ok(()) => Finding { name: "lab".into(), works: true, detail: None, remedy: None },
        Err(error) => {
            let (what, remedy) = error
                .to_string()
                .split_once("; ")
                .map_or((error.to_string(), None), |(w, r)| (w.to_owned(), Some(r.to_owned())));
            Finding { name: "lab".into(), works: false, detail: Some(what), remedy }
        }
    };
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
        lab,
        backends: abilities
            .mechanisms()
            .map(|(name, found)| match found {
                Ok(hold) => Finding {
                    name: name.to_owned(),
                    works: true,
                    detail: Some(hold.to_string()),
                    remedy: None,
                },
                Err(denied) => Finding {
                    name: name.to_owned(),
                    works: false,
                    detail: Some(denied.message.clone()),
                    remedy: denied.help.clone(),
                },
            })
            .collect(),
        capabilities: abilities
            .capabilities()
            .iter()
            .map(|c| Finding {
                name: c.name.clone(),
                works: c.available,
                detail: c.reason.clone(),
                remedy: c.remedy.clone(),
            })
            .collect(),
    };
    match args.format {
        Shape::Json => {
            // Plain structures of text, which always have a JSON form.
            let json = serde_json::to_string_pretty(&findings).unwrap_or_default();
            render::print(&format!("{json}\n"));
        }
        Shape::Text => render::print(&text(&findings)),
    }
    if findings.lab.works && findings.backends.iter().any(|b| b.works) { Exit::Passed } else { Exit::Refused }
}

fn text(findings: &Findings) -> String {
    let mut out = format!("you are {}\n", findings.user);
    section(&mut out, "environments", std::slice::from_ref(&findings.lab));
    section(&mut out, "fault backends", &findings.backends);
    section(&mut out, "what they are made of", &findings.capabilities);
    out
}

fn section(out: &mut String, title: &str, found: &[Finding]) {
    out.push_str(&format!("\n{title}\n"));
    for finding in found {
        let word = if finding.works { "yes" } else { "no " };
        let detail = finding.detail.as_deref().unwrap_or_default();
        out.push_str(format!("  {word}  {:<18}{detail}", finding.name).trim_end());
        out.push('\n');
        if let Some(remedy) = &finding.remedy {
            out.push_str(&format!("       {:<18}{remedy}\n", "remedy:"));
        }
    }
}
