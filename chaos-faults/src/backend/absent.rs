//! Looks whether what a fault put into the kernel is absent, whoever held it.

use std::time::Duration;

use chaos_core::{
    injector::{Direction, Hold, Undo},
    trouble::Trouble,
};

use super::{
    Mechanism,
    ground::{Ground, State, bpf_failed, failed, packets},
    nft,
};
use crate::{bpf, holder, netlink::own_pair};

/// How long the kernel may take to remove what a process held that has just ended.
const SETTLES: Duration = Duration::from_secs(2);

/// How often it is looked for.
const TICK: Duration = Duration::from_millis(20);

/// Looks for the parts of a fault until they are absent.
///
/// # Errors
/// One stands; the help is the command that ends who holds it.
pub(crate) async fn prove(undo: &Undo, state: &State, ground: &Ground) -> Result<(), Trouble> {
    let begun = tokio::time::Instant::now();
    loop {
        let Some(standing) = find(undo, state, ground).await? else { return Ok(()) };
        if begun.elapsed() >= SETTLES {
            return Err(standing);
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Returns what stands of a fault, a line each, whoever holds it; changes nothing.
pub(crate) async fn standing(undo: &Undo, state: &State, ground: &Ground) -> Result<Vec<String>, Trouble> {
    let found = find(undo, state, ground).await?;
    let mut lines: Vec<String> = found.iter().map(said).collect();
    let queues = match Mechanism::named(&undo.offer.backend) {
        Some(Mechanism::Forwarder) if undo.offer.hold == Hold::Agent => {
            lines.extend(own_pair::left(&ground.connection).await.map_err(failed)?);
            true
        }
        Some(Mechanism::Netem | Mechanism::Tbf) => true,
        Some(Mechanism::Forwarder) => {
            lines.extend(own_pair::left(&ground.connection).await.map_err(failed)?);
            false
        }
        Some(Mechanism::Tcx | Mechanism::Nft) => false,
        None => return Err(Trouble::unable(format!("what `{}` does is unknown here", undo.offer.backend))),
    };
    for interface in state.interfaces.iter().filter(|_| queues) {
        lines.extend(queues_on(ground, interface.index, &interface.name).await?);
    }
    Ok(lines)
}

/// Lists everything of this crate's making in a namespace, whoever made it, with what removes it; changes nothing.
pub(crate) async fn leftovers(ground: &Ground) -> Result<Vec<String>, Trouble> {
    let tables = nft::tables(ground)?;
    let mut lines: Vec<String> = tables
        .iter()
        .map(|(table, process)| said(&stands(&format!("the table `inet {table}`"), *process)))
        .collect();
    lines.extend(own_pair::left(&ground.connection).await.map_err(failed)?);
    for link in ground.connection.links().await.map_err(failed)? {
        lines.extend(queues_on(ground, link.index, &link.name).await?);
        let device = ground.device(link.index).await?;
        for direction in [Direction::Egress, Direction::Ingress] {
            for number in bpf::look::links_with(&device, direction, None).map_err(bpf_failed)? {
                let process =
                    tokio::task::spawn_blocking(move || holder::of_link(number)).await.ok().flatten();
                lines.push(said(&stands(&on(&link.name, number), process)));
            }
        }
    }
    Ok(lines)
}

/// Lists the own queues and filters on an interface.
async fn queues_on(ground: &Ground, index: u32, name: &str) -> Result<Vec<String>, Trouble> {
    if ground.link(index).await?.is_none() {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    let own: Vec<_> =
        ground.standing(index).await?.into_iter().filter(super::ground::Standing::is_own).collect();
    if !own.is_empty() {
        let own = super::ground::list(&own);
        lines.push(format!(
            "interface `{name}` has queues of a fault, {own} (in its namespace, `tc qdisc del dev {name} root` removes them)"
        ));
    }
    if ground.steers(index).await {
        lines.push(format!(
            "interface `{name}` has filters of a fault (in its namespace, `tc filter show dev {name} egress` lists them)"
        ));
    }
    Ok(lines)
}

fn said(standing: &Trouble) -> String {
    let help = standing.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{}{help}", standing.message)
}

fn on(interface: &str, link: u32) -> String {
    format!("a BPF program on interface `{interface}` (link {link})")
}

/// Returns what stands of a fault, as an error for people.
async fn find(undo: &Undo, state: &State, ground: &Ground) -> Result<Option<Trouble>, Trouble> {
    match Mechanism::named(&undo.offer.backend) {
        Some(Mechanism::Nft) => {
            let found = nft::standing(ground, undo, state.mark)?;
            Ok(found.map(|(table, process)| stands(&format!("the table `inet {table}`"), process)))
        }
        Some(Mechanism::Tcx) => program(undo, state, ground).await,
        Some(Mechanism::Forwarder) if undo.offer.hold == Hold::Kernel => program(undo, state, ground).await,
        // Filters and queues are deleted whoever made them, and read back there.
        Some(Mechanism::Forwarder | Mechanism::Netem | Mechanism::Tbf) | None => Ok(None),
    }
}

/// Looks for a program with a rule of the fault on each interface and direction.
async fn program(undo: &Undo, state: &State, ground: &Ground) -> Result<Option<Trouble>, Trouble> {
    for interface in &state.interfaces {
        if ground.link(interface.index).await?.is_none() {
            continue;
        }
        let device = ground.device(interface.index).await?;
        for direction in &packets(undo)?.directions {
            let links = match bpf::look::links_with(&device, *direction, Some(state.mark)) {
                Ok(links) => links,
                Err(error) => match bpf_failed(error) {
                    // Who may not look sees to it at least that the process is gone whose links they are.
                    error if error.is_denied() && state.holder.is_some() => continue,
                    error => return Err(error),
                },
            };
            if let Some(link) = links.first() {
                let (part, link) = (on(&interface.name, *link), *link);
                let process = tokio::task::spawn_blocking(move || holder::of_link(link)).await.ok().flatten();
                return Ok(Some(stands(&part, process)));
            }
        }
    }
    Ok(None)
}

fn stands(part: &str, process: Option<u32>) -> Trouble {
    match process {
        Some(pid) => Trouble::unable(format!("{part} still stands, which process {pid} holds"))
            .with_help(holder::ends(pid)),
        None => Trouble::unable(format!("{part} still stands, and who holds it cannot be seen"))
            .with_help("look for it as root with `bpftool link`, `nft list tables` and `lsof`"),
    }
}
