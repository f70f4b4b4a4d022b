//! What planning asks of an inventory, and what it makes of the answers.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::{Part, Plan, PlanError, plan};
use crate::{
    injector::{Injector, Peer, Work},
    inventory::Inventory,
    model::{Action, Experiment, FaultSpec, Pick, Selector, Target, Vantage, packets::Way},
    non_empty::NonEmpty,
    place::{Kind, Object, ObjectId, Protection},
    testing::{self, World},
    trouble::Trouble,
    which::Which,
};

/// Network namespaces: under a selector's name its objects, each with its addresses.
#[derive(Default)]
struct Namespaces {
    of: BTreeMap<&'static str, Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
    /// What protects every object of a selector.
    protected: BTreeMap<&'static str, Vec<Protection>>,
}

impl Namespaces {
    fn new(of: impl IntoIterator<Item = (&'static str, Vec<Vec<IpAddr>>)>) -> Self {
        Namespaces { of: of.into_iter().collect(), ..Namespaces::default() }
    }

    /// Returns how often each selector was asked for.
    fn asked(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for selector in self.asked.lock().unwrap().iter() {
            *times.entry(selector.clone()).or_default() += 1;
        }
        times
    }
}

#[async_trait]
impl Inventory for Namespaces {
    async fn find(&self, selector: &Selector) -> Result<NonEmpty<Object>, Trouble> {
        self.asked.lock().unwrap().push(selector.to_string());
        let Selector::Netns(name) = selector else { panic!("only namespaces: {selector}") };
        let objects = self.of[name.value.as_str()].iter().enumerate();
        let protected = self.protected.get(name.value.as_str()).cloned().unwrap_or_default();
        let objects = objects.map(|(n, a)| Object {
            protected: protected.clone(),
            ..ObjectId::netns(format!("{name}-{n}")).at(a.clone())
        });
        objects.collect::<Vec<_>>().try_into().map_err(|_| Trouble::absent(format!("there is no {name}")))
    }
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// The experiment of the scripted world, whose first fault is this one on `blue`; the second one is on `green`.
fn with(action: impl Into<Action>, on: Selector) -> Experiment {
    let mut experiment = testing::experiment();
    experiment.faults[0].action = action.into();
    experiment.faults[0].on = on;
    experiment
}

async fn planned(experiment: &Experiment, inventory: &Namespaces) -> Result<Plan, PlanError> {
    plan(experiment, inventory, &[Arc::new(World::new()) as Arc<dyn Injector>], 7).await
}

/// The peers that a part is limited to.
fn peers(part: &Part) -> Vec<IpAddr> {
    let Work::Packets(packets) = &part.offer.ask.work else { panic!("packets: {part:?}") };
    let Which::These(peers) = &packets.matches.peers else { panic!("every packet: {part:?}") };
    peers.iter().map(|peer: &Peer| peer.network).collect()
}

#[tokio::test]
async fn peers_without_any_address_are_refused_and_never_taken_for_every_packet() {
    let effects =
        [FaultSpec::loss(0.05), FaultSpec::delay(std::time::Duration::from_millis(50)), FaultSpec::Partition];
    // Nobody has an address; or only the target itself has one, and it is never its own peer.
    for (target, whom) in [("blue", "bare"), ("blue", "blue")] {
        for way in [Way::Egress, Way::Ingress, Way::Both] {
            for effect in &effects {
                let action = effect.clone().to(Selector::netns(whom)).going(way);
                let experiment = with(action, Selector::netns(target));
                let world = Namespaces::new([
                    ("blue", vec![vec![address(1)]]),
                    ("green", vec![vec![address(2)]]),
                    ("bare", vec![vec![], vec![]]),
                ]);
                let refused = planned(&experiment, &world).await;
                let error = refused.expect_err(&format!("{effect} to {whom} {way:?}")).remark();
                assert_eq!(
                    error.message,
                    format!("`netns \"{whom}\"` has no address that netns blue-0 could talk to")
                );
                assert_eq!(error.help.as_deref(), Some("name another host as the destination"));
            }
        }
    }
}

#[tokio::test]
async fn peers_are_the_addresses_that_some_of_them_have() {
    let experiment = with(FaultSpec::loss(0.05).to(Selector::netns("red")), Selector::netns("blue"));
    let world = Namespaces::new([
        ("blue", vec![vec![address(1)]]),
        ("green", vec![vec![address(2)]]),
        ("red", vec![vec![], vec![address(3), address(4)]]),
    ]);
    let plan = planned(&experiment, &world).await.unwrap();
    assert_eq!(peers(&plan.faults[0].parts[0]), [address(3), address(4)]);
}

#[tokio::test]
async fn the_inventory_is_asked_once_for_each_selector_however_many_objects_there_are() {
    let many = |first: u8| (0..40).map(|n| vec![address(first + n)]).collect::<Vec<_>>();
    let world = Namespaces::new([("blue", many(1)), ("green", many(101)), ("red", many(201))]);
    let mut experiment =
        with(FaultSpec::loss(0.05).to(Selector::netns("red")), Selector::Named("half".into()));
    let half = Pick::Share { fraction: 0.5, up_to: None };
    experiment.targets = vec![Target { name: "half".into(), selector: Selector::netns("blue"), pick: half }];
    let second = FaultSpec::loss(0.05).to(Selector::netns("red")).to(Selector::netns("blue"));
    experiment.faults[1].action = second.into();
    let limit = crate::model::scope::RadiusLimit {
        at_most: crate::model::scope::Amount::Share(0.5),
        of: crate::model::scope::RadiusUnit::Of(Selector::Named("half".into())),
        span: crate::span::Span::NONE,
    };
    experiment = experiment.at_most_hosts(60);
    experiment.blast_radius.push(limit);
    let plan = planned(&experiment, &world).await.unwrap();
    assert_eq!((plan.faults[0].parts.len(), plan.faults[1].parts.len()), (20, 40));
    assert_eq!(peers(&plan.faults[1].parts[39]).len(), 80);
    let once = ["blue", "green", "red"].map(|name| (format!("netns \"{name}\""), 1));
    assert_eq!(world.asked(), BTreeMap::from(once));
}

#[tokio::test]
async fn what_is_protected_is_touched_only_where_it_is_allowed_by_name() {
    let mut world = Namespaces::new([
        ("blue", vec![vec![address(1)], vec![address(2)]]),
        ("green", vec![vec![address(3)]]),
        ("red", vec![vec![address(4)]]),
    ]);
    world.protected = BTreeMap::from([
        ("blue", vec![Protection::HostNetwork, Protection::Cni]),
        ("red", vec![Protection::ApiServer]),
    ]);
    // The other end of traffic is not touched.
    let mut experiment = with(FaultSpec::loss(0.05).to(Selector::netns("red")), Selector::netns("blue"));
    let error = planned(&experiment, &world).await.unwrap_err().remark();
    assert_eq!(
        error.message,
        "`first` would touch netns blue-0, which makes the network of all pods on its node (CNI), and netns blue-0, which uses \
         its node's own network (hostNetwork), so a fault would be on the whole node"
    );
    assert_eq!(
        error.help.as_deref(),
        Some(
            "narrow the target; where it is meant, write `allow cni` and `allow hostNetwork` in the blast radius"
        )
    );
    experiment = experiment.allowing(Protection::HostNetwork);
    let error = planned(&experiment, &world).await.unwrap_err().remark();
    assert!(error.help.is_some_and(|help| help.contains("`allow cni` in") && !help.contains("hostNetwork")));
    experiment = experiment.allowing(Protection::Cni);
    let plan = planned(&experiment, &world).await.unwrap();
    let of_lines = |plan: &Plan| plan.warnings.iter().filter(|w| w.message.contains("allow")).count();
    assert_eq!(of_lines(&plan), 0, "{:?}", plan.warnings);
    // A line that allows what is not there is a danger to no end.
    let plan = planned(&experiment.clone().allowing(Protection::ApiServer), &world).await.unwrap();
    assert!(plan.warnings.iter().any(|w| w.message.contains("`allow apiserver` allows nothing")));
    // An agent would be put where a probe is sent from.
    experiment.probes[0].from = Vantage::Each(Selector::netns("red"));
    let error = planned(&experiment, &world).await.unwrap_err().remark();
    assert!(error.message.starts_with("`get` would touch netns red-0, which is the API server"), "{error}");
}

#[test]
fn its_identity_alone_protects_a_node_and_what_is_of_the_system() {
    let of = |kind: Kind, namespace: Option<&str>| {
        let id = ObjectId { namespace: namespace.map(Into::into), ..ObjectId::new(kind, "x") };
        id.at([]).protections().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(of(Kind::POD, Some("shop")), []);
    assert_eq!(of(Kind::POD, Some("kube-system")), [Protection::KubeSystem]);
    assert_eq!(of(Kind::NODE, None), [Protection::Nodes]);
    let named = |kind: &str, name: &str| {
        let kind = Kind::try_from(kind.to_owned()).unwrap();
        ObjectId::new(kind, name).at([]).protections().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(named("namespace", "kube-system"), [Protection::KubeSystem]);
    assert_eq!(named("namespace", "shop"), []);
    assert_eq!(named("clusterroles.v1.rbac.authorization.k8s.io", "system:node"), [Protection::KubeSystem]);
}
