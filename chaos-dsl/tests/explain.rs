//! Explanations, word for word.

use chaos_core::{explain, model::Experiment, run::Policy};
use chaos_dsl::compile;
use chaos_dsl::eval::{self, Known, Setting};

fn explain(experiment: &Experiment) -> String {
    explain::explain(experiment, &Policy::default())
}

fn explained(name: &str, text: &str, set: &[String]) -> String {
    let compiled = compile(name, text, set);
    assert!(compiled.is_ok(), "{:#?}", compiled.diagnostics);
    let words = explain(&compiled.experiments[0]);
    assert_eq!(words, explain(&compiled.experiments[0]), "explaining is deterministic");
    assert!(words.lines().all(|l| l.chars().count() <= 100 && l == l.trim_end()), "{words}");
    words
}

#[test]
fn the_quickstart_reads_well() {
    let text = std::fs::read_to_string("../scenarios/quickstart.chaos").unwrap();
    insta::assert_snapshot!(explained("quickstart.chaos", &text, &["extra=200ms".into()]));
}

/// Everything that has words of its own, once.
const EVERYTHING: &str = r#"
experiment "everything that can be said" {
  owner      "team-shop"
  hypothesis "all of it can be explained"
  impact     "none"
  tags       all

  lab {
    host client 2
    host gw     { run gateway port 80 to api:8080 { timeout 200ms, retries 2 } }
    host api 3  { run http port 8080 { status 204 } }
    host dns    { run dns }
    host db     { run "redis-server --port 6379" ready when tcp 6379 }
    link gw <-> db delay 1ms
  }

  target some = hosts api-* pick 50% up to 2

  blast radius {
    at most 3 hosts
    at most 50% of api-*
  }

  probe get = http GET "http://gw/" from client {
    connections fresh
    rate        50/s
    timeout     500ms
    ok when status in [200, 204] and not body contains "error"
    label by = header "x-served-by"
  }
  probe db = tcp "db:6379" from client-1 { rate 20/s }
  probe name = dns A "api" from client-1 { rate 5/s }

  steady state over 10s {
    success(get) >= 90%
    p50(get.latency) <= 100ms and errors(db) <= 5%
  }

  fault slow = delay 100ms jitter 20ms correlation 25% distribution normal and loss 5% in bursts of 8 packets on some {
    proven by p50(get.latency) >= baseline + 20ms
  }
  fault worse  = reorder 5% and duplicate 1% and corrupt 0.1% and bandwidth 1mbit on gw to api:8080 protocol tcp
  fault closed = block db to client new reject
  fault alone  = partition api-1 from api-2
  fault deaf   = loss 100% on api-3 from [10.0.0.0/8, fd71::/64]:443 port 8080, 9000-9100

  timeline {
    baseline 20s
    inject   slow
    hold     30s
    inject   worse
    inject   closed
    inject   alone
    inject   deaf
    hold     30s
    rollback worse
    rollback
    watch    5s
  }

  abort when (success(get, over 4s) < 50% for 2s) or not (p99(get.latency, over 10s) < 2s)
  judge at 90%

  expect {
    "one":   success(get where by = "api-1") >= 99% during slow
    "two":   p95(get.latency) <= 1.5 x baseline during fault
    "three": always errors(get, over 2s) < 50% during slow
    "four":  never max(get.latency, over 2s) >= 2s for 1s during whole run
    "five":  eventually p50(get.latency, over 2s) >= 100ms within 10s during slow
    "six":   success(db, over 2s) >= 99% within 4s after slow starts
    "seven": stops errors(get, over 1s) > 1% within 2s after rollback
    "eight": success(get, over 1s) >= 50% for 2s after slow ends
    "nine":  p95(get.latency, over 1s) settles to <= baseline + 20ms within 2s for 1s after rollback
    "ten":   (count(get) >= 100 during slow observed) and (success(get) >= baseline - 1pp during slow)
  }

  evidence { kernel, logs of api }
}
"#;

#[test]
fn every_part_has_words() {
    insta::assert_snapshot!(explained("everything.chaos", EVERYTHING, &[]));
}

/// Claims that speak of other claims, of many things, of two metrics or of single requests.
const FORMS: &str = r#"
experiment "every form of a claim" {
  hypothesis "each says what it takes"

  lab {
    host client
    host api 3 { run http port 8080 }
  }

  target some = hosts api-* pick 2

  probe get = http GET "http://api:8080/" from client {
    connections fresh
    rate        20/s
    timeout     500ms
    label by = header "x-served-by"
  }
  probe other = http GET "http://api:8080/" from client { connections fresh, rate 50/s }

  steady state over 10s { success(get) >= 90% }

  fault slow = delay 100ms on api-1

  timeline {
    baseline 2m
    inject   slow
    hold     15m
    rollback
    watch    1m
  }

  abort when confident errors(get) > 5%
  abort when rate(get, over 10s) > 1.2 x rate(other, over 10s) + 5/s for 10s
  judge at 95% with holm

  expect {
    "one":   given p50(get.latency) >= baseline + 50ms during slow: success(other) >= 99% during slow
    "two":   for each h in some: success(get where by = h) >= 99% during slow
    "three": for each h in api when slow starts: p50(get.latency where by = h, over 10s) <= 500ms within 30s
    "four":  for each request of get open when slow starts: completes ok within 5s
    "five":  stays success(get, over 5s) >= 80% for 10m after slow starts
    "six":   always success(get, over 5s) >= 99% unless errors(other, over 5s) > 5% for 2s during slow
    "seven": rate(get) <= 1.2 x rate(other) + 5/s during slow
    "eight": always success(get, over 5s) >= success(other, over 5s) - 1pp during slow
    "nine":  p95(get.latency) <= 120% of p95(other.latency) during slow with 99% confidence
  }
}
"#;

#[test]
fn every_form_of_a_claim_says_what_it_takes() {
    insta::assert_snapshot!(explained("forms.chaos", FORMS, &[]));
}

#[test]
fn a_machine_has_no_lab_around_it() {
    let text = r#"experiment "on this machine" {
  owner      "team-shop"
  hypothesis "a lost packet costs time, not a request"
  blast radius { at most 1 host }
  probe get = tcp "10.0.0.1:80" { rate 20/s }
  steady state over 5s { success(get) >= 99% }
  fault lossy = loss 5% on process "nginx" to 10.0.0.1:80 both
  duration 1m
  abort when success(get, over 10s) < 50%
  expect { "fine": success(get) >= 90% during lossy }
}
"#;
    insta::assert_snapshot!(explained("machine.chaos", text, &[]));
}

#[test]
fn a_plain_timeline_injects_what_stands_in_the_experiment() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("library.chaos"),
        "fault far  = delay 100ms on api\nfault gone = loss 100% on api\n",
    )
    .unwrap();
    let file = folder.path().join("own.chaos");
    let text = r#"use "library.chaos"
fault beside = loss 1% on api
experiment "own" {
  hypothesis "what was not asked for does not happen"
  lab {
    host client
    host api { run http port 8080 }
  }
  probe get = http GET "http://api:8080/" from client { connections fresh }
  steady state over 5s { success(get) >= 90% }
  fault lossy = loss 5% on api
  duration 30s
  expect { "fine": success(get) >= 50% during fault }
}
"#;
    std::fs::write(&file, text).unwrap();
    let compiled = chaos_dsl::compile_file(&file, &chaos_dsl::Given::default());
    assert!(compiled.is_ok(), "{:#?}", compiled.diagnostics);
    let experiment = &compiled.experiments[0];
    let injected = |name: &str| !experiment.timeline.held(name).is_zero();
    let of_all = experiment.faults.iter().map(|f| (f.name.as_str(), injected(&f.name)));
    assert_eq!(
        of_all.collect::<Vec<_>>(),
        [("far", false), ("gone", false), ("beside", false), ("lossy", true)]
    );
    let words = explain(experiment);
    assert!(words.contains("inject lossy: loss 5% on api"), "{words}");
    assert!(words.contains("and not injected in this experiment: far, gone, beside."), "{words}");
    assert!(!words.contains("inject far"), "{words}");
    // Another timeline may take them.
    let steps = "timeline { baseline 10s, inject gone, hold 30s, rollback, watch 10s }";
    std::fs::write(&file, text.replace("duration 30s", steps)).unwrap();
    let compiled = chaos_dsl::compile_file(&file, &chaos_dsl::Given::default());
    assert!(compiled.is_ok(), "{:#?}", compiled.diagnostics);
    assert!(explain(&compiled.experiments[0]).contains("experiment: far, beside, lossy."));
}

/// The formulas of an explanation, each put together again.
fn formulas(explained: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut inside = false;
    for line in explained.lines() {
        if let Some(start) = line.strip_prefix("    formula  ") {
            found.push(start.to_owned());
            inside = true;
        } else if let Some(more) = line.strip_prefix("             ").filter(|_| inside) {
            let formula = found.last_mut().expect("a formula has begun");
            formula.push(' ');
            formula.push_str(more);
        } else {
            inside = false;
        }
    }
    found
}

/// What stands in the place of the metrics, the phases and the events of an explanation.
fn setting(signals: &[&str]) -> Setting {
    let mut setting = Setting::new(signals.iter().map(|name| Known::number(*name)), 0);
    setting
        .add_phases("baseline=10s..30s,slow=30s..90s,closed=60s..90s,watch=90s..120s")
        .expect("phases are written so");
    setting
}

#[test]
fn what_is_explained_can_be_evaluated() {
    let formulas = formulas(&explained("everything.chaos", EVERYTHING, &[]));
    assert_eq!(formulas.len(), 10, "{formulas:#?}");
    let setting = setting(&[
        "errors(get, over 2s)",
        "max(get.latency, over 2s)",
        "p50(get.latency, over 2s)",
        "success(db, over 2s)",
        "errors(get, over 1s)",
        "success(get, over 1s)",
    ]);
    let mut read = 0;
    for formula in &formulas {
        match eval::compile(formula, &setting) {
            Ok(question) => {
                // But for what its instants are called, it is the same again.
                let written = question.notation();
                let before = |text: &str| text.split_once(" @ ").map(|(formula, _)| formula.to_owned());
                assert_eq!(before(formula), before(&written), "{formula}");
                read += 1;
            }
            // One number of a phase, and what is measured against the baseline of a run, is more than recorded signals say.
            Err(diagnostics) => {
                assert!(
                    formula.contains("baseline") || !formula.contains("over "),
                    "{formula}: {diagnostics:#?}"
                )
            }
        }
    }
    assert_eq!(read, 6, "{formulas:#?}");
}

#[test]
fn a_cluster_is_named_by_what_it_is() {
    let text = r#"
experiment "the shop rides out loss" {
  owner      "team-shop"
  hypothesis "a lost packet costs time, not a request"

  scope {
    cluster   "staging" uid "3f2a7c1e-0000-4000-8000-000000000000"
    namespace "shop"
    target gen = pods where app = "loadgen" and not tier in ["canary", "old"] pick 1 per node
    target api = pods of deployment "api" pick 50% up to 3
  }

  blast radius {
    at most 3 pods
    at most 50% of service "api"
  }

  probe get = http GET "http://api/" from each gen { connections fresh }
  probe out = http GET "http://shop.example/" from here { connections fresh }

  steady state over 5s { success(get) >= 99% }

  fault lossy = loss 5% on gen to service "db" in "data":5432

  duration 30s

  abort when success(get, over 4s) < 50% for 2s

  expect { "nothing lost": success(get) >= 99% during lossy }
}
"#;
    insta::assert_snapshot!(explained("cluster.chaos", text, &[]));
}
