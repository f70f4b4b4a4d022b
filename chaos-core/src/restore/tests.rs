use super::*;
use crate::{
    journal::{Header, entry::VERSION, registry::RunEntry},
    place::ObjectId,
    testing::{self, Door, Mishap, World},
};

fn object(name: &str) -> ObjectId {
    ObjectId::netns(name)
}

fn header(run: &str) -> Header {
    Header {
        version: VERSION,
        run: run.into(),
        experiment: "x".into(),
        owner: None,
        started: jiff::Timestamp::UNIX_EPOCH,
        pid: 1,
        plan: String::new(),
        targets: vec![object("blue")],
        namespaces: Vec::new(),
    }
}

/// Puts both faults of the scripted experiment in place as a runner does that dies then; returns its journal.
async fn dead_run(world: &World, path: &Path) {
    let plan = testing::plan(&testing::experiment(), world).await.unwrap();
    let journal = FileJournal::create(path).unwrap();
    journal.append(&Entry::Run(header("dead"))).await.unwrap();
    for part in plan.faults.iter().flat_map(|f| &f.parts) {
        let place = crate::environment::Environment::place(world, &part.offer.ask.object).await.unwrap();
        let undo = world.prepare(&part.id, &part.offer, &place, Duration::from_secs(60)).await.unwrap();
        journal.append(&Entry::Prepared { undo: Arc::new(undo.clone()) }).await.unwrap();
        world.inject(&undo).await.unwrap();
    }
}

fn injectors(world: &World) -> Vec<Arc<dyn Injector>> {
    vec![Arc::new(world.clone())]
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_paid_in_reverse_order_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let world = World::new();
    dead_run(&world, &path).await;
    assert_eq!(world.in_place().len(), 2);
    let outcome = restore_journal(&path, &injectors(&world), &RestorePolicy::default()).await.unwrap();
    assert!(matches!(outcome, Outcome::Restored { parts } if parts.len() == 2));
    assert!(world.is_pristine());
    assert_eq!(world.calls(Door::Revert), ["second/green/1", "first/blue/1"]);
    let again = restore_journal(&path, &injectors(&world), &RestorePolicy::default()).await.unwrap();
    assert_eq!(again, Outcome::NothingToDo);
    assert_eq!(world.calls(Door::Revert).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_paid_stays_owed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let world = World::new();
    dead_run(&world, &path).await;
    // The second fault goes first and never works; the first works at once.
    world.mishap(Door::Revert, 0..1, Mishap::Hang);
    world.mishap(Door::Revert, 2..u32::MAX, Mishap::Panic);
    let outcome = restore_journal(&path, &injectors(&world), &RestorePolicy::default()).await.unwrap();
    let Outcome::NotRestored { parts, left } = outcome else { panic!("{outcome:?}") };
    assert_eq!((parts.len(), left.len()), (1, 1));
    assert!(left[0].starts_with("second/green/1 on netns green: reverting failed"), "{left:?}");
    world.heal();
    let outcome = restore_journal(&path, &injectors(&world), &RestorePolicy::default()).await.unwrap();
    assert!(matches!(outcome, Outcome::Restored { parts } if parts.len() == 1));
    assert!(world.is_pristine());
    let outcome = restore_journal(&path, &[], &RestorePolicy::default()).await.unwrap();
    assert_eq!(outcome, Outcome::NothingToDo);
}

#[tokio::test(start_paused = true)]
async fn an_injector_that_is_not_here_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let world = World::new();
    dead_run(&world, &path).await;
    let outcome = restore_journal(&path, &[], &RestorePolicy::default()).await.unwrap();
    let Outcome::NotRestored { left, .. } = outcome else { panic!("{outcome:?}") };
    assert!(left[0].contains("there is no injector `scripted` here"), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn runs_that_are_alive_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path().join("state")).unwrap();
    let path = folder.path().join("journal");
    let world = World::new();
    dead_run(&world, &path).await;
    let header = Header { pid: 42, targets: vec![object("blue"), object("green")], ..header("dead") };
    let entry = RunEntry { header, journal: path };
    let alive = registry.register(&entry).unwrap();
    let restored = restore(&registry, None, &injectors(&world), &RestorePolicy::default()).await.unwrap();
    assert_eq!(restored[0].outcome, Outcome::StillRunning { run: Some("dead".into()), pid: Some(42) });
    assert_eq!(world.in_place().len(), 2);
    drop(alive);
    let restored =
        restore(&registry, Some("dead"), &injectors(&world), &RestorePolicy::default()).await.unwrap();
    assert!(matches!(restored[0].outcome, Outcome::Restored { .. }));
    assert!(world.is_pristine());
    assert_eq!(restore(&registry, None, &injectors(&world), &RestorePolicy::default()).await.unwrap(), []);
    let unknown =
        restore(&registry, Some("dead"), &injectors(&world), &RestorePolicy::default()).await.unwrap_err();
    assert_eq!(unknown.to_string(), "no run `dead` is known here; there is none at all");
}
