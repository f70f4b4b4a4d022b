use super::records;
use crate::{
    judge::finding::{Closest, Finding},
    model::{Correction, Unit},
    outcome::result,
    report::{junit, markdown, text},
    run::Record,
    verdict::{Interval, Outcome},
};

fn finding(claim: &str, margin: f64, normalised: f64) -> Finding {
    Finding {
        claim: claim.into(),
        confidence: Some(0.95),
        margin: Some(Interval::exactly(margin)),
        normalised: Some(normalised),
        ..Finding::of(Outcome::decided(margin >= 0.0), Unit::Seconds)
    }
}

fn closely_decided() -> Record {
    let mut record = records::passed();
    record.expectations[0].findings = vec![finding("p95(shop.latency) <= 1s during slow", 0.4, 0.4)];
    let mut signal = finding("always success(shop, over 2s) >= 99% during slow", 0.0, 0.12);
    signal.closest = Some(Closest {
        comparison: "success(shop, over 2s) >= 99%".into(),
        at: 12_300_000_000,
        margin: 0.0012,
        unit: Unit::Points,
        normalised: 0.12,
    });
    let mut first = finding("p50(shop.latency) >= 1s during slow", -9.0, -9.0);
    first.precondition = true;
    record.expectations[1].findings = vec![first, signal];
    record.expectations[1].findings[1].remarks = vec!["the baseline drifted: from a to b".into()];
    record
}

#[test]
fn the_claim_nearest_to_the_other_verdict_is_reported_everywhere() {
    let record = closely_decided();
    let closest = result(&record).closest.unwrap();
    assert_eq!(
        closest.sentence,
        "`most users notice nothing`: success(shop, over 2s) >= 99% with 0.12pp to spare, 12% headroom left, 12.3s into the run"
    );
    assert_eq!((closest.at, closest.normalised), (Some(12_300_000_000), 0.12));
    let plain = text::render(&record);
    let flat = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(&format!("tightest: {}", closest.sentence)), "{plain}");
    assert!(plain.contains("! the baseline drifted: from a to b"), "{plain}");
    assert!(plain.contains("judged with 95% confidence each, without correction for several"), "{plain}");
    let shown = markdown::render(&record, None);
    assert!(shown.contains("- tightest: ") && shown.contains("the baseline drifted"), "{shown}");
    let mut out = Vec::new();
    junit::write([&record], &mut out).unwrap();
    let xml = String::from_utf8(out).unwrap();
    assert!(xml.contains("closest-call") && xml.contains("the baseline drifted: from a to b"), "{xml}");
}

#[test]
fn what_missed_by_most_and_how_sure_all_are() {
    let mut record = closely_decided();
    record.plan.experiment.correction = Correction::Holm;
    record.expectations[2].findings = vec![finding("p99(shop.latency) <= 1s during slow", -0.5, -0.5)];
    let overall = result(&record);
    assert_eq!(
        overall.closest.unwrap().sentence,
        "`comes back`: p99(shop.latency) <= 1s during slow missed by 500ms"
    );
    assert!(text::render(&record).contains("worst miss: `comes back`"));
    assert!(overall.confidence.unwrap().ends_with("by Holm's correction: all passes, and all failures"));
    // A record of an older version has no margins.
    let bare = result(&records::passed());
    assert_eq!((bare.closest, bare.confidence), (None, None));
}
