//! Who comes first on a busy machine.

use std::process::Command;

use crate::harness::{World, delay};

/// A thread's name, its scheduling policy and its real-time priority.
fn threads(process: nix::unistd::Pid) -> Vec<(String, u32, u32)> {
    let folder = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let mut threads = Vec::new();
    for thread in folder {
        // One that ends meanwhile has no status any more.
        let Ok(stat) = std::fs::read_to_string(thread.unwrap().path().join("stat")) else { continue };
        let (head, rest) = stat.rsplit_once(')').unwrap();
        let name = head.split_once('(').unwrap().1.to_owned();
        // From the third on; proc_pid_stat(5) counts from 1: rt_priority is 40, policy 41.
        let fields: Vec<&str> = rest.split_whitespace().collect();
        threads.push((name, fields[41 - 3].parse().unwrap(), fields[40 - 3].parse().unwrap()));
    }
    threads
}

#[tokio::test]
async fn the_agent_comes_first_and_the_threads_that_hold_few_packets_do_too() {
    const ROUND_ROBIN: u32 = 2;
    let Some(world) = World::with("forwarder", &[delay(5)]).await else { return };
    let may = Command::new("chrt").args(["--rr", "1", "true"]).output();
    if !may.is_ok_and(|tried| tried.status.success()) {
        println!("skipped: real-time priority is not available here");
        return;
    }
    let undos = world.inject("slow", &[delay(5)]).await;
    let is_holding = |thread: &&(String, u32, u32)| thread.0 == "chaos-forwarder";
    // They are looked at every 20 ms; setting up is much work.
    let waited = std::time::Instant::now();
    let threads = loop {
        let threads = threads(world.agent());
        let late = threads.iter().filter(is_holding).any(|thread| thread.1 != ROUND_ROBIN);
        if !late || waited.elapsed() > std::time::Duration::from_secs(5) {
            break threads;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    world.revert(&undos).await;
    let is = |wanted: (u32, u32)| move |thread: &&(String, u32, u32)| (thread.1, thread.2) == wanted;
    // In a test program the agent's own thread is not the first one of the process.
    assert!(threads.iter().any(|thread| is((ROUND_ROBIN, 1))(&thread)), "{threads:?}");
    let holding: Vec<_> = threads.iter().filter(is_holding).collect();
    assert!(!holding.is_empty(), "{threads:?}");
    assert!(holding.iter().all(is((ROUND_ROBIN, 1))), "{threads:?}");
}
