//! The plan that all of them followed.

use std::{collections::BTreeMap, time::Duration};

use super::{experiment, experiment::specs, millis, secs, span};
use crate::{
    injector::{Ask, Direction, Hold, Offer, PacketMatch, Packets, Peer, Work},
    model::{Distribution, FaultSpec},
    non_empty::NonEmpty,
    place::{Object, ObjectId},
    plan::{Origin, Part, Plan, PlannedFault, PlannedProbe, radius::Radius},
    remark::Remark,
    which::Which,
};

fn host(name: &str) -> Object {
    ObjectId::host(name).at(["10.77.0.2".parse().unwrap()])
}

fn part(fault: &str, object: &str, number: usize, backend: &str, hold: Hold, specs: Vec<FaultSpec>) -> Part {
    let peer = Peer { network: "10.77.0.3".parse().unwrap(), prefix: 32, port: None };
    Part {
        id: format!("{fault}/{object}/{number}"),
        injector: "network".into(),
        offer: Offer {
            backend: backend.into(),
            hold,
            does: specs.iter().map(|s| format!("{s} on packets sent to 10.77.0.3 through eth0")).collect(),
            undoes: "closes its link and descriptor, which ends it".into(),
            takes: Vec::new(),
            because: if backend == "forwarder" {
                vec!["not netem: this kernel has no `sch_netem`".into()]
            } else {
                Vec::new()
            },
            ask: Ask {
                fault: fault.into(),
                object: ObjectId::host(object),
                work: Work::Packets(Packets {
                    specs,
                    directions: vec![Direction::Egress],
                    matches: PacketMatch { peers: Which::one(peer), ..PacketMatch::default() },
                    named: None,
                }),
                seed: 3,
            },
        },
    }
}

pub(crate) fn plan() -> Plan {
    let [delay, loss] = <[FaultSpec; 2]>::try_from(specs()).unwrap();
    let link = FaultSpec::Delay {
        delay: millis(2),
        jitter: Duration::ZERO,
        correlation: 0.0,
        distribution: Distribution::Uniform,
        ordered: false,
    };
    Plan {
        experiment: experiment(),
        seed: 42,
        targets: BTreeMap::from([("victims".to_owned(), NonEmpty::one(host("gateway")))]),
        probes: vec![PlannedProbe { probe: "shop".into(), from: Origin::Places(NonEmpty::one(ObjectId::host("client"))) }],
        faults: vec![PlannedFault {
            name: "slow_api".into(),
            parts: vec![
                part("slow_api", "gateway", 1, "tcx", Hold::Kernel, vec![loss]),
                part("slow_api", "gateway", 2, "forwarder", Hold::Agent, vec![delay]),
            ],
            deadline: secs(27),
        }],
        changes: Vec::new(),
        background: vec![
            part("link-client-gateway", "client", 1, "forwarder", Hold::Kernel, vec![link.clone()]),
            part("link-client-gateway", "gateway", 2, "forwarder", Hold::Kernel, vec![link]),
        ],
        radius: Radius {
            touched: vec![ObjectId::host("gateway")],
            of: Some(6),
            lines: vec!["1 of 6 touched, at most 1 hosts allowed".into()],
        },
        warnings: vec![
            Remark::warning(
                span(40, 60),
                "each window of `p95(shop.latency, over 2s)` holds about 40 samples, and p95 is unknown below 59",
            )
            .with_help("widen the window, raise the probe's rate, or take a lower percentile"),
        ],
    }
}
