//! Short experiments, and short variants of the ones that come with the project.

use std::fs;

use crate::binary::repository;

/// A client, a server and a delay between them, in a lab; it passes.
///
/// What it claims of the latency holds and fails by physics, however busy the machine is: hence `observed`.
pub const LAB: &str = r#"experiment "20ms more cost nothing but time" {
  hypothesis "a little distance loses no request"

  lab {
    host client
    host api { run http port 8080 }
  }

  probe get = http GET "http://api:8080/" from client { connections reuse 20, rate 100/s, timeout 2s }

  steady state over 1s {
    success(get) >= 90%
  }

  fault far = delay 20ms on api to client

  timeline {
    baseline 2s
    inject   far
    hold     3s
    rollback
    watch    2s
  }

  abort never because "nobody else is in this lab"

  expect {
    "nothing is lost": success(get) >= 90% during far
    "the way is far":  p50(get.latency) >= 15ms during far observed
  }
}
"#;

/// The same on a network namespace of this machine, which [`Network`](crate::Network) makes; it passes.
pub const MACHINE: &str = r#"experiment "20ms more cost nothing but time" {
  owner      "team-platform"
  impact     "none: nobody else is in this namespace"
  hypothesis "a little distance loses no request"

  scope {
    target box = netns "BOX"
  }

  blast radius {
    at most 1 hosts
  }

  probe get = http GET "http://10.88.0.2:8080/" from box { connections reuse 20, rate 100/s, timeout 2s }

  steady state over 1s {
    success(get) >= 90%
  }

  fault far = delay 20ms on box

  timeline {
    baseline 2s
    inject   far
    hold     3s
    rollback
    watch    2s
  }

  abort when success(get, over 2s) < 1% for 60s

  expect {
    "nothing is lost": success(get) >= 90% during far
    "the way is far":  p50(get.latency) >= 15ms during far observed
  }
}
"#;

/// Replaces parts of a text, each of which must be there.
#[track_caller]
pub fn changed(text: &str, changes: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "`{old}` is not there to be replaced by `{new}` in\n{text}");
        text = text.replace(old, new);
    }
    text
}

/// Returns the experiment on a namespace, with changes.
#[track_caller]
pub fn machine(namespace: &str, changes: &[(&str, &str)]) -> String {
    changed(&changed(MACHINE, changes), &[("BOX", namespace)])
}

/// Returns a scenario that comes with the project, with changes.
#[track_caller]
pub fn shipped(name: &str, changes: &[(&str, &str)]) -> String {
    let path = repository().join("scenarios").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    changed(&text, changes)
}

/// The quickstart in a few seconds, with room for a busy machine.
const QUICKSTART: [(&str, &str); 9] = [
    ("steady state over 4s", "steady state over 2s"),
    ("p95(shop.latency) <= 50ms", "p95(shop.latency) <= 400ms"),
    ("rate        100/s", "rate        150/s"),
    ("baseline 8s", "baseline 4s"),
    ("hold     12s", "hold     4s"),
    ("watch    8s", "watch    5s"),
    ("baseline + 10ms during", "baseline + 40ms during"),
    ("baseline + 20ms within 5s", "baseline + 100ms within 3s"),
    ("success(shop) >= 99%", "success(shop) >= 97%"),
];

/// The quickstart that fails, the same.
const QUICKSTART_FAILS: [(&str, &str); 7] = [
    ("steady state over 3s", "steady state over 2s"),
    ("p95(shop.latency) <= 50ms", "p95(shop.latency) <= 400ms"),
    ("= 100ms in", "= 400ms in"),
    ("rate        100/s", "rate        150/s"),
    ("baseline 5s", "baseline 4s"),
    ("hold     8s", "hold     4s"),
    ("success(shop) >= 99%", "success(shop) >= 97%"),
];

/// Returns a scenario that comes with the project; the quickstarts shortened.
#[track_caller]
pub fn quick(name: &str) -> String {
    match name {
        "quickstart.chaos" => shipped(name, &QUICKSTART),
        "quickstart-fails.chaos" => shipped(name, &QUICKSTART_FAILS),
        other => shipped(other, &[]),
    }
}
