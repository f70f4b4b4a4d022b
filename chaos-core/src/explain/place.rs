//! Where an experiment takes place, and how much of it may be touched.

#![warn(clippy::wildcard_enum_match_arm)]

use crate::model::{
    Cluster, Experiment, Host, Lab, Pick, Program, Quantity, Ready, Scope, Selector, Target,
    scope::{Amount, RadiusUnit},
    target,
};

use super::page::{Page, time};

/// Says where an experiment takes place.
pub(super) fn explain(experiment: &Experiment, page: &mut Page) {
    page.section("Where it takes place");
    match &experiment.scope {
        Scope::Lab(lab) => in_lab(lab, page),
        Scope::Machine => page.text("On the machine of the runner, for real: no lab stands between."),
        Scope::Cluster(cluster) => in_cluster(cluster, page),
    }
    for target in &experiment.targets {
        page.item(&format!("The target {} is {}.", target.name, picked(target)));
    }
    for limit in &experiment.blast_radius {
        let amount = match limit.at_most {
            Amount::Count(n) => n.to_string(),
            Amount::Share(share) => Quantity::ratio(share).to_string(),
        };
        let of = match &limit.of {
            RadiusUnit::Hosts if matches!(limit.at_most, Amount::Share(_)) => "of all hosts".to_owned(),
            RadiusUnit::Hosts if limit.at_most == Amount::Count(1) => "host".to_owned(),
            RadiusUnit::Hosts => "hosts".to_owned(),
            RadiusUnit::Processes if matches!(limit.at_most, Amount::Share(_)) => {
                "of all processes".to_owned()
            }
            RadiusUnit::Processes if limit.at_most == Amount::Count(1) => "process".to_owned(),
            RadiusUnit::Processes => "processes".to_owned(),
            RadiusUnit::Pods if matches!(limit.at_most, Amount::Share(_)) => "of all pods".to_owned(),
            RadiusUnit::Pods if limit.at_most == Amount::Count(1) => "pod".to_owned(),
            RadiusUnit::Pods => "pods".to_owned(),
            RadiusUnit::Nodes if limit.at_most == Amount::Count(1) => "node".to_owned(),
            RadiusUnit::Nodes => "nodes".to_owned(),
            RadiusUnit::Objects if limit.at_most == Amount::Count(1) => "object of the API".to_owned(),
            RadiusUnit::Objects => "objects of the API".to_owned(),
            RadiusUnit::Of(selector) => format!("of {}", of_selector(selector)),
        };
        page.item(&format!("Faults may touch at most {amount} {of}: a plan that touches more is refused."));
    }
    for allowed in &experiment.allowed {
        page.item(&format!("Protected otherwise, and allowed by name here: {}.", allowed.what.what()));
    }
    if experiment.blast_radius.is_empty() {
        page.item("No blast radius is written down: faults may touch every host of the lab.");
    }
}

fn in_cluster(cluster: &Cluster, page: &mut Page) {
    page.text(&format!(
        "In the Kubernetes cluster of the context {}, for real: in the namespace {} where nothing else is said. A cluster \
         whose namespace kube-system has another uid than {} is refused.",
        cluster.context, cluster.namespace, cluster.uid
    ));
}

fn in_lab(lab: &Lab, page: &mut Page) {
    let hosts: usize = lab.hosts.iter().map(copies).sum();
    page.text(&format!(
        "In a lab of its own: {hosts} host{} on one switch, each a network namespace, made for the run and gone with it. \
         Nothing outside of the lab is touched.",
        if hosts == 1 { "" } else { "s" }
    ));
    for host in &lab.hosts {
        let name = match host.copies {
            Some(n) if n > 1 => format!("{0}-1 to {0}-{n}", host.name),
            Some(_) => format!("{}-1", host.name),
            None => host.name.value.clone(),
        };
        let programs: Vec<String> = host.programs.iter().map(|p| program(p)).collect();
        if programs.is_empty() {
            page.item(&name);
        } else {
            page.item(&format!(
                "{name} {} {}",
                if copies(host) > 1 { "run" } else { "runs" },
                programs.join("; and ")
            ));
        }
    }
    for link in &lab.links {
        page.item(&format!(
            "Between {} and {} every packet takes {} longer, each way.",
            link.a,
            link.b,
            time(link.delay)
        ));
    }
}

fn copies(host: &Host) -> usize {
    host.copies.map_or(1, |n| n as usize)
}

/// Says what a program is.
pub(super) fn program(program: &Program) -> String {
    match program {
        Program::Http { port, work, capacity, status } => {
            let mut out = format!("an HTTP server on port {port}");
            if !work.is_zero() {
                out.push_str(&format!(", {} of work for a request", time(*work)));
            }
            if let Some(n) = capacity {
                out.push_str(&format!(", {n} at once"));
            }
            if *status != 200 {
                out.push_str(&format!(", answering {status}"));
            }
            out
        }
        Program::Gateway { port, upstream, upstream_port, timeout, retries } => format!(
            "a reverse proxy on port {port} to {upstream}:{upstream_port}, {} for a try, {}",
            time(*timeout),
            match retries {
                0 => "no second try".to_owned(),
                1 => "one more try after a failed one".to_owned(),
                n => format!("{n} more tries after a failed one"),
            }
        ),
        Program::Dns => "the lab's DNS server on port 53".to_owned(),
        Program::Command { argv, ready, env: _, as_root: _ } => format!(
            "`{}`, ready {}",
            crate::model::command::line(argv),
            match ready {
                Ready::Tcp(port) => format!("when it accepts connections on port {port}"),
                Ready::After(d) => format!("after {}", time(*d)),
            }
        ),
    }
}

fn picked(target: &Target) -> String {
    let of = of_selector(&target.selector);
    match target.pick {
        Pick::All => format!("all of {of}"),
        Pick::Count(n) => format!("{n} of {of}, drawn once for the run from its recorded seed"),
        Pick::PerNode(n) => {
            format!("{n} of {of} on each node, drawn once for the run from its recorded seed")
        }
        Pick::PerZone(n) => {
            format!("{n} of {of} in each zone, drawn once for the run from its recorded seed")
        }
        Pick::Share { fraction, up_to } => format!(
            "{} of {of}, rounded down, at least one{}, drawn once for the run from its recorded seed",
            Quantity::ratio(fraction),
            up_to.map_or_else(String::new, |n| format!(" and at most {n}"))
        ),
    }
}

/// Says which objects a selector means.
pub(super) fn of_selector(selector: &Selector) -> String {
    match selector {
        Selector::Hosts(name) | Selector::Named(name) => name.value.clone(),
        Selector::Here(_) => "this machine".to_owned(),
        Selector::Netns(name) => format!("the network namespace `{name}`"),
        Selector::Process(name) => format!("the network namespaces of the processes `{name}`"),
        Selector::Pods(pods) => format!("the {pods}"),
        Selector::Service(service) => format!("the {service}"),
        Selector::Object(object) => format!("the {object}"),
    }
}

/// Returns how many places a selector means, where that is known without looking.
pub(super) fn count(experiment: &Experiment, selector: &Selector) -> Option<usize> {
    match selector {
        Selector::Here(_) | Selector::Netns(_) | Selector::Object(_) => Some(1),
        Selector::Process(_) | Selector::Pods(_) | Selector::Service(_) => None,
        Selector::Hosts(name) => {
            let lab = experiment.lab()?;
            if let Some(host) = lab.hosts.iter().find(|h| h.name == *name) {
                return Some(copies(host));
            }
            Some(lab.names().iter().filter(|n| target::glob(name, n)).count())
        }
        Selector::Named(_) => {
            let target = experiment.target_of(selector)?;
            if matches!(target.selector, Selector::Named(_)) {
                return None;
            }
            let found = count(experiment, &target.selector)?;
            Some(target.pick.of(found))
        }
    }
}
