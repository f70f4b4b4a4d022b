//! Abort conditions that weigh evidence, beside those that believe every window.

use chaos_tests::{Ended, Scene};

/// `HOLD` and `GUARD` are what differs. The block makes every request fail while it is in place.
const SCENARIO: &str = r#"experiment "a guard that must be sure" {
  hypothesis "it fires when it is, and not before"

  lab {
    host client
    host api { run http port 8080 }
  }

  probe get = http GET "http://api:8080/" from client { connections fresh, rate RATE, timeout 300ms }

  steady state over 1s {
    success(get) >= 90%
  }

  fault cut = block api to client drop

  timeline {
    baseline 2s
    inject   cut
    hold     HOLD
    rollback
    watch    2s
  }

  abort when GUARD

  expect {
    "some are answered": count(get) >= 1 during whole run observed
  }
}
"#;

fn run(scene: &Scene, rate: &str, hold: &str, guard: &str) -> Ended {
    let text = SCENARIO.replace("RATE", rate).replace("HOLD", hold).replace("GUARD", guard);
    let file = scene.file("guard.chaos", text);
    let ended = scene.call(&["run", &file]);
    scene.assert_as_before();
    scene.call(&["restore"]).exits(0).says("nothing to do");
    ended
}

#[test]
fn a_confident_guard_that_is_sure_aborts_and_everything_is_put_back() {
    let Some(scene) = Scene::lab() else { return };
    let ended = run(&scene, "50/s", "30s", "confident errors(get) > 20%").exits(4);
    let ended = ended
        .says("ABORTED")
        .says("`confident errors(get) > 20%` came true")
        .says("more than 20% with 99% confidence")
        .says("everything is as it was");
    let record = ended.record();
    assert_eq!(record["abort"]["kind"], "condition", "{ended}");
    assert_eq!(record["abort"]["condition"], "confident errors(get) > 20%", "{ended}");
    assert_eq!(record["restoration"]["state"], "restored", "{ended}");
    assert!(ended.took.as_secs() < 30, "the hold was not cut short: {ended}");
    let report = std::fs::read_to_string(ended.kept().join("report.md")).unwrap();
    assert!(report.contains("confident errors(get) > 20%") && report.contains("99% confidence"), "{report}");
}

#[test]
fn a_blip_of_few_requests_makes_a_literal_guard_fire_and_not_one_that_must_be_sure() {
    let Some(scene) = Scene::lab() else { return };
    // Four or five requests fail: of the window that is most of them, and as evidence it is little.
    let literal = run(&scene, "4/s", "1s", "errors(get, over 1s) > 20%").exits(4).says("ABORTED");
    assert_eq!(literal.record()["abort"]["condition"], "errors(get, over 1s) > 20%", "{literal}");
    let confident = run(&scene, "4/s", "1s", "confident errors(get) > 20%").exits(0).says("PASSED");
    let record = confident.record();
    assert!(record["abort"].is_null(), "{confident}");
    assert_eq!(record["exercised"]["cut"], true, "the blip was felt: {confident}");
}
