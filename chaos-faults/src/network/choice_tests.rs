use std::time::Duration;

use chaos_core::{
    injector::PacketMatch,
    model::{
        Distribution,
        packets::{Blocked, Refusal},
    },
    place::ObjectId,
    which::Which,
};

use super::*;
use crate::{backend::ground::Standing, capability::Capability};

fn abilities(missing: &[&str]) -> Abilities {
    let all = ["tcx", "nft", "ingress-drop"].into_iter().chain(crate::capability::NAMES);
    Abilities::of(
        all.map(|name| {
            if missing.contains(&name) {
                Capability::missing(name, format!("this kernel has no `{name}`"), "another kernel")
            } else {
                Capability::available(name)
            }
        })
        .collect(),
    )
}

const DELAY: FaultSpec = FaultSpec::Delay {
    delay: Duration::from_millis(50),
    jitter: Duration::ZERO,
    correlation: 0.0,
    distribution: Distribution::Uniform,
    ordered: false,
};
const CORRUPT: FaultSpec = FaultSpec::Corrupt { ratio: 0.1 };
const LOSS: FaultSpec = FaultSpec::Loss { ratio: 0.1, burst: None };
const RATE: FaultSpec = FaultSpec::Bandwidth { rate: 1_000_000, burst: 15_000 };
const REORDER: FaultSpec = FaultSpec::Reorder { ratio: 0.1, hold: Duration::from_millis(10) };
const BLOCK: FaultSpec = FaultSpec::Block { connections: Blocked::All, answer: Refusal::Drop };
const REJECT: FaultSpec = FaultSpec::Block { connections: Blocked::All, answer: Refusal::Reject };

fn ask(specs: &[FaultSpec], directions: &[Direction]) -> Ask {
    Ask {
        fault: "f".into(),
        object: ObjectId::here(),
        work: Work::Packets(Packets {
            specs: specs.to_vec(),
            directions: directions.to_vec(),
            matches: PacketMatch::default(),
            named: None,
        }),
        seed: 1,
    }
}

/// Writes a choice as `tcx(loss 10%)/kernel + …`, or the refusal.
fn chosen(specs: &[FaultSpec], directions: &[Direction], missing: &[&str]) -> String {
    match choose(
        &ask(specs, directions),
        &abilities(missing),
        Holding::Agent,
        &Which::Any,
        &Terrain::default(),
    ) {
        Ok(offers) => {
            let offers: Vec<_> = offers
                .iter()
                .map(|offer| {
                    let specs = &offer.ask.work.packets().unwrap().specs;
                    let kinds: Vec<_> = specs.iter().map(FaultSpec::kind).collect();
                    format!("{}({}) {}", offer.backend, kinds.join(","), offer.hold)
                })
                .collect();
            offers.join(" + ")
        }
        Err(denied) => format!("denied: {}", denied.message),
    }
}

#[test]
fn each_kernel_gets_the_best_it_has() {
    const E: &[Direction] = &[Direction::Egress];
    const I: &[Direction] = &[Direction::Ingress];
    let both: &[Direction] = &[Direction::Egress, Direction::Ingress];
    let user_namespace = &["tcx", "netem"];
    type Case<'a> = (&'a [FaultSpec], &'a [Direction], &'a [&'a str], &'a str);
    let table: &[Case<'_>] = &[
        (&[DELAY], E, &[], "netem(delay) agent-held"),
        (&[DELAY], E, &["netem"], "forwarder(delay) kernel-held"),
        (&[DELAY], I, &[], "forwarder(delay) kernel-held"),
        (&[DELAY], E, user_namespace, "forwarder(delay) agent-held"),
        (&[LOSS], E, &[], "tcx(loss) kernel-held"),
        (&[LOSS], E, &["tcx"], "netem(loss) agent-held"),
        (&[LOSS], E, user_namespace, "forwarder(loss) agent-held"),
        (&[LOSS, DELAY], E, &[], "tcx(loss) kernel-held + netem(delay) agent-held"),
        (&[DELAY, LOSS], E, &["netem"], "tcx(loss) kernel-held + forwarder(delay) kernel-held"),
        (&[CORRUPT], E, &[], "netem(corrupt) agent-held"),
        (&[CORRUPT], E, &["netem"], "forwarder(corrupt) kernel-held"),
        (&[LOSS, CORRUPT], I, &[], "tcx(loss) kernel-held + forwarder(corrupt) kernel-held"),
        (&[RATE], E, &[], "tbf(bandwidth) agent-held"),
        (&[RATE], E, &["tbf", "netem"], "forwarder(bandwidth) kernel-held"),
        (&[DELAY, RATE], E, &[], "netem(delay,bandwidth) agent-held"),
        (&[RATE, DELAY], E, &[], "netem(bandwidth,delay) agent-held"),
        (&[DELAY, RATE], E, &["netem"], "forwarder(delay,bandwidth) kernel-held"),
        (&[DELAY, REORDER], E, &[], "netem(delay,reorder) agent-held"),
        (&[REORDER], E, &[], "netem(reorder) agent-held"),
        (&[BLOCK], E, &[], "tcx(block) kernel-held"),
        (&[REJECT], E, &[], "nft(block) kernel-held"),
        (&[REJECT, DELAY], E, &[], "nft(block) kernel-held + netem(delay) agent-held"),
        (&[FaultSpec::Partition], both, &[], "tcx(partition) kernel-held"),
        (&[FaultSpec::Partition], both, user_namespace, "forwarder(partition) agent-held"),
    ];
    for (specs, directions, missing, expected) in table {
        assert_eq!(chosen(specs, directions, missing), *expected, "{specs:?} {directions:?} {missing:?}");
    }
}

#[test]
fn what_was_not_chosen_is_said_and_why() {
    let offers = choose(
        &ask(&[DELAY], &[Direction::Egress]),
        &abilities(&["netem"]),
        Holding::Agent,
        &Which::Any,
        &Terrain::default(),
    )
    .unwrap();
    assert_eq!(offers[0].because, ["not netem: this kernel has no `netem`"]);
    assert_eq!(
        offers[0].does,
        [
            "delay 50ms of packets that it sends, in user space, to which a BPF program (TCX link) redirects packets"
        ]
    );
}

#[test]
fn jitter_says_that_it_reorders_and_keeps_the_order_where_that_is_asked_for() {
    let jitter = |ordered| FaultSpec::Delay {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(5),
        correlation: 0.0,
        distribution: Distribution::Uniform,
        ordered,
    };
    let offered = |ordered| {
        let ask = ask(&[jitter(ordered)], &[Direction::Egress]);
        choose(&ask, &abilities(&[]), Holding::Agent, &Which::Any, &Terrain::default()).unwrap()
    };
    let [shuffled, ordered] = [false, true].map(offered);
    assert_eq!((shuffled[0].backend.as_str(), ordered[0].backend.as_str()), ("netem", "forwarder"));
    assert!(shuffled[0].does[1].starts_with("jitter reorders packets"), "{:?}", shuffled[0].does);
    assert!(ordered[0].does[0].starts_with("delay 20ms jitter 5ms in order of packets"));
    assert_eq!(ordered[0].does.len(), 1, "{:?}", ordered[0].does);
    assert_eq!(ordered[0].because, ["not netem: its jitter lets packets overtake each other"]);
}

#[test]
fn what_nobody_can_do_is_denied_with_every_reason() {
    let denied = chosen(&[DELAY], &[Direction::Egress], &["netem", "veth"]);
    assert_eq!(
        denied,
        "denied: no backend can do `delay 50ms` here: not netem: this kernel has no `netem`; \
         not forwarder: this kernel has no `veth`"
    );
    let reject = chosen(&[REJECT], &[Direction::Egress], &["nft"]);
    assert!(reject.contains("not nft: this kernel has no `nft`"), "{reject}");
    let ingress = chosen(&[LOSS], &[Direction::Ingress], &["tcx", "netem"]);
    assert!(ingress.contains("not forwarder: without BPF only what is sent"), "{ingress}");
}

#[test]
fn a_choice_can_be_forced() {
    let only = |names: &[&str]| {
        let names = Which::these(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        choose(
            &ask(&[LOSS], &[Direction::Egress]),
            &abilities(&[]),
            Holding::Agent,
            &names,
            &Terrain::default(),
        )
        .map(|offers| offers[0].backend.clone())
        .map_err(|denied| denied.message)
    };
    assert_eq!(only(&["forwarder"]).unwrap(), "forwarder");
    assert_eq!(only(&["netem", "tbf"]).unwrap(), "netem");
    assert!(only(&["tbf"]).unwrap_err().contains("not forwarder: only tbf was asked for"));
    assert_eq!(only(&["iptables"]).unwrap_err(), "there is no backend `iptables`");
}

#[test]
fn without_an_agent_of_its_own_only_the_kernel_may_hold() {
    let offers = choose(
        &ask(&[LOSS, DELAY], &[Direction::Egress]),
        &abilities(&[]),
        Holding::KernelOnly,
        &Which::Any,
        &Terrain::default(),
    )
    .unwrap();
    assert!(offers.iter().all(|offer| offer.hold == Hold::Kernel));
    assert!(
        offers[1].because[0].starts_with("not netem: it would stay when this process dies"),
        "{offers:?}"
    );
}

#[test]
fn without_a_namespace_of_its_own_the_forwarder_says_what_a_kill_leaves() {
    let offers = |missing: &[&str]| {
        choose(
            &ask(&[DELAY], &[Direction::Egress]),
            &abilities(missing),
            Holding::Agent,
            &Which::Any,
            &Terrain::default(),
        )
    };
    let apart = offers(&["netem"]).unwrap();
    assert!(!apart[0].does.iter().any(|line| line.contains("idle pair")), "{apart:?}");
    let in_place = offers(&["netem", "network-namespace"]).unwrap();
    assert_eq!(in_place[0].backend, "forwarder");
    assert!(in_place[0].does.iter().any(|line| line.contains("idle pair")), "{in_place:?}");
    let denied = offers(&["netem", "network-namespace", "ingress-drop"]).unwrap_err();
    assert!(denied.message.contains("network-namespace"), "{denied:?}");
}

fn interface(name: &str) -> Interface {
    Interface {
        name: name.into(),
        index: 2,
        mtu: 1500,
        loopback: name == "lo",
        ethernet: name != "tun0",
        directions: vec![Direction::Egress],
        qdiscs: vec![],
    }
}

fn root(kind: &str, handle: crate::netlink::Handle) -> Standing {
    Standing { parent: crate::netlink::Handle::ROOT, handle, kind: kind.into(), options: vec![] }
}

/// What does these faults on this terrain, where this is missing.
fn on(terrain: &Terrain, specs: &[FaultSpec], missing: &[&str]) -> Result<String, String> {
    let offers =
        choose(&ask(specs, &[Direction::Egress]), &abilities(missing), Holding::Agent, &Which::Any, terrain);
    match offers {
        Ok(offers) => Ok(offers.iter().map(|offer| offer.backend.as_str()).collect::<Vec<_>>().join(" + ")),
        Err(denied) => Err(denied.message),
    }
}

#[test]
fn what_an_interface_would_refuse_is_given_to_the_next() {
    let terrain = |interface| Terrain { interfaces: Some(vec![interface]), layers: vec![], encrypted: 0 };
    let with = |qdisc| terrain(Interface { qdiscs: vec![qdisc], ..interface("eth0") });
    let foreign = with(root("fq", crate::netlink::Handle::qdisc(1)));
    assert_eq!(on(&foreign, &[DELAY], &[]).unwrap(), "forwarder");
    assert_eq!(on(&foreign, &[RATE], &[]).unwrap(), "forwarder");
    assert_eq!(on(&foreign, &[LOSS], &[]).unwrap(), "tcx");
    assert_eq!(on(&foreign, &[LOSS, DELAY], &[]).unwrap(), "tcx + forwarder");
    let refused = on(&foreign, &[DELAY], &["veth"]).unwrap_err();
    assert!(refused.contains("already has the root qdisc `fq 1:`"), "{refused}");
    // One that the kernel set on its own is not an obstacle, one of another run is.
    assert_eq!(on(&with(root("fq", crate::netlink::Handle::NONE)), &[RATE], &[]).unwrap(), "tbf");
    let own = with(root("prio", crate::netlink::Handle::OWN_ROOT));
    assert_eq!(on(&own, &[RATE], &[]).unwrap(), "forwarder");
    for name in ["lo", "tun0"] {
        let terrain = terrain(interface(name));
        assert_eq!(on(&terrain, &[DELAY], &[]).unwrap(), "netem");
        let refused = on(&terrain, &[DELAY], &["netem"]).unwrap_err();
        assert!(refused.contains(&format!("`{name}`")), "{refused}");
        assert_eq!(on(&terrain, &[LOSS], &[]).unwrap(), "tcx");
    }
    let ingress = with(root("ingress", crate::netlink::Handle::qdisc(0xffff)));
    assert_eq!(on(&ingress, &[DELAY], &["netem"]).unwrap(), "forwarder");
    assert!(on(&ingress, &[DELAY], &["netem", "tcx"]).unwrap_err().contains("`ingress`"));
}

#[test]
fn what_stands_there_by_then_decides_as_well() {
    let link = |mechanism, plain| Layer {
        id: "link-a-b".into(),
        index: 0,
        direction: Direction::Egress,
        matches: PacketMatch::default(),
        mechanism,
        plain,
    };
    let below = |layer| Terrain { interfaces: None, layers: vec![layer], encrypted: 0 };
    let ms = Some(Duration::from_millis(10));
    let by_netem = below(link(Mechanism::Netem, ms));
    // The queue that does both is netem, also for a limit.
    assert_eq!(on(&by_netem, &[RATE], &[]).unwrap(), "tbf");
    assert_eq!(on(&by_netem, &[RATE], &["netem"]).unwrap(), "forwarder");
    let by_forwarder = below(link(Mechanism::Forwarder, ms));
    assert_eq!(on(&by_forwarder, &[RATE], &[]).unwrap(), "forwarder");
    assert_eq!(on(&by_forwarder, &[DELAY], &[]).unwrap(), "forwarder");
    assert_eq!(on(&by_forwarder, &[LOSS], &[]).unwrap(), "tcx");
    let jittery = below(link(Mechanism::Netem, None));
    let refused = on(&jittery, &[DELAY], &[]).unwrap_err();
    assert!(refused.contains("only a plain delay can be below another fault"), "{refused}");
}
