use std::time::Duration;

use super::records;
use crate::{
    judge::Samples,
    probe::{Observation, Sample},
    report::html,
};

/// Returns the page of every kind of run.
fn pages() -> Vec<(&'static str, String)> {
    let page = |(name, record)| {
        (name, html::render(&record, &records::samples(), Some("scenarios/quickstart.chaos")))
    };
    records::all().into_iter().map(page).collect()
}

#[test]
fn every_kind_of_run_is_a_page_that_needs_nothing_else() {
    for (name, page) in pages() {
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">") && page.ends_with("</html>"), "{name}");
        for foreign in
            ["<script", "<link", "<img", "<iframe", "src=", "url(", "@import", "href=", "onload", "onclick"]
        {
            assert!(!page.contains(foreign), "{name} has {foreign}");
        }
        assert!(page.contains("default-src 'none'"), "{name}");
        // Each drawing says in words what it shows.
        assert_eq!(
            page.matches("<svg").count(),
            page.matches("role=\"img\" aria-label=\"").count(),
            "{name}"
        );
        assert_eq!(page.matches("<h1").count(), 1, "{name}");
        assert!(!page.contains("NaN") && !page.contains("inf "), "{name}");
    }
}

#[test]
fn elements_are_closed_in_order() {
    const VOID: [&str; 2] = ["meta", "br"];
    for (name, page) in pages() {
        let mut open: Vec<&str> = Vec::new();
        let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
        for tag in body.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap();
            let word = tag.split_whitespace().next().unwrap();
            if let Some(closed) = word.strip_prefix('/') {
                assert_eq!(open.pop(), Some(closed), "{name}");
            } else if !VOID.contains(&word) {
                open.push(word);
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}

#[test]
fn a_page_shows_what_the_record_says() {
    let record = records::failed();
    let page = html::render(&record, &records::samples(), None);
    for judged in &record.expectations {
        assert!(page.contains(&judged.name), "{}", judged.name);
    }
    assert!(
        page.contains("does not hold")
            && page.contains("class=\"fault\"")
            && page.contains("class=\"failed\"")
    );
    insta::assert_snapshot!(page.replace("><", ">\n<"));
}

#[test]
fn markup_of_others_is_text() {
    let mut record = records::passed();
    let markup = "</title></style><script>alert(1)</script><img src=x onerror=\"x\">";
    record.plan.experiment.name.value = markup.into();
    record.plan.experiment.hypothesis = markup.into();
    record.parts[0].fault = markup.into();
    record.expectations[0].claim = markup.into();
    let page = html::render(&record, &Samples::new(), Some(markup));
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(page.matches("&lt;script&gt;").count() >= 4);
}

#[test]
fn a_hundred_thousand_samples_fit_a_megabyte() {
    let record = records::passed();
    let probe = record.plan.experiment.probes[0].name.value.clone();
    let sample = |number: i64| Sample {
        intended: number * record.ended / 100_000,
        late: Duration::ZERO,
        latency: Duration::from_micros(1000 + (number as u64 * 7919) % 5000),
        from: "client".into(),
        observation: Observation::ok(),
    };
    let samples = Samples::from([(probe, (0..100_000).map(sample).collect())]);
    let page = html::render(&record, &samples, None);
    assert!(page.len() < 300_000, "{} bytes", page.len());
}
