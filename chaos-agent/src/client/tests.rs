//! Several agents of one runner, each a thread with a scripted injector.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chaos_core::{
    injector::{Ask, Hold, Injector, Offer, Work},
    model::Custom,
    place::{Namespace, Place},
    testing::{Door, Mishap, World},
};

use super::*;
use crate::{
    host::Host,
    transport::{OwnThread, Started},
};

/// Starts threads, wherever they are said to be, and keeps the sites.
struct Threads {
    threads: BTreeMap<String, OwnThread>,
    started: Arc<Mutex<Vec<Site>>>,
}

#[async_trait]
impl Transport for Threads {
    async fn start(&self, site: &Site) -> Result<Started, Trouble> {
        self.started.lock().unwrap().push(site.clone());
        self.threads[&named(site)].start(&Site::Runner).await
    }

    fn describe(&self) -> String {
        "threads".into()
    }
}

fn named(site: &Site) -> String {
    match site {
        Site::Agent { of } => of.name.clone(),
        Site::Runner | Site::Namespace(_) | Site::Api => "runner".into(),
    }
}

fn at(name: &str) -> Site {
    Site::Agent { of: ObjectId::host(name) }
}

fn offer() -> Offer {
    let work = Work::Custom(Custom::new("scripted"));
    let ask = Ask { fault: "slow".into(), object: ObjectId::here(), work, seed: 0 };
    let (does, because) = (vec![], vec![]);
    Offer {
        backend: "scripted".into(),
        ask,
        hold: Hold::Agent,
        does,
        undoes: String::new(),
        because,
        takes: Vec::new(),
    }
}

/// What there is in a test: agents at places with these names, each with a world of its own.
struct Stage {
    worlds: BTreeMap<String, World>,
    agents: Arc<Agents>,
    injector: AgentInjector,
    started: Arc<Mutex<Vec<Site>>>,
}

impl Stage {
    fn new() -> Self {
        let worlds: BTreeMap<String, World> =
            ["runner", "a", "b"].map(|name| (name.to_owned(), World::new())).into();
        let thread = |world: &World| {
            let world = world.clone();
            OwnThread::new(move |_| Ok(Host::new().injector(world.clone())))
        };
        let threads = worlds.iter().map(|(name, world)| (name.clone(), thread(world))).collect();
        let started = Arc::default();
        let agents = Agents::new(Threads { threads, started: Arc::clone(&started) });
        let injector = agents.injector("scripted", |_| true);
        Stage { worlds, agents, injector, started }
    }

    async fn inject(&self, id: &str, site: Site) -> Result<Undo, Trouble> {
        let place = Place { site, ..Place::runner() };
        let undo = self.injector.prepare(id, &offer(), &place, Duration::from_secs(60)).await?;
        self.injector.inject(&undo).await?;
        Ok(undo)
    }
}

#[tokio::test]
async fn each_place_has_one_agent_and_all_of_them_are_closed() {
    let stage = Stage::new();
    let namespace = Site::from(Namespace::new("/run/netns/x"));
    for (id, site) in [("1", Site::Runner), ("2", at("a")), ("3", namespace), ("4", at("b")), ("5", at("a"))]
    {
        stage.inject(id, site).await.unwrap();
    }
    assert_eq!(*stage.started.lock().unwrap(), [Site::Runner, at("a"), at("b")]);
    for (name, world) in &stage.worlds {
        assert!(!world.is_pristine(), "{name}");
    }
    stage.agents.close().await.unwrap();
    for (name, world) in &stage.worlds {
        assert!(world.is_pristine(), "{name}");
    }
}

#[tokio::test]
async fn what_one_agent_cannot_take_back_keeps_no_other_from_it() {
    let stage = Stage::new();
    for (id, site) in [("1", at("a")), ("2", at("b"))] {
        stage.inject(id, site).await.unwrap();
    }
    stage.worlds["a"].mishap(Door::Revert, 0..u32::MAX, Mishap::Fail);
    assert!(stage.agents.close().await.is_err());
    assert!(stage.worlds["b"].is_pristine());
}

#[tokio::test]
async fn an_agent_that_goes_loses_its_own_faults_and_no_others() {
    let stage = Stage::new();
    let (kept, lost) =
        (stage.inject("kept", at("a")).await.unwrap(), stage.inject("lost", at("b")).await.unwrap());
    let session = stage.agents.session(&lost.site).await.unwrap();
    session.call(Request::Bye, LONGEST_CALL).await.unwrap();
    assert_eq!(stage.injector.lost().await.ids, ["lost"]);
    assert!(stage.agents.known.holds(&kept.id));
    stage.agents.close().await.unwrap();
}

#[tokio::test]
async fn a_place_without_a_transport_is_refused_and_never_this_machine() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let agents = Agents::new(OwnThread::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Host::new().injector(World::new()))
    }));
    let injector = agents.injector("scripted", |_| true);
    for site in [at("a"), Site::Api] {
        let place = Place { site, ..Place::runner() };
        let refused = injector.prepare("1", &offer(), &place, Duration::from_secs(1)).await;
        assert!(refused.is_err(), "{:?}", place.site);
    }
    assert_eq!(made.load(Ordering::Relaxed), 0);
}
