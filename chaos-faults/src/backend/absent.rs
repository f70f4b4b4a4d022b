//! Looks whether what a fault put into the kernel is absent, whoever held it.

use std::time::Duration;

use chaos_core::{
    injector::{Direction, Hold, Undo},
    trouble::Trouble,
};

use super::{
    Mechanism,
    ground::{Ground, Standing, State, bpf_failed, failed, list, packets},
    nft, presence,
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
    let state = &found(undo, state, ground, &[]).await?;
    let found = find(undo, state, ground).await?;
    let mut lines: Vec<String> = found.iter().map(said).collect();
    let mechanism = Mechanism::named(&undo.offer.backend)
        .ok_or_else(|| Trouble::unable(format!("what `{}` does is unknown here", undo.offer.backend)))?;
    if mechanism == Mechanism::Forwarder {
        lines.extend(own_pair::left(&ground.connection).await.map_err(failed)?);
    }
    for interface in &state.interfaces {
        let (index, name) = (interface.index, &interface.name);
        if ground.link(index).await?.is_none() {
            continue;
        }
        match parts_of(mechanism, undo) {
            Parts::Queues => lines.extend(queues_on(ground, index, name).await?),
            Parts::Filters => lines.extend(filters_on(ground, index, name).await),
            Parts::Programs | Parts::Table => {}
        }
    }
    Ok(lines)
}

/// What a mechanism puts into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parts {
    Queues,
    Filters,
    Programs,
    Table,
}

fn parts_of(mechanism: Mechanism, undo: &Undo) -> Parts {
    match mechanism {
        Mechanism::Netem | Mechanism::Tbf => Parts::Queues,
        Mechanism::Forwarder if undo.offer.hold == Hold::Agent => Parts::Filters,
        Mechanism::Forwarder | Mechanism::Tcx => Parts::Programs,
        Mechanism::Nft => Parts::Table,
    }
}

/// Returns a state with every interface that parts of a fault may be on whose holder is gone: it may have followed its packets to some
/// that were not there, or carried none, when it was written down. Other runs keep away from the namespace, so whatever is of this
/// crate's making there is a dead one's; but for this process's own, on the interfaces `held`,
/// and for what a living one says to be its.
pub(crate) async fn found(
    undo: &Undo,
    state: &State,
    ground: &Ground,
    held: &[u32],
) -> Result<State, Trouble> {
    let mut state = state.clone();
    let Some(mechanism) = Mechanism::named(&undo.offer.backend) else { return Ok(state) };
    let parts = parts_of(mechanism, undo);
    if parts == Parts::Table {
        return Ok(state);
    }
    for link in ground.connection.links().await.map_err(failed)? {
        let index = link.index;
        let recorded = state.interfaces.iter().any(|interface| interface.index == index);
        let theirs = match parts {
            Parts::Queues => ground.standing(index).await?.iter().any(Standing::is_own),
            Parts::Filters => ground.steers(index).await,
            // Each bears the mark of its fault, by which it is looked for.
            Parts::Programs | Parts::Table => {
                if !recorded {
                    state.interfaces.push(ground.interface(link, Vec::new()).await?);
                }
                continue;
            }
        };
        if !theirs || held.contains(&index) {
            continue;
        }
        if presence::of_another(ground, index, state.holder)? {
            state.interfaces.retain(|interface| interface.index != index);
        } else if !recorded {
            let hooked = ground.hooked(index).await;
            let mut interface = ground.interface(link, Vec::new()).await?;
            interface.qdiscs.retain(|qdisc| !(qdisc.is_own() || hooked && qdisc.kind == "clsact"));
            state.interfaces.push(interface);
        }
    }
    Ok(state)
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
        lines.extend(filters_on(ground, link.index, &link.name).await);
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

/// Says which own queues are on an interface.
async fn queues_on(ground: &Ground, index: u32, name: &str) -> Result<Option<String>, Trouble> {
    let own: Vec<_> = ground.standing(index).await?.into_iter().filter(Standing::is_own).collect();
    Ok((!own.is_empty()).then(|| {
        let own = list(&own);
        format!(
            "interface `{name}` has queues of a fault, {own} (in its namespace, `tc qdisc del dev {name} root` removes them)"
        )
    }))
}

/// Says whether own filters are on an interface.
async fn filters_on(ground: &Ground, index: u32, name: &str) -> Option<String> {
    ground.steers(index).await.then(|| {
        format!(
            "interface `{name}` has filters of a fault (in its namespace, `tc filter show dev {name} egress` lists them)"
        )
    })
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
