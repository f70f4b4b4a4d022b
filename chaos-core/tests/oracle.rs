//! The statistics behind verdicts against scipy, statsmodels and numpy, on random inputs.
//!
//! Skipped, with the reason, where PyPI cannot be reached and they were not installed before.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use chaos_core::verdict::{
    binomial::binomial_cdf,
    holm::holm,
    proportion::{Trials, clopper_pearson, samples_to_confirm, wilson},
    quantile::{Distribution, Method, bound_ranks, correlation_time, difference, least_samples},
    rate::garwood,
    sequential::{confidence_sequence, mixture_evidence, spent},
};
use serde_json::{Value, json};

/// How many cases there are of each kind.
const CASES: u64 = 200;

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 11
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.next() as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Small numbers as often as large ones.
    fn size(&mut self, most: f64) -> u64 {
        (self.share() * most.ln()).exp() as u64
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    fn tail(&mut self) -> f64 {
        self.of(&[0.05, 0.025, 0.01, 0.1, 0.005])
    }

    fn quantile(&mut self) -> f64 {
        self.of(&[0.5, 0.9, 0.95, 0.99, 0.999, 0.05, 0.25, 0.75])
    }

    /// Independent values of a long-tailed latency, in no order.
    fn values(&mut self, n: u64) -> Vec<f64> {
        (0..n).map(|_| 10.0 + 5.0 * -(1.0 - self.share()).ln()).collect()
    }
}

fn cases() -> Vec<Value> {
    let mut random = Random(20_260_101);
    let mut cases = Vec::new();
    for case in 0..CASES {
        let r = &mut random;
        let (n, q, tail) = (1 + r.size(1e6), r.quantile(), r.tail());
        let (l, u) = bound_ranks(n, q, tail);
        cases.push(json!({ "kind": "ranks", "n": n, "q": q, "tail": tail, "ours": [l, u] }));
        let (n, p) = (1 + r.size(1e6), r.share());
        let k = if case % 2 == 0 { r.below(n + 1) } else { (n as f64 * p) as u64 };
        let ours = binomial_cdf(k, n, p);
        cases.push(json!({ "kind": "binomial", "k": k, "n": n, "p": p, "ours": ours, "tolerance": 1e-9 }));
        let (n, tail) = (1 + r.size(1e6), r.tail());
        let k = if case % 3 == 0 { n - r.below(n.min(5)) } else { r.below(n + 1) };
        let ours = clopper_pearson(k as f64, n as f64, tail);
        cases.push(
            json!({ "kind": "clopper-pearson", "k": k, "n": n, "tail": tail, "ours": [ours.lo, ours.hi] }),
        );
        let ours = wilson(k as f64, n as f64, tail);
        cases.push(json!({ "kind": "wilson", "k": k, "n": n, "tail": tail, "ours": [ours.lo, ours.hi] }));
        let k = r.size(1e5) - 1;
        let ours = garwood(k, tail);
        cases.push(json!({ "kind": "garwood", "k": k, "tail": tail, "ours": [ours.lo, ours.hi] }));
        let (n1, n2) = (2 + r.size(1e5), 2 + r.size(1e5));
        let (k1, k2) = (r.below(n1 + 1), r.below(n2 + 1));
        let estimate = |k: u64, n: u64| Trials::independent(k, n - k).wilson(tail).expect("there are some");
        let ours = difference(&estimate(k1, n1), &estimate(k2, n2), Method::Mover).bounds;
        cases.push(json!({
            "kind": "newcombe", "k1": k1, "n1": n1, "k2": k2, "n2": n2, "tail": tail, "ours": [ours.lo, ours.hi]
        }));
        let (trials, p) = (1 + r.size(1e5), 0.001 + 0.998 * r.share());
        let hits = if case % 4 == 0 { 0 } else { r.below(trials + 1) };
        let ours = mixture_evidence(hits, trials, p);
        cases.push(json!({ "kind": "evidence", "hits": hits, "trials": trials, "p": p, "ours": ours, "tolerance": 1e-7 }));
        let ours = confidence_sequence(hits, trials, tail);
        cases.push(json!({
            "kind": "sequence", "hits": hits, "trials": trials, "alpha": tail, "ours": [ours.lo, ours.hi], "tolerance": 1e-7
        }));
        let p: Vec<f64> = (0..1 + r.below(12)).map(|_| r.share().powi(1 + (case % 5) as i32)).collect();
        let ours = holm(&p, tail);
        cases.push(json!({ "kind": "holm", "p": p, "alpha": tail, "ours": ours }));
        let (alpha, elapsed) = (tail, 0.01 + 0.99 * r.share());
        cases.push(
            json!({ "kind": "spent", "alpha": alpha, "elapsed": elapsed, "ours": spent(alpha, elapsed) }),
        );
        let sticky = 1 + r.below(40);
        let mut hit = false;
        let indicator: Vec<bool> = (0..20 + r.below(1500))
            .map(|_| {
                hit ^= r.below(sticky) == 0;
                hit
            })
            .collect();
        let ours = correlation_time(&indicator);
        let indicator: Vec<u8> = indicator.into_iter().map(u8::from).collect();
        cases.push(json!({ "kind": "correlation", "indicator": indicator, "ours": ours }));
        let (share, failures) = (1.0 - r.of(&[0.05, 0.01, 0.001, 0.2]), r.below(20));
        let n = samples_to_confirm(share, failures, tail).expect("it can be confirmed");
        cases.push(json!({
            "kind": "confirm", "share": share, "failures": failures, "alpha": tail, "n": n, "ours": true
        }));
        let q = r.quantile();
        cases.push(json!({ "kind": "least", "q": q, "tail": tail, "ours": least_samples(q, tail) }));
        let n = 1 + r.size(1000.0);
        let values = r.values(n);
        let ours = Distribution::measured(values.iter().copied()).quantile(q).expect("there are some").lo;
        cases.push(json!({ "kind": "quantile", "values": values, "q": q, "ours": ours }));
    }
    // Of independent values some look alike by chance, and count as fewer; those that do not are compared.
    let mut compared = 0;
    while compared < CASES {
        let r = &mut random;
        let (q, tail) = (r.of(&[0.5, 0.9, 0.95, 0.99]), r.of(&[0.05, 0.1, 0.025]));
        let (one, other) = (60 + r.below(900), 60 + r.below(900));
        let (one, other) = (r.values(one), r.values(other));
        let of = |values: &[f64]| Distribution::measured(values.iter().copied());
        let alike = |values: &[f64]| of(values).effective_samples(q) < values.len() as f64;
        if alike(&one) || alike(&other) {
            continue;
        }
        compared += 1;
        let estimate = |values: &[f64]| of(values).estimate(q, tail).expect("there are some");
        let ours = difference(&estimate(&one), &estimate(&other), Method::Mover);
        cases.push(json!({
            "kind": "difference", "one": one, "other": other, "q": q, "tail": tail,
            "ours": [ours.value.lo, ours.bounds.lo, ours.bounds.hi]
        }));
    }
    cases
}

#[test]
fn the_statistics_agree_with_other_implementations() {
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle");
    let found = Command::new(oracle.join("python")).output().expect("the script runs");
    if !found.status.success() {
        println!("skipped: no oracle for statistics: {}", String::from_utf8_lossy(&found.stderr).trim());
        return;
    }
    let python = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    let cases = cases();
    let mut child = Command::new(python)
        .arg(oracle.join("statistics.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut input = child.stdin.take().expect("it was piped");
    let text = serde_json::to_string(&cases).expect("numbers are JSON");
    // Its answer is short, so that writing all of this first cannot wait for it.
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the oracle failed: {}", String::from_utf8_lossy(&output.stdout));
    let said: Value = serde_json::from_slice(&output.stdout).expect("it answers in JSON");
    println!("compared: {}", said["compared"]);
    assert_eq!(said["count"], 0, "{:#}", said["wrong"]);
    let kinds = said["compared"].as_object().expect("counts by kind");
    assert_eq!(kinds.len(), 15, "{kinds:?}");
    assert!(kinds.values().all(|n| n.as_u64() == Some(CASES)), "{kinds:?}");
}
