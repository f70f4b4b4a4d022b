use super::*;
use crate::model::Correction;

/// A run in which 600 requests fail here and there, and this many more succeed.
fn run() -> Run {
    Run::new(|t| if ((t * 100.0).round() as u32) % 20 == 7 { Reply::Failed } else { Reply::Ok(1.0) })
}

fn at_least(share: f64) -> Claim {
    during(success(None, Op::AtLeast, share), lossy())
}

fn verdicts(correction: Correction, claims: Vec<Claim>) -> Vec<Judged> {
    let mut run = run();
    run.experiment.correction = correction;
    run.experiment.expectations = claims
        .into_iter()
        .map(|claim| Expectation { name: "claim".into(), claim, span: Span::NONE })
        .collect();
    Standard::new().judge(&run.experiment, &run.view())
}

#[test]
fn several_claims_share_the_chance_of_error() {
    // 95 % of 3,000: the bound at 5 % is 94.30 %, at 2.5 % 94.16 %, at 1.67 % 94.08 %.
    let close = 0.942;
    let alone = verdicts(Correction::Holm, vec![at_least(close)]);
    assert_eq!(alone[0].verdict, Verdict::Passed);
    let apart = verdicts(Correction::None, vec![at_least(close), at_least(0.943), at_least(0.95)]);
    assert_eq!(apart[0].verdict, Verdict::Passed);
    let together = verdicts(Correction::Holm, vec![at_least(close), at_least(0.943), at_least(0.95)]);
    assert!(matches!(together[0].verdict, Verdict::Inconclusive { .. }), "{together:#?}");
    // A clear one leaves its share to the others.
    let clear = verdicts(Correction::Holm, vec![at_least(0.9), at_least(close)]);
    assert_eq!((&clear[0].verdict, &clear[1].verdict), (&Verdict::Passed, &Verdict::Passed));
    let level = |judged: &Judged| judged.findings[0].confidence.unwrap();
    assert!((level(&clear[0]) - 0.975).abs() < 1e-9 && (level(&clear[1]) - 0.95).abs() < 1e-9);
    // Failures are a family of their own.
    let failed = verdicts(Correction::Holm, vec![at_least(0.9), at_least(0.99)]);
    assert_eq!((&failed[0].verdict, &failed[1].verdict), (&Verdict::Passed, &Verdict::Failed));
}

#[test]
fn what_has_no_share_in_the_error_is_left_alone() {
    let observed = Claim::Statistic {
        comparison: success(None, Op::AtLeast, 0.95),
        during: lossy(),
        observed: true,
        confidence: None,
    };
    let own = Claim::Statistic {
        comparison: success(None, Op::AtLeast, 0.942),
        during: lossy(),
        observed: false,
        confidence: Some(0.95),
    };
    let counted =
        during(compare(metric(Function::Count, None), Op::AtLeast, constant(1.0, Unit::Count)), lossy());
    let judged = verdicts(Correction::Holm, vec![observed, own, counted, at_least(0.942)]);
    assert!(judged.iter().all(|j| j.verdict == Verdict::Passed), "{judged:#?}");
    assert_eq!(judged[0].findings[0].confidence, None);
    assert_eq!(judged[3].findings[0].confidence, Some(0.95));
}
