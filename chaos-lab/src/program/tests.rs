use std::path::Path;

use chaos_core::injector::{Surroundings, Work};
use chaos_core::model::{Custom, FaultSpec, Host, Lab as Declaration};
use chaos_core::place::{Namespace, ObjectId};

use super::*;
use crate::Programs;

fn http(port: u16) -> Program {
    Program::Http { port, work: Duration::ZERO, capacity: None, status: 200 }
}

fn injector(programs: Vec<Program>) -> LabPrograms {
    let programs = programs.into_iter().map(Into::into).collect();
    let hosts = vec![Host { name: "api".into(), copies: Some(2), programs }];
    let declaration = Declaration { hosts, ..Declaration::default() };
    LabPrograms::new(Arc::new(LabEnvironment::new(declaration, Programs::of("/nowhere"))))
}

fn ask(host: &str, program: Program) -> Ask {
    Ask {
        fault: "canary".into(),
        object: ObjectId::host(host),
        work: Work::Program(Box::new(program)),
        seed: 1,
    }
}

async fn refusal(injector: &LabPrograms, host: &str, program: Program) -> String {
    injector.offer(&ask(host, program), &Surroundings::default()).await.unwrap_err().message
}

#[tokio::test]
async fn it_offers_another_program_for_the_one_of_a_host() {
    let offers =
        injector(vec![http(80)]).offer(&ask("api-2", http(81)), &Surroundings::default()).await.unwrap();
    assert_eq!(offers[0].does, ["run http port 81 instead of http port 80, and wait until it is ready"]);
    assert_eq!(offers[0].undoes, "end it, run http port 80 again, and wait until that is ready");
}

#[tokio::test]
async fn it_says_why_it_offers_nothing() {
    let one = injector(vec![http(80)]);
    assert_eq!(refusal(&one, "db", http(81)).await, "this is not a host of the lab");
    assert_eq!(refusal(&injector(vec![]), "api-1", http(81)).await, "no program runs there");
    let two = injector(vec![http(80), Program::Dns]);
    assert!(refusal(&two, "api-1", http(81)).await.contains("which of them"));
    let ready = Ready::After(Duration::from_secs(60));
    let slow = Program::Command { argv: vec!["db".into()], ready, env: Vec::new(), as_root: false };
    assert!(refusal(&one, "api-1", slow).await.contains("too long"));
    assert!(!one.handles(&FaultSpec::loss(0.1).into()));
    let other = Ask { work: Work::Custom(Custom::new(NAME)), ..ask("api-1", http(81)) };
    assert!(one.offer(&other, &Surroundings::default()).await.is_err());
}

#[tokio::test]
async fn what_a_dead_run_replaced_is_gone_with_its_lab() {
    let made = injector(vec![http(80)]);
    let offer = made.offer(&ask("api-1", http(81)), &Surroundings::default()).await.unwrap().remove(0);
    let state = |inode| State { program: 0, before: http(80), inode };
    let undo = |path: &Path, inode| Undo {
        id: "canary/api-1/1".into(),
        injector: NAME.into(),
        offer: offer.clone(),
        site: Namespace::new(path).into(),
        deadline: Duration::from_secs(60),
        state: serde_json::to_value(state(inode)).unwrap(),
        line: String::new(),
    };
    let own = Path::new("/proc/self/ns/net");
    let inode = fs::metadata(own).unwrap().ino();
    let restorer = LabPrograms::of_dead_runs();
    restorer.revert(&undo(Path::new("/proc/self/fd/987654"), inode)).await.unwrap();
    restorer.revert(&undo(own, inode + 1)).await.unwrap();
    let error = restorer.revert(&undo(own, inode)).await.unwrap_err();
    assert!(error.message.contains("still there"), "{error}");
    assert_eq!(restorer.effect(&undo(own, inode)).await.unwrap(), Measured::nothing(Unit::Connections));
}
