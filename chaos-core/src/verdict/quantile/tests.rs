use proptest::prelude::*;

use super::super::confidence::Outcome;
use super::*;

const CONFIDENT: Confidence = Confidence { alpha: 0.05 };

#[test]
fn the_quantile_is_a_measured_value() {
    let samples = Distribution::measured([50.0, 15.0, 40.0, 20.0, 35.0]);
    let values = [0.25, 0.4, 0.5, 0.95].map(|q| samples.quantile(q).unwrap().lo);
    assert_eq!(values, [20.0, 20.0, 35.0, 50.0]);
    assert_eq!(Distribution::default().quantile(0.5), None);
}

#[test]
fn ranks_of_two_sided_bounds() {
    let table = [
        (100, 0.5, 40, 61, 0.964_800),
        (100, 0.95, 90, 100, 0.982_607),
        (200, 0.95, 184, 197, 0.967_152),
        (500, 0.95, 465, 485, 0.960_499),
        (1000, 0.95, 936, 964, 0.958_095),
        (1000, 0.99, 983, 997, 0.976_095),
        (10_000, 0.999, 9983, 9997, 0.975_457),
    ];
    for (n, q, l, u, coverage) in table {
        assert_eq!(bound_ranks(n, q, 0.025), (l, u), "n {n} q {q}");
        let covered = binomial_cdf(u - 1, n, q) - binomial_cdf(l - 1, n, q);
        assert!((covered - coverage).abs() < 1e-6, "n {n} q {q}: {covered}");
    }
    assert_eq!(bound_ranks(50, 0.95, 0.025), (44, 51));
    assert_eq!(bound_ranks(3000, 0.999, 0.025), (2993, 3001));
    assert_eq!(bound_ranks(0, 0.5, 0.05), (0, 1));
}

#[test]
fn ranks_of_pairs_of_one_sided_bounds() {
    let table = [
        (100, 0.95, 91, 99),
        (200, 0.95, 185, 196),
        (500, 0.95, 467, 484),
        (1000, 0.95, 938, 962),
        (1000, 0.99, 985, 996),
    ];
    for (n, q, l, u) in table {
        assert_eq!(bound_ranks(n, q, 0.05), (l, u), "n {n} q {q}");
    }
}

#[test]
fn the_least_samples_for_a_bound() {
    let table = [(0.5, 5, 6), (0.9, 29, 36), (0.95, 59, 72), (0.99, 299, 368), (0.999, 2995, 3688)];
    for (q, one_sided, two_sided) in table {
        assert_eq!(least_samples(q, 0.05), one_sided, "{q}");
        assert_eq!(least_samples(q, 0.025), two_sided, "{q}");
        assert_eq!(least_samples(1.0 - q, 0.05), one_sided, "{q}");
        assert_eq!(bound_ranks(one_sided, q, 0.05).1, one_sided);
        assert_eq!(bound_ranks(one_sided - 1, q, 0.05).1, one_sided);
    }
}

/// The values of the ranks 1 to 200 in an order without correlation: 77 and 200 share no factor.
fn spread(value: fn(f64) -> f64) -> Distribution {
    Distribution::measured((0..200_u64).map(move |i| value(((i * 77) % 200 + 1) as f64)))
}

fn worked_example() -> (Distribution, Distribution) {
    (spread(|i| 150.0 + 0.7 * i), spread(|i| 100.0 + 0.5 * i))
}

#[test]
fn the_worked_comparison_with_a_baseline() {
    let (fault, baseline) = worked_example();
    assert_eq!(fault.effective_samples(0.95), 200.0);
    let before = baseline.estimate(0.95, 0.05).unwrap();
    assert_eq!((before.value.lo, before.bounds), (195.0, Interval::new(192.5, 198.0)));
    let during = fault.estimate(0.95, 0.05).unwrap();
    assert!((during.bounds.lo - 279.5).abs() < 1e-9 && (during.bounds.hi - 287.2).abs() < 1e-9);
    let judge = |limit: f64| {
        let allowance = Allowance::Plus(limit);
        judge_against_baseline(
            &fault,
            &baseline,
            0.95,
            Comparison::Below,
            allowance,
            Method::Mover,
            CONFIDENT,
        )
    };
    let passed = judge(100.0);
    let estimate = passed.estimate.unwrap();
    assert!((estimate.value.lo - 88.0).abs() < 1e-9);
    assert!((estimate.bounds.lo - 83.390_228).abs() < 1e-6, "{estimate:?}");
    assert!((estimate.bounds.hi - 92.887_740).abs() < 1e-6, "{estimate:?}");
    assert_eq!(passed.outcome, Outcome::Passed);
    assert_eq!(
        judge(90.0).outcome,
        Outcome::inconclusive(Leaning::Passed, Reason::TooFewSamples, Some(Need::MoreSamplesPerPhase(995)))
    );
    assert_eq!(judge(80.0).outcome, Outcome::Failed);
    assert_eq!(
        judge(88.0 - 1e-3).outcome,
        Outcome::inconclusive(Leaning::Failed, Reason::TooFewSamples, Some(Need::UnlikelyToPass))
    );
}

#[test]
fn the_strict_comparison_is_wider() {
    let (fault, baseline) = worked_example();
    let judge = |method| {
        judge_against_baseline(
            &fault,
            &baseline,
            0.95,
            Comparison::AtMost,
            Allowance::Plus(93.0),
            method,
            CONFIDENT,
        )
    };
    assert_eq!(judge(Method::Mover).outcome, Outcome::Passed);
    let strict = judge(Method::Strict);
    assert_eq!(strict.outcome.leaning(), Leaning::Passed);
    assert!(!strict.outcome.is_decided());
    let bounds = strict.estimate.unwrap().bounds;
    // Ranks 184 and 197 on both sides.
    assert!((bounds.lo - (278.8 - 198.5)).abs() < 1e-9 && (bounds.hi - (287.9 - 192.0)).abs() < 1e-9);
}

#[test]
fn a_ratio_to_the_baseline() {
    let (fault, baseline) = worked_example();
    let judge = |factor| {
        let allowance = Allowance::Times(factor);
        judge_against_baseline(
            &fault,
            &baseline,
            0.95,
            Comparison::AtMost,
            allowance,
            Method::Mover,
            CONFIDENT,
        )
        .outcome
    };
    assert_eq!(judge(1.5), Outcome::Passed);
    assert_eq!(judge(1.4), Outcome::Failed);
    assert_eq!(judge(1.455).leaning(), Leaning::Passed);
    let nothing = Distribution::measured([0.0; 100]);
    let against_nothing = judge_against_baseline(
        &fault,
        &nothing,
        0.95,
        Comparison::AtMost,
        Allowance::Times(2.0),
        Method::Mover,
        CONFIDENT,
    );
    assert!(
        matches!(&against_nothing.outcome, Outcome::Inconclusive { reasons, .. } if reasons == &[Reason::BaselineUnhealthy])
    );
}

#[test]
fn proof_of_a_fault_by_an_increase_of_at_least_so_much() {
    let (fault, baseline) = worked_example();
    let judge = |more| {
        let allowance = Allowance::Plus(more);
        judge_against_baseline(
            &fault,
            &baseline,
            0.95,
            Comparison::AtLeast,
            allowance,
            Method::Mover,
            CONFIDENT,
        )
        .outcome
    };
    assert_eq!(judge(80.0), Outcome::Passed);
    assert_eq!(judge(95.0), Outcome::Failed);
    assert!(matches!(judge(86.0), Outcome::Inconclusive { need: Some(Need::MoreSamplesPerPhase(_)), .. }));
}

#[test]
fn a_quantile_against_a_limit() {
    let samples = spread(|i| i);
    let judge = |limit| judge_quantile(&samples, 0.95, Comparison::AtMost, limit, CONFIDENT).outcome;
    assert_eq!(judge(196.0), Outcome::Passed);
    assert_eq!(judge(184.0), Outcome::Failed);
    let Outcome::Inconclusive { leaning, need: Some(Need::MoreSamples(more)), .. } = judge(195.0) else {
        panic!("an open claim says what it needs")
    };
    assert_eq!(leaning, Leaning::Passed);
    // With this many more samples of the same kind the claim is decided, with one less it is not.
    let passes = |n: u64| ((0.975 * n as f64).floor() as u64) >= bound_ranks(n, 0.95, 0.05).1;
    assert!(passes(200 + more) && !passes(200 + more - 1));
}

/// `p95 <= c` is the same claim as that at most 5 % are above c.
#[test]
fn a_quantile_against_a_limit_is_a_share_against_its_rest() {
    use super::super::proportion::{Trials, judge_share};
    let samples = spread(|i| i);
    for limit in 150..=200_u64 {
        let quantile = judge_quantile(&samples, 0.95, Comparison::AtMost, limit as f64, CONFIDENT).outcome;
        let above = Trials::independent(200 - limit, limit);
        let share = judge_share(above, Comparison::AtMost, 0.05, CONFIDENT).outcome;
        assert_eq!(quantile.is_decided(), share.is_decided(), "{limit}");
        assert_eq!(quantile.leaning(), share.leaning(), "{limit}");
    }
}

#[test]
fn too_few_clean_samples_say_how_many_are_missing() {
    let samples = Distribution::measured([1.0; 20]);
    let judged = judge_quantile(&samples, 0.95, Comparison::AtMost, 5.0, CONFIDENT);
    let need = Some(Need::MoreSamples(39));
    assert_eq!(judged.outcome, Outcome::inconclusive(Leaning::Passed, Reason::TooFewSamples, need));
    let none = judge_quantile(&Distribution::default(), 0.95, Comparison::AtMost, 5.0, CONFIDENT);
    let need = Some(Need::MoreSamples(59));
    assert_eq!(none.outcome, Outcome::inconclusive(Leaning::None, Reason::TooFewSamples, need));
}

#[test]
fn a_timeout_is_a_latency_of_which_only_the_least_is_known() {
    let timeout = Interval::new(2.0, f64::INFINITY);
    let values = (0..200).map(|i| if i % 10 == 0 { timeout } else { Interval::exactly(0.1) });
    let samples = Distribution::new(values);
    assert_eq!(samples.quantile(0.95), Some(timeout));
    assert_eq!(samples.quantile(0.5), Some(Interval::exactly(0.1)));
    let judge = |q, limit| judge_quantile(&samples, q, Comparison::AtMost, limit, CONFIDENT).outcome;
    assert_eq!(judge(0.95, 1.0), Outcome::Failed);
    assert_eq!(judge(0.5, 1.0), Outcome::Passed);
    assert_eq!(judge(0.95, 3.0).leaning(), Leaning::None);
    let differing = judge_against_baseline(
        &samples,
        &samples,
        0.95,
        Comparison::AtMost,
        Allowance::Plus(1.0),
        Method::Mover,
        CONFIDENT,
    );
    assert!(!differing.outcome.is_decided());
}

#[test]
fn alike_neighbours_widen_the_bounds() {
    let slow_stretches =
        |i: u64| if (i / 20).is_multiple_of(5) { 2.0 + (i % 7) as f64 + i as f64 / 1e4 } else { 1.0 };
    let correlated = Distribution::measured((0..1000).map(slow_stretches));
    let spread = Distribution::measured((0..1000).map(|i| slow_stretches((i * 333) % 1000)));
    assert!(correlated.effective_samples(0.9) < 400.0);
    let (wide, narrow) = (correlated.estimate(0.9, 0.05).unwrap(), spread.estimate(0.9, 0.05).unwrap());
    assert!(wide.bounds.lo <= narrow.bounds.lo && wide.bounds.hi >= narrow.bounds.hi);
    assert!(wide.bounds.hi - wide.bounds.lo > narrow.bounds.hi - narrow.bounds.lo);
}

proptest! {
    #[test]
    fn quantiles_grow_with_q(values in prop::collection::vec(0.0f64..100.0, 1..80), a in 0.01f64..0.99, b in 0.01f64..0.99) {
        let samples = Distribution::measured(values);
        let (low, high) = (samples.quantile(a.min(b)).unwrap(), samples.quantile(a.max(b)).unwrap());
        prop_assert!(low.lo <= high.lo && low.hi <= high.hi);
    }

    #[test]
    fn censoring_never_excludes_the_truth(
        values in prop::collection::vec(0.0f64..100.0, 1..80), timeout in 1.0f64..100.0, q in 0.01f64..0.99,
    ) {
        let seen = values.iter().map(|v| if *v >= timeout { Interval::new(timeout, f64::INFINITY) } else { Interval::exactly(*v) });
        let seen = Distribution::new(seen).quantile(q).unwrap();
        let truth = Distribution::measured(values).quantile(q).unwrap().lo;
        prop_assert!(seen.contains(truth), "{seen:?} without {truth}");
    }

    #[test]
    fn bounds_enclose_the_quantile(values in prop::collection::vec(0.0f64..100.0, 1..200), q in 0.01f64..0.99) {
        let estimate = Distribution::measured(values).estimate(q, 0.05).unwrap();
        prop_assert!(estimate.bounds.lo <= estimate.value.lo && estimate.value.hi <= estimate.bounds.hi, "{estimate:?}");
    }
}
