//! Claims that speak of other claims, of many hosts and of two metrics, judged on a real run.

use chaos_tests::{Chaos, World, lab_or_skip, slot};

const FORMS: &str = r#"experiment "every form of a claim" {
  hypothesis "each is judged on what was measured"

  lab {
    host client
    host api 3 { run http port 8080 { work 2ms } }
  }

  probe get = http GET "http://api:8080/" from client {
    connections fresh
    rate        60/s
    timeout     2s
    label peer = header "x-served-by"
  }
  probe long = http GET "http://api:8080/" from client { connections fresh, rate 20/s, timeout 2s }

  steady state over 3s { success(get) >= 99% }

  fault slow = delay 150ms on api-2

  timeline {
    baseline 8s
    inject   slow
    hold     12s
    rollback
    watch    8s
  }

  abort when confident errors(get) > 20%
  judge at 95% with holm

  expect {
    "given":   given p95(get.latency) >= baseline + 20ms during slow: success(get) >= 95% during slow
    "untested": given p50(get.latency) >= baseline + 2s during slow: success(get) >= 95% during slow
    "each":    for each h in api: p95(get.latency where peer = h) <= 100ms during slow
    "stays":   stays success(get, over 2s) >= 90% for 8s after slow starts
    "unless":  always success(get, over 2s) >= 90% unless errors(long, over 2s) > 50% during slow
    "rates":   rate(long) <= 0.5 x rate(get) during slow
    "alike":   p50(long.latency) <= 3 x p50(get.latency) + 200ms during slow
    "sure":    success(get) >= 90% during slow with 99% confidence
  }
}
"#;

#[test]
fn every_form_of_a_claim_is_judged_on_a_real_run() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let file = chaos.file("forms.chaos", FORMS);
    let ended = chaos.call(&["run", &file]).exits(1).says("worst miss: `each`");
    before.assert_same(&chaos, &[]);
    let ended = ended
        .says("together, by Holm's correction")
        .says("given that p95(get.latency) was")
        .says("not exercised: the precondition");
    let record = ended.record();
    let verdict =
        |n: usize| record["expectations"][n]["verdict"]["verdict"].as_str().unwrap_or_default().to_owned();
    let verdicts: Vec<String> = (0..8).map(verdict).collect();
    assert_eq!(
        verdicts,
        ["passed", "inconclusive", "failed", "passed", "passed", "passed", "passed", "passed"],
        "{:#}",
        record["expectations"]
    );
    assert_eq!(record["expectations"][2]["findings"][0]["key"], "api-2", "{record}");
    assert_eq!(record["result"]["closest"]["expectation"], "each", "{record}");
}
