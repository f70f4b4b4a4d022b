//! What a run would touch, with what, in which order, and how it is undone: read before running.

use std::time::Duration;

use super::{
    fault::{counted, time},
    line::{Line, Style, WIDTH, plain, wrap},
};
use crate::{
    injector::Hold,
    model::{Abort, Connections, Outside, Quantity, Scope, Step, Unit},
    plan::{Origin, Part, Plan, PlannedFault},
};

/// Folds a plan to plain text.
pub fn render(plan: &Plan) -> String {
    plain(&lines(plan))
}

/// Writes a plan as one JSON object, indented.
pub fn write(plan: &Plan, mut out: impl std::io::Write) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut out, plan)?;
    out.write_all(b"\n")
}

/// Folds a plan to styled lines, none wider than [`WIDTH`].
pub fn lines(plan: &Plan) -> Vec<Line> {
    let mut out = vec![
        Line::at(0).strong("PLAN  ").strong(plan.experiment.title()),
        Line::at(2).plain(scope(plan)),
        Line::at(2).dim(format!("seed {}: the same seed makes the same choices", plan.seed)),
    ];
    for (title, lines) in [
        ("Blast radius", radius(plan)),
        (Outside::HEADING, outside(plan)),
        ("Timeline", timeline(plan)),
        ("Ends early when", aborts(plan)),
        ("Expectations", expectations(plan)),
        ("Probes", probes(plan)),
        ("Warnings", warnings(plan)),
    ] {
        if !lines.is_empty() {
            out.extend([Line::blank(), Line::title(title)]);
            out.extend(lines);
        }
    }
    wrap(out, WIDTH)
}

fn scope(plan: &Plan) -> String {
    match &plan.experiment.scope {
        Scope::Lab(lab) => {
            let names = lab.names();
            format!(
                "in a lab of {}, made for the run and gone with it: {}",
                counted(names.len(), "host"),
                names.join(", ")
            )
        }
        Scope::Machine => "on this machine".into(),
        Scope::Cluster(cluster) => {
            format!("in the cluster `{}`, namespace `{}`", cluster.context, cluster.namespace)
        }
    }
}

fn list(objects: &[impl ToString]) -> String {
    objects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn radius(plan: &Plan) -> Vec<Line> {
    let touched = &plan.radius.touched;
    let of = plan.radius.of.map(|n| format!(" of {n}")).unwrap_or_default();
    let mut out =
        vec![Line::at(2).hang(4).strong(format!("{}{of}", touched.len())).plain(match touched.len() {
            0 => " touched".to_owned(),
            _ => format!(" touched: {}", list(touched)),
        })];
    out.extend(plan.radius.lines.iter().map(|l| Line::at(2).piece(Style::Good, "✓ ").plain(l)));
    for allowed in &plan.experiment.allowed {
        out.push(Line::at(2).hang(4).piece(Style::Unsure, "allowed: ").plain(allowed.what.what()));
    }
    for (name, objects) in &plan.targets {
        out.push(Line::at(2).hang(4).plain(format!("{name} is {}", list(objects))));
    }
    out
}

fn outside(plan: &Plan) -> Vec<Line> {
    let lines = Outside::of(&plan.experiment).lines();
    lines.iter().map(|line| Line::at(2).hang(4).plain(line)).collect()
}

/// The width of the column of times.
const TIMES: usize = 9;

fn at(offset: Duration, text: impl AsRef<str>) -> Line {
    Line::at(2).hang(TIMES).dim(format!("{:<TIMES$}", time(offset))).plain(text)
}

fn timeline(plan: &Plan) -> Vec<Line> {
    let indent = TIMES + 2;
    let mut out = Vec::new();
    let mut offset = Duration::ZERO;
    let mut listed: Vec<&str> = Vec::new();
    if !plan.background.is_empty() {
        out.push(at(offset, "set up the delays of the lab's links"));
        for part in &plan.background {
            out.push(Line::at(indent).hang(4).plain(does(part)).dim(by(part)));
        }
    }
    let steady = &plan.experiment.steady_state;
    if !steady.predicates.is_empty() {
        let line =
            at(offset, "steady state").plain(format!(" for {}, else nothing is injected", time(steady.over)));
        out.push(line);
        out.extend(steady.predicates.iter().map(|p| Line::at(indent).hang(4).dim(p.to_string())));
        offset += steady.over;
    }
    for step in &plan.experiment.timeline.steps {
        match &step.value {
            Step::Baseline(d) => {
                out.push(at(offset, format!("baseline for {}", time(*d))));
                offset += *d;
            }
            Step::Hold(d) => {
                out.push(at(offset, format!("hold for {}", time(*d))));
                offset += *d;
            }
            Step::Watch(d) => {
                out.push(at(offset, format!("watch for {}", time(*d))));
                offset += *d;
            }
            Step::Make(name) => {
                out.push(at(offset, "make ").strong(name.as_str()).plain(", for the rest of the run"));
                for part in plan.changes.iter().filter(|c| c.name == name.value).flat_map(|c| &c.parts) {
                    out.push(Line::at(indent).hang(4).plain(does(part)).dim(by(part)));
                    out.push(Line::at(indent + 4).hang(4).plain("undone: ").plain(&part.offer.undoes));
                }
            }
            Step::Inject(name) => {
                out.push(at(offset, "inject ").strong(name.as_str()));
                if listed.contains(&name.as_str()) {
                    continue;
                }
                listed.push(name);
                if let Some(fault) = plan.faults.iter().find(|f| f.name == name.value) {
                    out.extend(inject(fault, indent));
                }
            }
            Step::Rollback(None) => out.push(at(offset, "roll back everything, the last first")),
            Step::Rollback(Some(name)) => out.push(at(offset, "roll back ").strong(name.as_str())),
        }
    }
    out.push(
        at(offset, "the steady state once more, and the verdict").dim("; injecting and undoing come on top"),
    );
    out
}

fn does(part: &Part) -> String {
    part.offer.does.join(", ")
}

fn by(part: &Part) -> String {
    format!(" on {} by {}, {}", part.offer.ask.object, part.offer.backend, part.offer.hold)
}

fn inject(fault: &PlannedFault, indent: usize) -> Vec<Line> {
    let mut out = Vec::new();
    for part in &fault.parts {
        let offer = &part.offer;
        out.push(
            Line::at(indent)
                .hang(4)
                .plain(format!("on {} by ", offer.ask.object))
                .strong(&offer.backend)
                .plain(format!(", {}", offer.hold)),
        );
        out.extend(offer.does.iter().map(|d| Line::at(indent + 2).plain("does: ").plain(d)));
        out.push(Line::at(indent + 2).plain("undone: ").plain(&offer.undoes));
        out.extend(offer.because.iter().map(|b| Line::at(indent + 2).dim("why: ").dim(b)));
        out.push(match offer.hold {
            Hold::Kernel => Line::at(indent + 2).dim("if killed: ends at once, by the kernel, with its holder"),
            Hold::Agent => Line::at(indent + 2).piece(Style::Unsure, "if killed: ").plain(
                "the agent takes it back; if agent and runner are killed together, it stays until `chaos restore`",
            ),
            Hold::Environment => {
                Line::at(indent + 2).dim("if killed: ends with the environment, which is gone with its runner")
            }
            Hold::Record => {
                Line::at(indent + 2).piece(Style::Unsure, "if killed: ").plain("it stays until `chaos restore`")
            }
            Hold::Over => Line::at(indent + 2).dim("if killed: nothing is owed, as otherwise"),
        });
    }
    let ends = format!("ends on its own after {}", time(fault.deadline));
    let held = |hold| fault.parts.iter().any(|part| part.offer.hold == hold);
    out.push(if held(Hold::Record) {
        Line::at(indent).dim(ends).dim(" as long as its runner lives")
    } else if held(Hold::Over) {
        Line::at(indent).dim("is over at once, and nothing ends it")
    } else if held(Hold::Agent) {
        Line::at(indent).dim(ends).dim(" unless agent and runner both hang; then `chaos restore` ends it")
    } else {
        Line::at(indent).dim(ends).dim(", whatever happens")
    });
    out
}

fn aborts(plan: &Plan) -> Vec<Line> {
    let line = |abort: &Abort| match abort {
        Abort::When(predicate) => Line::at(2).hang(4).plain(predicate.to_string()),
        Abort::Confident(comparison) => Line::at(2).hang(4).plain(format!("confident {comparison}")),
        Abort::Never(reason) => Line::at(2).hang(4).piece(Style::Unsure, "never: ").plain(reason.as_str()),
    };
    plan.experiment.aborts.iter().map(line).collect()
}

fn expectations(plan: &Plan) -> Vec<Line> {
    let line = |e: &crate::model::Expectation| {
        Line::at(2).hang(4).strong(e.name.as_str()).dim(format!(": {}", e.claim))
    };
    plan.experiment.expectations.iter().map(line).collect()
}

fn probes(plan: &Plan) -> Vec<Line> {
    let mut out = Vec::new();
    for probe in &plan.experiment.probes {
        let from = plan.probes.iter().find(|p| p.probe == probe.name.value).map(|p| &p.from);
        let what = &probe.kind;
        let rate = Quantity::new(probe.rate, Unit::PerSecond);
        let (place, rate) = match from {
            None => ("nowhere".to_owned(), rate.to_string()),
            Some(Origin::Runner) => ("where the runner is".to_owned(), rate.to_string()),
            Some(Origin::Places(places)) => match places.len() {
                1 => (list(places), rate.to_string()),
                _ => (list(places), format!("{rate} from each")),
            },
        };
        let connections = match probe.connections {
            Connections::Reuse(n) => format!("{} kept", counted(n as usize, "connection")),
            Connections::Fresh => "a fresh connection each".to_owned(),
        };
        out.push(
            Line::at(2).hang(4).strong(probe.name.as_str()).plain(format!(
                ": {what} from {place}, {rate}, timeout {}, {connections}",
                time(probe.timeout)
            )),
        );
    }
    out
}

fn warnings(plan: &Plan) -> Vec<Line> {
    let mut out = Vec::new();
    for warning in &plan.warnings {
        out.push(Line::at(2).piece(Style::Unsure, "! ").plain(&warning.message));
        out.extend(warning.help.iter().map(|h| Line::at(4).dim("help: ").dim(h)));
    }
    out
}
