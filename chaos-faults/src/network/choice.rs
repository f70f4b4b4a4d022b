//! Which mechanism does which part of a fault.

use chaos_core::{
    injector::{Ask, Direction, Hold, Offer, Packets, Work},
    model::FaultSpec,
    trouble::Trouble,
    which::Which,
};

use crate::backend::{
    Abilities, Holding, Mechanism,
    forwarder::{self, shape},
    ground::Interface,
    layers::{self, Layer},
    tcx,
    tree::{self, qdisc},
};

/// An Ethernet interface's MTU, for trying whether a token bucket can be made before the interface is known.
const USUAL_MTU: u32 = 1500;

/// What a forwarder adds to a place in which no network namespace can be made.
const IN_PLACE: &str = "its pair of interfaces `chaos…-a` and `chaos…-b` stands in the target's own network namespace; if the agent \
                        is killed, the idle pair stays until the next fault there or `chaos restore`";

/// What jitter does beside what was asked for.
const SHUFFLED: &str =
    "jitter reorders packets that follow each other closely; `jitter … in order` would not";

/// What is known of where a fault is to stand.
#[derive(Debug, Default)]
pub(crate) struct Terrain {
    /// The interfaces that its packets pass; none where the place is only made for the run.
    pub(crate) interfaces: Option<Vec<Interface>>,
    /// The faults on the same object that hold packets by then.
    pub(crate) layers: Vec<Layer>,
    /// How many connections to the port of DNS over TLS are open there.
    pub(crate) encrypted: usize,
}

/// Splits an ask among mechanisms, best first, and says why not others.
///
/// What a program on the interface can do, it does: it counts, and the kernel ends it with its holder. All the rest is
/// done by one other mechanism, since a packet goes through one queue only.
///
/// # Errors
/// Some part can be done by none.
pub(crate) fn choose(
    ask: &Ask,
    abilities: &Abilities,
    holding: Holding,
    only: &Which<String>,
    terrain: &Terrain,
) -> Result<Vec<Offer>, Trouble> {
    let unknown = |name: &&String| Mechanism::named(name).is_none();
    if let Which::These(names) = only
        && let Some(unknown) = names.iter().find(unknown)
    {
        return Err(Trouble::unable(format!("there is no backend `{unknown}`"))
            .with_help(format!("use one of {}", crate::backend::NAMES.join(", "))));
    }
    let Some(packets) = ask.work.packets() else {
        return Err(Trouble::unable("it changes packets, and nothing else"));
    };
    let choice = Choice { ask, packets, abilities, holding, only, terrain };
    if ask.work.names().is_some() {
        return Ok(vec![choice.of_queries()?]);
    }
    let (mut programmed, mut shaped, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    let mut because = Vec::new();
    for spec in &packets.specs {
        if super::order(spec) == [Mechanism::Nft] {
            refused.push(spec.clone());
            continue;
        }
        // Only what would prefer the program is worth a word when it cannot be had.
        let prefers = super::order(spec).first() == Some(&Mechanism::Tcx);
        match choice.judge(Mechanism::Tcx, std::slice::from_ref(spec)) {
            Ok(_) if prefers => programmed.push(spec.clone()),
            Err(denied) if prefers => {
                add_reason(&mut because, Mechanism::Tcx, &denied);
                shaped.push(spec.clone());
            }
            _ => shaped.push(spec.clone()),
        }
    }
    let mut offers = Vec::new();
    if !programmed.is_empty() {
        offers.push(choice.offer(Mechanism::Tcx, Hold::Kernel, programmed, Vec::new()));
    }
    if !refused.is_empty() {
        offers.push(choice.one_of(&[Mechanism::Nft], refused, Vec::new())?);
    }
    if !shaped.is_empty() {
        offers.push(choice.shaper(shaped, because)?);
    }
    Ok(offers)
}

fn add_reason(because: &mut Vec<String>, mechanism: Mechanism, denied: &Trouble) {
    let line = format!("not {mechanism}: {}", denied.message);
    if !because.contains(&line) {
        because.push(line);
    }
}

struct Choice<'a> {
    ask: &'a Ask,
    packets: &'a Packets,
    abilities: &'a Abilities,
    holding: Holding,
    only: &'a Which<String>,
    terrain: &'a Terrain,
}

impl Choice<'_> {
    /// Finds the one mechanism that does all of these.
    fn shaper(&self, specs: Vec<FaultSpec>, because: Vec<String>) -> Result<Offer, Trouble> {
        let order = specs.first().map_or(&[][..], super::order);
        let shapers: Vec<_> =
            order.iter().copied().filter(|mechanism| *mechanism != Mechanism::Tcx).collect();
        self.one_of(&shapers, specs, because)
    }

    /// Has the forwarder do what happens to queries.
    fn of_queries(&self) -> Result<Offer, Trouble> {
        let hold = self.judge(Mechanism::Forwarder, &[]).map_err(|denied| {
            let message = format!("no backend can do `{}` here: {}", self.ask.work, denied.message);
            Trouble { message, ..denied }
        })?;
        let redirect = match hold {
            Hold::Kernel => "a BPF program (TCX link) redirects",
            Hold::Agent | Hold::Environment | Hold::Record | Hold::Over => {
                "filters (clsact, u32, mirred) redirect"
            }
        };
        let mut does = vec![format!(
            "{} in what it sends to port 53 over UDP and TCP, which {redirect} to user space; all else goes on at once",
            self.ask.work
        )];
        if self.terrain.encrypted > 0 {
            does.push(format!(
                "{} connections to port 853 (DNS over TLS) are open there: their queries cannot be seen and are left alone, as \
                 are those over HTTPS",
                self.terrain.encrypted
            ));
        }
        if self.abilities.in_place {
            does.push(IN_PLACE.into());
        }
        let undoes = undoes(Mechanism::Forwarder, hold);
        let because = Vec::new();
        let ask = self.ask.clone();
        Ok(Offer {
            backend: Mechanism::Forwarder.name().into(),
            ask,
            hold,
            does,
            undoes,
            because,
            takes: Vec::new(),
        })
    }

    /// Takes the first mechanism that does all of these.
    fn one_of(
        &self,
        order: &[Mechanism],
        specs: Vec<FaultSpec>,
        mut because: Vec<String>,
    ) -> Result<Offer, Trouble> {
        let mut last: Option<Trouble> = None;
        for mechanism in order.iter().copied() {
            match self.judge(mechanism, &specs) {
                Ok(hold) => return Ok(self.offer(mechanism, hold, specs, because)),
                Err(denied) => {
                    add_reason(&mut because, mechanism, &denied);
                    // A missing right is the most useful thing to hear of.
                    if !last.as_ref().is_some_and(|last| last.is_denied()) {
                        last = Some(denied);
                    }
                }
            }
        }
        let what: Vec<_> = specs.iter().map(ToString::to_string).collect();
        let message = format!("no backend can do `{}` here: {}", what.join(" and "), because.join("; "));
        Err(match last {
            Some(last) => Trouble { message, ..last },
            None => Trouble::unable(message),
        })
    }

    /// Says what would end these faults if this mechanism did them, or why it cannot.
    fn judge(&self, mechanism: Mechanism, specs: &[FaultSpec]) -> Result<Hold, Trouble> {
        let cannot = |why: String| Trouble::unable(why);
        if !self.only.allows(mechanism.name()) {
            return Err(Trouble::unable(format!("only {} was asked for", self.only))
                .with_help("allow another backend"));
        }
        for spec in specs {
            if !super::order(spec).contains(&mechanism) {
                return Err(cannot(format!("it cannot do `{spec}`")));
            }
        }
        let expressed = match mechanism {
            Mechanism::Tcx => specs.iter().try_for_each(|spec| tcx::action(spec).map(drop)),
            Mechanism::Netem => qdisc::netem(specs, 0).map(drop),
            Mechanism::Tbf => qdisc::token_bucket(specs, USUAL_MTU).map(drop),
            Mechanism::Forwarder => shape::shape(specs).map(drop),
            Mechanism::Nft => Ok(()),
        };
        expressed?;
        if matches!(mechanism, Mechanism::Netem | Mechanism::Tbf)
            && self.packets.directions.contains(&Direction::Ingress)
        {
            return Err(cannot("it sees only what is sent, and what is received is asked for too".into()));
        }
        let hold = self.abilities.hold(mechanism)?;
        self.stands(mechanism, hold, specs)?;
        if hold == Hold::Agent && self.holding == Holding::KernelOnly {
            return Err(Trouble::unable(
                "it would stay when this process dies, and there is no agent of its own to end it",
            )
            .with_help("hand in the path of an executable that offers agents"));
        }
        if mechanism == Mechanism::Forwarder
            && hold == Hold::Agent
            && self.packets.directions.contains(&Direction::Ingress)
            && specs.iter().all(super::lets_pass)
        {
            // A filter that led held packets back in would lead them out again.
            return Err(cannot(
                "without BPF only what is sent can be redirected and go on afterwards".into(),
            ));
        }
        Ok(hold)
    }

    /// Refuses a mechanism that would be refused where the fault is to stand.
    fn stands(&self, mechanism: Mechanism, hold: Hold, specs: &[FaultSpec]) -> Result<(), Trouble> {
        let interfaces = self.terrain.interfaces.as_deref().unwrap_or_default();
        let by_filters = match mechanism {
            Mechanism::Tcx => false,
            Mechanism::Nft => true,
            Mechanism::Netem | Mechanism::Tbf => {
                tree::check(mechanism, interfaces)?;
                interfaces.iter().try_for_each(|interface| tree::check_own(interface, false))?;
                true
            }
            Mechanism::Forwarder => {
                forwarder::check(interfaces, hold)?;
                hold == Hold::Agent
            }
        };
        if by_filters {
            tree::can_match(&self.packets.matches)?;
        }
        if !mechanism.holds_packets() {
            return Ok(());
        }
        for direction in &self.packets.directions {
            let layer = Layer {
                id: self.ask.fault.clone(),
                index: 0,
                direction: *direction,
                matches: self.packets.matches.clone(),
                mechanism,
                plain: layers::plain_delay(specs),
            };
            for portion in layers::stack(&layer, &self.terrain.layers)? {
                if mechanism == Mechanism::Tbf && !portion.below.is_zero() {
                    // What delays and limits at once is not a token bucket.
                    self.abilities.hold(Mechanism::Netem)?;
                }
                if matches!(mechanism, Mechanism::Netem | Mechanism::Tbf) {
                    qdisc::of(mechanism, specs, portion.below, 0, USUAL_MTU)?;
                }
            }
        }
        Ok(())
    }

    fn offer(&self, mechanism: Mechanism, hold: Hold, specs: Vec<FaultSpec>, because: Vec<String>) -> Offer {
        let packets = described(self.packets);
        let how = match (mechanism, hold) {
            (Mechanism::Tcx, _) => "by a BPF program on the interface (TCX link)",
            (Mechanism::Netem, _) => "by the kernel's network emulator (netem) below an own root qdisc",
            (Mechanism::Tbf, _) => "by the kernel's token bucket (tbf) below an own root qdisc",
            (Mechanism::Nft, _) => "by an nf_tables table that belongs to the agent's socket",
            (Mechanism::Forwarder, Hold::Kernel) => {
                "in user space, to which a BPF program (TCX link) redirects packets"
            }
            (Mechanism::Forwarder, Hold::Agent | Hold::Environment | Hold::Record | Hold::Over) => {
                "in user space, to which filters (clsact, u32, mirred) redirect packets"
            }
        };
        let mut does: Vec<_> = specs.iter().map(|spec| format!("{spec} of {packets}, {how}")).collect();
        if specs.iter().any(FaultSpec::shuffles) {
            does.push(SHUFFLED.into());
        }
        if mechanism == Mechanism::Forwarder && self.abilities.in_place {
            does.push(IN_PLACE.into());
        }
        let undoes = undoes(mechanism, hold);
        let work = Work::Packets(Packets { specs, ..self.packets.clone() });
        let ask = Ask { work, ..self.ask.clone() };
        Offer { backend: mechanism.name().into(), ask, hold, does, undoes, because, takes: Vec::new() }
    }
}

/// Says how what a mechanism does is undone.
fn undoes(mechanism: Mechanism, hold: Hold) -> String {
    match (mechanism, hold) {
        (Mechanism::Nft, _) => {
            "closes the socket, and its table with it, which also end with the agent".into()
        }
        (_, Hold::Kernel) => "closes the link, which also ends with the agent, however it dies".into(),
        (Mechanism::Forwarder, Hold::Agent | Hold::Environment | Hold::Record | Hold::Over) => {
            "removes its own filters and its own pair of interfaces".into()
        }
        (_, Hold::Agent | Hold::Environment | Hold::Record | Hold::Over) => {
            format!("removes its own root qdisc {}", crate::netlink::Handle::OWN_ROOT)
        }
    }
}

/// Describes the packets that are meant, for people.
fn described(packets: &Packets) -> String {
    let way = match packets.directions[..] {
        [Direction::Egress] => "it sends",
        [Direction::Ingress] => "it receives",
        _ => "it sends and receives",
    };
    let protocol = packets
        .matches
        .protocol
        .map_or(String::new(), |protocol| format!("{} ", format!("{protocol:?}").to_lowercase()));
    let mut text = format!("{protocol}packets that {way}");
    if let Which::These(ports) = &packets.matches.ports {
        let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
        text += &format!(" on port {}", ports.join(", "));
    }
    if let Some(named) = &packets.named {
        let names = named.names.iter().map(|named| {
            let port = named.port.map_or(String::new(), |port| format!(" port {port}"));
            let now = match &named.addresses[..] {
                [] => String::new(),
                known => {
                    format!(" (now {})", known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
                }
            };
            format!("`{}`{port}{now}", named.name)
        });
        let ends: Vec<_> = names.chain(named.others.iter().map(peer)).collect();
        text +=
            &format!(", other end {}, by the addresses that it has when this is injected", ends.join(" or "));
    } else if let Which::These(all) = &packets.matches.peers {
        let peers: Vec<_> = all.iter().take(4).map(peer).collect();
        let more = all.len().saturating_sub(peers.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text += &format!(", other end {}{more}", peers.join(", "));
    }
    text
}

fn peer(peer: &chaos_core::injector::Peer) -> String {
    let whole = if peer.network.is_ipv4() { 32 } else { 128 };
    let mut text = peer.network.to_string();
    if peer.prefix != whole {
        text += &format!("/{}", peer.prefix);
    }
    if let Some(port) = peer.port {
        text += &format!(" port {port}");
    }
    text
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
