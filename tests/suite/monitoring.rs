//! Readings and alerts against Prometheus and Alertmanager themselves, which watch a lab from inside it.
#![expect(clippy::unwrap_used, reason = "what a test cannot read, it has not seen")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use chaos_tests::{Chaos, Ended, Loopback, Servers, World, lab_or_skip, slot};
use serde_json::Value;

/// Prometheus first looks for what it is to scrape 5 s after its start.
const WARM: &str = "ready after 7s";

/// What the rules say: one alert that this test brings about, one that chaos does, and one that nobody does.
const RULES: &str = r#"
groups:
- name: shop
  rules:
  - { alert: QueueLong, expr: sum(depth) > 20 }
  - { alert: ShopDown, expr: up == 0, for: 1s }
  - { alert: NeverHeardOf, expr: depth < 0 }
  - { alert: OnlyPending, expr: sum(depth) > 0, for: 1h }
"#;

const CONFIGURATION: &str = r#"
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [ rules.yml ]
alerting: { alertmanagers: [ { static_configs: [ { targets: [ "am:9093" ] } ] } ] }
scrape_configs: [ { job_name: shop, scrape_timeout: 500ms, static_configs: [ { targets: [ "api:9100" ] } ] } ]
"#;

/// A place with the files of all servers, and what runs them in a lab.
struct Watched {
    chaos: Chaos,
    servers: Servers,
}

impl Watched {
    fn or_skip() -> Option<Watched> {
        if !lab_or_skip() {
            return None;
        }
        let servers = Servers::or_skip()?;
        let chaos = Chaos::new();
        chaos.file("rules.yml", RULES);
        chaos.file("prometheus.yml", CONFIGURATION);
        chaos.file("am.yml", "route: { receiver: nobody }\nreceivers: [ { name: nobody } ]\n");
        let watched = Watched { chaos, servers };
        watched.expose(3);
        Some(watched)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.chaos.path().join(name)
    }

    /// Changes what the endpoint exposes: the first shard's queue, beside 4 in the second one's.
    fn expose(&self, depth: u32) {
        let next = self.path("metrics.next");
        let text = format!(
            "depth{{shard=\"a\"}} {depth}\ndepth{{shard=\"b\"}} 4\nlatency_milliseconds 125\nstrange NaN\nlarge +Inf\n"
        );
        fs::write(&next, text).unwrap();
        fs::rename(next, self.path("metrics")).unwrap();
    }

    /// Writes an experiment with the servers' command lines in place of their names.
    fn experiment(&self, text: &str) -> String {
        let endpoint =
            format!("{} metrics 9100 {}", env!("CARGO_BIN_EXE_stand-in"), self.path("metrics").display());
        let prometheus =
            self.servers.prometheus(&self.path("prometheus.yml"), &self.path("data"), "0.0.0.0:9090");
        let alertmanager = self.servers.alertmanager(&self.path("am.yml"), &self.path("am"), "0.0.0.0:9093");
        let text = text.replace("ENDPOINT", &endpoint).replace("PROMETHEUS", &prometheus);
        self.chaos.file("watched.chaos", text.replace("ALERTMANAGER", &alertmanager).replace("WARM", WARM))
    }

    /// Starts Prometheus again on what it has stored in the lab.
    fn stored(&self) -> Loopback {
        Loopback::start(&self.servers, self.chaos.path(), &self.path("data"))
    }
}

/// What came of each expectation.
fn verdicts(ended: &Ended) -> BTreeMap<String, String> {
    let record = ended.record();
    let all = record["expectations"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|one| (text(&one["name"]), text(&one["verdict"]["verdict"]))).collect()
}

#[track_caller]
fn assert_verdicts(ended: &Ended, wanted: &[(&str, &str)]) {
    let wanted = wanted.iter().map(|(name, verdict)| ((*name).to_owned(), (*verdict).to_owned())).collect();
    assert_eq!(verdicts(ended), wanted, "{ended}");
}

/// One measurement as a run keeps it.
struct Reading {
    /// From when it was due to when it was over, in seconds since 1970.
    when: (f64, f64),
    value: Option<f64>,
    error: String,
}

fn readings(ended: &Ended, probe: &str) -> Vec<Reading> {
    let started = ended.record()["started"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let started = started.as_nanosecond() as f64 / 1e9;
    let text = fs::read_to_string(ended.kept().join(format!("samples/{probe}.csv"))).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let [due, took, value, error] = ["intended_s", "latency_ms", "value", "error"].map(column);
    lines
        .map(|line| {
            // What follows the last comma that separates is text, which may hold more of them.
            let cells: Vec<&str> = line.splitn(header.len(), ',').collect();
            let due: f64 = started + cells[due].parse::<f64>().unwrap();
            Reading {
                when: (due, due + cells[took].parse::<f64>().unwrap_or(0.0) / 1e3),
                value: cells[value].parse().ok(),
                error: cells[error].to_owned(),
            }
        })
        .collect()
}

/// Compares what chaos read with what Prometheus says itself of the same instants.
fn assert_read_as_stored(stored: &Loopback, ended: &Ended, probe: &str, query: &str, unit: f64) -> Vec<f64> {
    let mut seen = Vec::new();
    for reading in readings(ended, probe) {
        // A scrape counts from when it began, and is seen once it is over.
        let instants = [reading.when.0 - 0.6, reading.when.0 - 0.3, reading.when.0, reading.when.1];
        let answers = instants.map(|at| stored.number(query, at).map(|number| number * unit));
        assert!(
            answers.contains(&reading.value),
            "{probe} at {:?}: {:?}, {answers:?}",
            reading.when,
            reading.value
        );
        match reading.value {
            Some(value) => seen.push(value),
            None => assert_eq!(reading.error, "no series matches the query"),
        }
    }
    seen.dedup();
    seen
}

/// Saves a range query of the whole run with curl, writes the same points as CSV, and evaluates formulas on both.
fn assert_same_from_csv(watched: &Watched, stored: &Loopback, ended: &Ended, step: f64, formulas: &[&str]) {
    let all = readings(ended, "depth");
    let (start, end) = (format!("{:.3}", all[0].when.0), format!("{:.3}", all[all.len() - 1].when.1));
    let asked = [("query", "depth"), ("start", &start), ("end", &end), ("step", &step.to_string())];
    let answer = stored.curl("/api/v1/query_range", &asked).unwrap();
    let series = serde_json::from_str::<Value>(&answer).unwrap()["data"]["result"].clone();
    let [a, b] = series.as_array().unwrap().as_slice() else { panic!("two shards: {answer}") };
    let points = |series: &Value| -> Vec<(i64, String)> {
        let pairs = series["values"].as_array().unwrap().iter();
        pairs
            .map(|p| ((p[0].as_f64().unwrap() * 1e3).round() as i64, p[1].as_str().unwrap().to_owned()))
            .collect()
    };
    let (a, b) = (points(a), points(b));
    let mut csv = r#"time,"depth{instance=""api:9100"", job=""shop"", shard=""a""}","depth{instance=""api:9100"", job=""shop"", shard=""b""}""#.to_owned();
    let stale = (step * 2_500.0).round() as i64;
    for (n, ((at, of_a), (_, of_b))) in a.iter().zip(&b).enumerate() {
        let since = |at: i64| (at - a[0].0) as f64 / 1e3;
        csv += &format!("\n{:.3},{of_a},{of_b}", since(*at));
        if a.get(n + 1).is_some_and(|(next, _)| next - at > stale) {
            csv += &format!("\n{:.3},,", since(at + stale));
        }
    }
    watched.chaos.file("answer.json", answer);
    watched.chaos.file("points.csv", csv + "\n");
    for formula in formulas {
        let formula = ["a", "b"].into_iter().fold((*formula).to_owned(), |text, shard| {
            let name = format!(r#""depth{{instance=\"api:9100\", job=\"shop\", shard=\"{shard}\"}}""#);
            text.replace(&shard.to_uppercase(), &name)
        });
        let [polled, written] = ["answer.json", "points.csv"].map(|file| {
            let ended = watched.chaos.call(&["eval", &formula, "--signals", file, "--json"]);
            serde_json::from_str::<Value>(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended}"))
        });
        assert_eq!(polled, written, "{formula} with a step of {step} s");
    }
}

const READINGS: &str = r#"experiment "a queue that grows" {
  hypothesis "what Prometheus knows is what is judged"

  lab {
    host client
    host api  { run "ENDPOINT" ready when tcp 9100 { as root } }
    host prom { run "PROMETHEUS" WARM { as root } }
  }

  probe depth   = prometheus "sum(depth)" at "http://prom:9090" from client { every 250ms, timeout 2s }
  probe shard   = prometheus "depth{{shard=\"a\"}}" at "http://prom:9090/" from client { every 500ms }
  probe latency = prometheus "latency_milliseconds" at "http://prom:9090" from client { every 500ms, unit ms }
  probe most    = prometheus "sum(depth)" at "http://prom:9090" from client {
    every 500ms
    take max over 3s step 1s
  }
  probe none    = prometheus "nothing" at "http://prom:9090" from client { every 500ms, default 0 }
  probe wrong   = prometheus "sum(depth" at "http://prom:9090" from client { every 500ms }
  probe many    = prometheus "depth" at "http://prom:9090" from client { every 500ms }
  probe strange = prometheus "strange" at "http://prom:9090" from client { every 500ms }
  probe large   = prometheus "large" at "http://prom:9090" from client { every 500ms }
  probe range   = prometheus "depth[1m]" at "http://prom:9090" from client { every 500ms }
  probe twins   = prometheus "sum(label_replace(depth, \"shard\", \"\", \"\", \"\"))" at "http://prom:9090" from client {
    every 500ms
  }
  alerts from prometheus "http://prom:9090" from client { every 250ms }

  steady state over 1s {
    value(depth) <= 10
    not alert "QueueLong" fires
  }

  fault slow = delay 20ms on api to prom

  timeline {
    baseline 2s
    inject   slow
    hold     5s
    rollback
    watch    5s
  }

  abort never because "nobody else is in this lab"

  expect {
    "most":     max(depth.value) >= 34 during slow
    "too much": max(depth.value) <= 33 during slow
    "last":     last(depth.value) >= 34 during slow
    "never":    never value(depth) > 10 during slow
    "grows":    value(depth) > 30 within 4s after slow starts
    "drains":   value(depth) settles to <= baseline within 4s after rollback
    "unit":     always value(latency) <= 125ms during slow
    "scaled":   always value(latency) < 125ms during slow
    "default":  always value(none) <= 0 during slow
    "infinite": always value(large) >= 1000000 during slow
    "wrong":    always value(wrong) >= 0 during slow
    "many":     always value(many) >= 0 during slow
    "strange":  max(strange.value) <= 0 during slow
    "range":    always value(range) >= 0 during slow
    "twins":    always value(twins) >= 0 during slow
    "rung":     alert "QueueLong" fires within 4s after slow starts
    "over":     stops alert "QueueLong" fires within 4s after rollback
    "unheard":  alert "NeverHeardOf" fires within 4s after slow starts
    "pending":  never alert "OnlyPending" fires during slow
  }
}
"#;

#[test]
fn what_prometheus_knows_is_what_is_judged() {
    let Some(watched) = Watched::or_skip() else { return };
    let _slot = slot();
    let before = World::of(&watched.chaos, &[]);
    let file = watched.experiment(READINGS);
    let mut running = watched.chaos.start(&["run", "--allow-exec", &file]);
    running.until_stage("hold");
    watched.expose(30);
    running.until_stage("rolling-back");
    watched.expose(3);
    let ended = running.end();
    before.assert_same(&watched.chaos, &[]);
    let ended = ended.exits(1);
    assert_verdicts(
        &ended,
        &[
            ("default", "passed"),
            ("drains", "passed"),
            ("grows", "passed"),
            ("infinite", "passed"),
            ("last", "passed"),
            ("many", "inconclusive"),
            ("most", "passed"),
            ("never", "failed"),
            ("over", "passed"),
            ("pending", "passed"),
            ("range", "inconclusive"),
            ("scaled", "failed"),
            ("strange", "inconclusive"),
            ("rung", "passed"),
            ("too much", "failed"),
            ("twins", "inconclusive"),
            ("unheard", "failed"),
            ("unit", "passed"),
            ("wrong", "inconclusive"),
        ],
    );
    // A mistake in the query is reported in the server's own words, with the claim that it leaves open.
    let record = ended.record();
    let reasons = |name: &str| {
        let all = record["expectations"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap()["verdict"]["reasons"].to_string()
    };
    for (name, words) in [
        ("wrong", "parse error: unclosed left parenthesis"),
        ("many", "the query gives 2 series"),
        ("strange", "NaN"),
        ("range", "the query gives a range"),
        ("twins", "vector cannot contain metrics with the same labelset"),
    ] {
        assert!(reasons(name).contains(words), "{name}: {}", reasons(name));
        assert!(
            readings(&ended, name).iter().all(|r| r.value.is_none() && r.error.contains(words)),
            "{name}"
        );
    }

    let stored = watched.stored();
    assert_eq!(assert_read_as_stored(&stored, &ended, "depth", "sum(depth)", 1.0), [7.0, 34.0, 7.0]);
    assert_eq!(assert_read_as_stored(&stored, &ended, "shard", r#"depth{shard="a"}"#, 1.0), [3.0, 30.0, 3.0]);
    assert_eq!(assert_read_as_stored(&stored, &ended, "latency", "latency_milliseconds", 1e-3), [0.125]);
    let most = "max_over_time(sum(depth)[3s:1s])";
    assert_eq!(assert_read_as_stored(&stored, &ended, "most", most, 1.0), [7.0, 34.0, 7.0]);
    let formulas = [
        "always[0s,2s] (A <= 3)",
        "eventually[0s,4s] (A >= 30 and B == 4)",
        "once[0s,300ms] (A > B)",
        "(A <= 10) until[0s,20s] (A == 30)",
    ];
    for step in [1.0, 0.3] {
        assert_same_from_csv(&watched, &stored, &ended, step, &formulas);
    }
}

const GONE: &str = r#"experiment "a shop that is gone" {
  hypothesis "somebody is alerted, and what is not known is not a pass"

  lab {
    host client
    host api  { run "ENDPOINT" ready when tcp 9100 { as root } }
    host am   { run "ALERTMANAGER" ready when tcp 9093 { as root } }
    host prom { run "PROMETHEUS" WARM { as root } }
  }

  probe depth   = prometheus "sum(depth)" at "http://prom:9090" from client { every 250ms, timeout 2s }
  probe counted = prometheus "sum(depth)" at "http://prom:9090" from client { every 250ms, default 0 }
  probe up      = prometheus "up" at "http://prom:9090" from client { every 250ms }
  alerts from alertmanager "http://am:9093" from client { every 250ms, timeout 2s }

  steady state over 1s {
    value(depth) >= 1
    not alert "ShopDown" fires
  }

  fault cut = block prom to api:9100 drop

  timeline {
    baseline 2s
    inject   cut
    hold     7s
    rollback
    watch    5s
  }

  abort never because "nobody else is in this lab"

  expect {
    "rung":    alert "ShopDown" fires within 6s after cut starts
    "quiet":   never alert "ShopDown" fires during cut
    "over":    stops alert "ShopDown" fires within 4s after rollback
    "unheard": alert "NeverHeardOf" fires within 6s after cut starts
    "pending": never alert "OnlyPending" fires during cut
    "down":    value(up) <= 0 within 4s after cut starts
    "stale":   always value(depth) >= 1 during cut
    "chosen":  value(counted) <= 0 within 4s after cut starts
    "back":    value(depth) >= 7 within 4s after rollback
  }
}
"#;

#[test]
fn alertmanager_tells_of_a_target_that_is_gone() {
    let Some(watched) = Watched::or_skip() else { return };
    let _slot = slot();
    let before = World::of(&watched.chaos, &[]);
    let file = watched.experiment(GONE);
    let ended = watched.chaos.call(&["run", "--allow-exec", &file]);
    before.assert_same(&watched.chaos, &[]);
    let ended = ended.exits(1);
    assert_verdicts(
        &ended,
        &[
            ("back", "passed"),
            ("chosen", "passed"),
            ("down", "passed"),
            ("over", "passed"),
            ("pending", "passed"),
            ("quiet", "failed"),
            ("stale", "inconclusive"),
            ("rung", "passed"),
            ("unheard", "failed"),
        ],
    );
    ended.clone().says("readings of `depth` could not be taken: no series matches the query");
    let stored = watched.stored();
    assert_eq!(assert_read_as_stored(&stored, &ended, "depth", "sum(depth)", 1.0), [7.0]);
    assert_eq!(assert_read_as_stored(&stored, &ended, "up", "up", 1.0), [1.0, 0.0, 1.0]);
    let formulas = ["always[0s,1s] (A >= 1)", "eventually[0s,5s] (A > B)", "historically[0s,2s] (A <= B)"];
    assert_same_from_csv(&watched, &stored, &ended, 1.0, &formulas);
}

const SILENT: &str = r#"experiment "nobody can be asked" {
  hypothesis "an alert is never quiet because its server is"

  lab {
    host client
    host am { run "ALERTMANAGER" ready when tcp 9093 { as root } }
  }

  probe dial = tcp "am:9093" from client { rate 5/s, timeout 500ms }
  alerts from alertmanager "http://am:9093" from client { every 250ms, timeout 500ms }

  steady state over 1s {
    not alert "ShopDown" fires
  }

  fault cut = block client to am:9093 drop

  timeline {
    baseline 1s
    inject   cut
    hold     3s
    rollback
    watch    2s
  }

  abort never because "nobody else is in this lab"

  expect {
    "before": never alert "ShopDown" fires during baseline
    "quiet":  never alert "ShopDown" fires during cut
    "rung":   alert "ShopDown" fires within 2s after cut starts
  }
}
"#;

#[test]
fn an_alert_is_never_quiet_because_its_server_is() {
    let Some(watched) = Watched::or_skip() else { return };
    let _slot = slot();
    let before = World::of(&watched.chaos, &[]);
    let file = watched.experiment(SILENT);
    let ended = watched.chaos.call(&["run", "--allow-exec", &file]).exits(3);
    let wanted = [("before", "passed"), ("quiet", "inconclusive"), ("rung", "inconclusive")];
    assert_verdicts(&ended, &wanted);
    // Where nobody listens at all, nothing is broken to begin with.
    let file = watched.experiment(&SILENT.replace("http://am:9093", "http://am:9094"));
    let refused = watched.chaos.call(&["run", "--allow-exec", &file]).exits(5).injected_nothing();
    refused.says("whether alert \"ShopDown\" fires is not known").says("connection refused");
    before.assert_same(&watched.chaos, &[]);
}
