//! How a lab ends, and what ends with it.

use std::time::Duration;

use chaos_lab::{LabError, LabEvent};
use chaos_netns::Namespace;

use crate::harness::{self, eventually, host, http, six, up};

#[tokio::test(flavor = "multi_thread")]
async fn going_down_leaves_nothing_and_says_who_holds_on() {
    let lab = up(six()).await;
    let (holder, family) = (lab.pid(), harness::family(lab.pid()));
    assert!(family.len() >= 6, "{family:?}");
    lab.down().await.unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{holder}")).exists());
    assert!(family.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()));

    let lab = up(vec![host("kept", None, vec![])]).await;
    let kept: Namespace = lab.hosts()[0].namespace.clone();
    let error = lab.down().await.unwrap_err().to_string();
    assert!(error.contains("this process"), "{error}");
    drop(kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_first_process_takes_everything_down() {
    let lab = up(six()).await;
    let mut events = lab.events();
    let family = harness::family(lab.pid());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(lab.pid() as i32), nix::sys::signal::SIGKILL).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(2), async {
        while events.recv().await.unwrap() != LabEvent::Ended {}
    });
    ended.await.unwrap();
    // The first process itself stays as a zombie until this process has waited for it.
    let rest = &family[1..];
    assert!(eventually(Duration::from_secs(2), || rest.iter().all(|p| !alive(*p))), "{family:?}");
    assert!(matches!(lab.output("gw", 0).await, Err(LabError::Ended(_))));
    lab.down().await.unwrap();
}

fn alive(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_is_on_the_host_and_ends_with_the_lab() {
    let lab =
        up(vec![host("client", None, vec![]), host("api", None, vec![http(Duration::ZERO, None)])]).await;
    let record = serde_json::from_str(&serde_json::to_string(lab.record()).unwrap()).unwrap();
    let script = "test $(hostname) = client && grep -q ' api$\\| api ' /etc/hosts && grep -q eth0 /proc/net/dev && ls /proc/1/exe";
    let mut look = std::process::Command::new("sh");
    look.args(["-c", script]).stdout(std::process::Stdio::null());
    let status = chaos_lab::shell::run(&record, "client.lab", look).unwrap();
    assert!(status.success(), "{status}");
    let stranger = chaos_lab::shell::run(&record, "clint", std::process::Command::new("true")).unwrap_err();
    assert!(stranger.to_string().contains("`client`, `api`"), "{stranger}");

    let long = std::thread::spawn(move || {
        let mut sleep = std::process::Command::new("sleep");
        sleep.arg("1000");
        chaos_lab::shell::run(&record, "api", sleep).unwrap()
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!long.is_finished());
    lab.down().await.unwrap();
    assert!(!long.join().unwrap().success());
}
