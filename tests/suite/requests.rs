//! Requests that were under way when something happened: each of them must come to a good end.

use chaos_tests::{Ended, Scene};
use serde_json::Value;

/// The server takes its time, so that some requests are open at every moment. `FAULT` stands for the fault's kind and target.
const SCENARIO: &str = r#"experiment "open requests come to an end" {
  hypothesis "whoever asked before the trouble gets an answer"

  lab {
    host client
    host api { run http port 8080 { work 400ms } }
  }

  probe get = http GET "http://api:8080/" from client { connections fresh, rate 40/s, timeout 2s }

  steady state over 1s {
    success(get) >= 90%
  }

  fault trouble = FAULT

  timeline {
    baseline 2s
    inject   trouble
    hold     3s
    rollback
    watch    4s
  }

  abort never because "nobody else is in this lab"

  expect {
    "open ones end": for each request of get open when trouble starts: completes ok within 4s
  }
}
"#;

fn run(scene: &Scene, fault: &str) -> (Ended, Value) {
    let file = scene.file("requests.chaos", SCENARIO.replace("FAULT", fault));
    let ended = scene.call(&["run", &file]);
    scene.assert_as_before();
    assert!(ended.said("everything is as it was"), "{ended}");
    let record = ended.record();
    assert_eq!(record["exercised"]["trouble"], true, "{ended}");
    let judged = record["expectations"][0].clone();
    (ended, judged)
}

#[test]
fn requests_that_are_open_when_a_delay_begins_complete_ok() {
    let Some(scene) = Scene::lab() else { return };
    let (ended, judged) = run(&scene, "delay 50ms on api to client");
    ended.exits(0).says("PASSED").says("open ones end");
    assert_eq!(judged["verdict"]["verdict"], "passed", "{judged:#}");
    // At 40 a second, each of which takes 400 ms, some 16 are open: not one, and not those that came later.
    let measured = judged["measured"].as_str().unwrap();
    let open: u32 = measured.split(' ').next().unwrap().parse().unwrap();
    assert!((2..=60).contains(&open) && measured.contains("open when trouble starts"), "{judged:#}");
}

#[test]
fn requests_that_a_block_cuts_off_do_not_complete_and_the_clause_is_named() {
    let Some(scene) = Scene::lab() else { return };
    let (ended, judged) = run(&scene, "block api to client drop");
    let ended = ended.exits(1).says("FAILED").says("open ones end");
    assert_eq!(judged["verdict"]["verdict"], "failed", "{judged:#}");
    let line = SCENARIO.lines().position(|line| line.contains("completes ok")).unwrap() + 1;
    assert!(
        ended.stderr.contains(&format!("requests.chaos:{line}:")),
        "the clause is not underlined: {ended}"
    );
    let report = std::fs::read_to_string(ended.kept().join("report.md")).unwrap();
    assert!(report.contains("open ones end") && report.contains("trouble starts"), "{report}");
}
