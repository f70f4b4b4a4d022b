//! Looks whether what a fault put into the kernel is absent, whoever held it.

use std::time::Duration;

use chaos_core::{
    injector::{Hold, Undo},
    trouble::Trouble,
};

use super::{
    Mechanism,
    ground::{Ground, State, bpf_failed, packets},
    nft,
};
use crate::{bpf, holder};

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
            let links = match bpf::look::links_with(&device, *direction, state.mark) {
                Ok(links) => links,
                Err(error) => match bpf_failed(error) {
                    // Who may not look sees to it at least that the process is gone whose links they are.
                    error if error.is_denied() && state.holder.is_some() => continue,
                    error => return Err(error),
                },
            };
            if let Some(link) = links.first() {
                let part = format!("a BPF program on interface `{}` (link {link})", interface.name);
                let link = *link;
                let process = tokio::task::spawn_blocking(move || holder::of_link(link)).await.ok().flatten();
                return Ok(Some(stands(&part, process)));
            }
        }
    }
    Ok(None)
}

fn stands(part: &str, process: Option<u32>) -> Trouble {
    match process {
        Some(pid) => Trouble::unable(format!("{part} still does it, which process {pid} holds"))
            .with_help(holder::ends(pid)),
        None => Trouble::unable(format!("{part} still does it, and who holds it cannot be seen"))
            .with_help("look for it as root with `bpftool link`, `nft list tables` and `lsof`"),
    }
}
