//! The programs of a lab: what they serve, and what happens when they die.

use std::time::{Duration, Instant};

use chaos_core::model::{Program, Ready};
use chaos_lab::{BringUpError, LabError, LabEvent};

use crate::harness::{self, command, eventually, get, host, http, six, up};

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_dies_is_news_and_can_be_restarted() {
    let lab =
        up(vec![host("client", None, vec![]), host("api", Some(2), vec![http(Duration::ZERO, None)])]).await;
    let mut events = lab.events();
    let victim = lab.programs().into_iter().find(|p| p.host == "api-2").unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim.pid as i32), nix::sys::signal::SIGKILL).unwrap();
    let event = tokio::time::timeout(Duration::from_secs(5), events.recv()).await.unwrap().unwrap();
    match event {
        LabEvent::ProgramDied(death) => {
            assert_eq!((death.host.as_str(), death.program, death.requested), ("api-2", 0, false));
            assert!(death.status.contains("SIGKILL") && death.what.contains("http port 8080"), "{death:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(lab.programs().len(), 1);
    let client = &lab.host("client").unwrap().namespace;
    let address = lab.resolve("api-2")[0];
    assert!(get(client, address, 8080, "/").is_err());

    let again = lab.restart("api-2", 0).await.unwrap();
    assert_ne!(again.pid, victim.pid);
    assert_eq!(get(client, address, 8080, "/").unwrap().header("x-served-by"), Some("api-2"));
    assert_eq!(lab.programs().len(), 2);
    let error = lab.signal("api-2", 7, 9).await.unwrap_err();
    assert!(matches!(error, LabError::BringUp(BringUpError::Unknown { program: 7, .. })));
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_takes_the_place_of_one_until_it_is_put_back_or_its_time_is_over() {
    let old = http(Duration::ZERO, None);
    let new = Program::Http { port: 8080, work: Duration::ZERO, capacity: None, status: 503 };
    let lab = up(vec![host("client", None, vec![]), host("api", Some(2), vec![old.clone()])]).await;
    let mut events = lab.events();
    let client = lab.host("client").unwrap().namespace.clone();
    let status = |name: &str| get(&client, lab.resolve(name)[0], 8080, "/").unwrap().status;

    // Ready means that the next request is the new one's.
    let handle = lab.replace("api-1", 0, &new, Duration::from_secs(600)).await.unwrap();
    assert_eq!((status("api-1"), status("api-2"), lab.programs().len()), (503, 200, 2));
    let back = lab.put_back("api-1", 0, &old).await.unwrap();
    assert_eq!(status("api-1"), 200);
    assert_ne!(handle.pid, back.pid);
    // Put back twice is put back: the program that runs is let be.
    assert_eq!(lab.put_back("api-1", 0, &old).await.unwrap().pid, back.pid);

    // Nobody puts it back, as when the runner hangs.
    lab.replace("api-1", 0, &new, Duration::from_millis(700)).await.unwrap();
    assert!(eventually(Duration::from_secs(20), || get(&client, lab.resolve("api-1")[0], 8080, "/")
        .is_ok_and(|got| got.status == 200)));
    lab.put_back("api-1", 0, &old).await.unwrap();

    // One that is not there is reported, and does not stand in the way of the old one.
    let missing = command("no-such-program", Ready::Tcp(8080));
    let error = lab.replace("api-1", 0, &missing, Duration::from_secs(600)).await.unwrap_err();
    assert!(matches!(error, LabError::BringUp(BringUpError::Start { .. })), "{error}");
    let dies = command("false", Ready::Tcp(8080));
    let error = lab.replace("api-1", 0, &dies, Duration::from_secs(600)).await.unwrap_err();
    assert!(matches!(error, LabError::BringUp(BringUpError::NeverReady { .. })), "{error}");
    lab.put_back("api-1", 0, &old).await.unwrap();
    assert_eq!(status("api-1"), 200);
    // Whatever was ended on the way was meant to be.
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(&event, LabEvent::ProgramDied(death) if !death.requested), "{event:?}");
    }
    drop(client);
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_keeps_its_capacity_and_obeys_its_paths() {
    let lab = up(vec![
        host("client", None, vec![]),
        host("api", None, vec![http(Duration::from_millis(200), Some(2))]),
    ])
    .await;
    let client = lab.host("client").unwrap().namespace.clone();
    let api = lab.resolve("api")[0];
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(get(&client, api, 8080, "/").unwrap().status, 200));
        }
    });
    assert!(
        started.elapsed() >= Duration::from_millis(600),
        "two at a time, three turns: {:?}",
        started.elapsed()
    );
    assert_eq!(get(&client, api, 8080, "/status/503").unwrap().status, 503);
    let slow = get(&client, api, 8080, "/slow/500").unwrap();
    assert!(slow.took >= Duration::from_millis(500) && slow.body == "api\n", "{slow:?}");
    drop(client);
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_retries_and_says_why_it_gives_up() {
    let lab = up(vec![
        host("client", None, vec![]),
        host("gw", None, vec![harness::gateway(Duration::from_millis(300), 1)]),
        host("api", Some(2), vec![http(Duration::ZERO, None)]),
    ])
    .await;
    let client = &lab.host("client").unwrap().namespace;
    let gateway = lab.resolve("gw")[0];
    let ask = |path: &str| get(client, gateway, 80, path).unwrap();

    let plain = ask("/");
    assert_eq!((plain.status, plain.header("x-retries")), (200, Some("0")));
    let failing = ask("/status/503");
    assert_eq!((failing.status, failing.header("x-retries")), (503, Some("1")));
    assert!(failing.header("x-served-by").unwrap().starts_with("api-"));
    let slow = ask("/slow/2000");
    assert_eq!(
        (slow.status, slow.header("x-retries"), slow.header("x-served-by")),
        (504, Some("1"), Some("gw"))
    );
    assert!(slow.took >= Duration::from_millis(600) && slow.took < Duration::from_secs(2), "{slow:?}");

    // One upstream gone: every answer still comes, from the other one.
    lab.signal("api-1", 0, libc::SIGKILL).await.unwrap();
    for _ in 0..6 {
        let answer = ask("/");
        assert_eq!((answer.status, answer.header("x-served-by")), (200, Some("api-2")), "{answer:?}");
    }
    lab.signal("api-2", 0, libc::SIGKILL).await.unwrap();
    assert!(eventually(Duration::from_secs(5), || ask("/").status == 502));
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_dns_answers_503_and_recovers() {
    let lab = up(six()).await;
    let client = &lab.host("client").unwrap().namespace;
    let gateway = lab.resolve("gw")[0];
    assert_eq!(get(client, gateway, 80, "/").unwrap().status, 200);
    lab.signal("dns", 0, libc::SIGKILL).await.unwrap();
    assert!(eventually(Duration::from_secs(5), || get(client, gateway, 80, "/").unwrap().status == 503));
    lab.restart("dns", 0).await.unwrap();
    assert_eq!(get(client, gateway, 80, "/").unwrap().status, 200);
    lab.down().await.unwrap();
}
