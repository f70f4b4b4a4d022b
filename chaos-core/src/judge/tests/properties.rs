use proptest::prelude::*;

use super::*;
use crate::probe::Outcome as Ended;

fn instant() -> impl Strategy<Value = Nanos> {
    prop_oneof![120 => 0..at(20.0), 10 => Just(0), 1 => any::<Nanos>()]
}

fn length() -> impl Strategy<Value = Duration> {
    prop_oneof![8 => (0u64..3000).prop_map(ms), 1 => Just(Duration::ZERO), 1 => Just(Duration::MAX)]
}

fn samples() -> impl Strategy<Value = Samples> {
    let outcome = prop::sample::select(vec![Ended::Ok, Ended::Failed, Ended::TimedOut, Ended::NotRun]);
    let one =
        (instant(), length(), outcome, any::<Option<u16>>()).prop_map(|(start, latency, outcome, status)| {
            sample(
                start,
                latency,
                Observation { outcome, status, ttfb: Some(latency / 2), ..Observation::ok() },
            )
        });
    prop::collection::vec(one, 0..60).prop_map(|mut samples| {
        samples.sort_by_key(|s| s.intended);
        Samples::from([("get".to_owned(), samples)])
    })
}

fn comparison(windowed: bool) -> impl Strategy<Value = Comparison> {
    let function = prop_oneof![
        Just(Function::Success),
        Just(Function::Errors),
        Just(Function::Rate),
        Just(Function::Count),
        (0.0..=1.0f64).prop_map(Function::Quantile),
        Just(Function::Min),
        Just(Function::Max),
        Just(Function::Last),
    ];
    let bound = prop_oneof![
        any::<f64>().prop_map(|v| constant(v, Unit::Seconds)),
        (0.0..2.0f64).prop_map(|v| constant(v, Unit::Seconds)),
        (-2.0..3.0f64, -1.0..1.0f64).prop_map(|(factor, offset)| Bound::Baseline { factor, offset }),
        (-1.0..1.0f64).prop_map(|offset| Bound::Baseline { factor: 1.0, offset }),
        (0.0..3.0f64).prop_map(|factor| Bound::Baseline { factor, offset: 0.0 }),
    ];
    let op = prop::sample::select(vec![Op::Less, Op::AtMost, Op::Greater, Op::AtLeast]);
    let field = prop::sample::select(vec![Field::Latency, Field::Dns, Field::Ttfb]);
    (function, bound, op, field, length(), any::<bool>()).prop_map(
        move |(function, bound, op, field, over, filtered)| {
            let over = windowed.then_some(over);
            let filter = if filtered { vec![filter("status", &["200"], true)] } else { Vec::new() };
            compare(Metric { field, filter, ..metric(function, over) }, op, bound)
        },
    )
}

fn predicate() -> impl Strategy<Value = Predicate> {
    any::<bool>().prop_flat_map(comparison).prop_map(Predicate::Compare).prop_recursive(3, 6, 3, |inner| {
        prop_oneof![
            (inner.clone(), length())
                .prop_map(|(p, lasting)| Predicate::For { predicate: Box::new(p), lasting }),
            inner.clone().prop_map(|p| Predicate::Not(Box::new(p))),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Predicate::All),
            prop::collection::vec(inner, 0..3).prop_map(Predicate::Any),
        ]
    })
}

fn phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(vec![Phase::Baseline, Phase::Fault(None), lossy(), Phase::Watch, Phase::WholeRun])
}

fn event() -> impl Strategy<Value = Event> {
    let ends = Event::Ends("lossy".into());
    prop::sample::select(vec![Event::Rollback, Event::RollbackStarts, starts(), ends])
}

fn claim() -> impl Strategy<Value = Claim> {
    let leaf = prop_oneof![
        (any::<bool>().prop_flat_map(comparison), phase(), any::<bool>()).prop_map(
            |(comparison, during, observed)| Claim::Statistic {
                comparison,
                during,
                observed,
                confidence: None
            }
        ),
        (predicate(), phase()).prop_map(|(predicate, during)| Claim::Always { predicate, during }),
        (predicate(), phase()).prop_map(|(predicate, during)| Claim::Never { predicate, during }),
        (predicate(), length(), phase()).prop_map(|(predicate, within, during)| Claim::Eventually {
            predicate,
            within,
            during
        }),
        (predicate(), length(), event()).prop_map(|(predicate, within, after)| Claim::Within {
            predicate,
            within,
            after
        }),
        (predicate(), length(), event()).prop_map(|(predicate, within, after)| Claim::Stops {
            predicate,
            within,
            after
        }),
        (predicate(), length(), event()).prop_map(|(predicate, lasting, after)| Claim::Stays {
            predicate,
            lasting,
            after
        }),
        (predicate(), length(), prop::option::of(length()), event()).prop_map(
            |(predicate, within, lasting, after)| Claim::Settles { predicate, within, lasting, after }
        ),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Claim::All),
            prop::collection::vec(inner, 0..3).prop_map(Claim::Any),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn judging_is_total_and_pure(
        samples in samples(),
        spans in prop::collection::vec((phase(), instant(), instant()), 0..6),
        marks in prop::collection::vec((event(), instant()), 0..4),
        end in prop_oneof![9 => 0..at(25.0), 1 => Just(0)],
        aborted in prop::option::of(instant()),
        met in prop::option::of(any::<bool>()),
        claim in claim(),
    ) {
        let mut run = Run::with(Vec::new(), 10.0);
        run.samples = samples;
        run.phases = spans.into_iter().map(|(phase, start, end)| PhaseSpan { phase, start, end }).collect();
        run.marks = marks.into_iter().map(|(event, at)| Mark { event, at }).collect();
        (run.end, run.aborted) = (end, aborted);
        run.exercised = met.map(|met| ("lossy".to_owned(), met)).into_iter().collect();
        run.experiment.expectations = vec![Expectation { name: "any".into(), claim, span: Span::NONE }];
        let judge = || Standard::new().judge(&run.experiment, &run.view());
        let judged = judge();
        prop_assert_eq!(format!("{judged:?}"), format!("{:?}", judge()));
        prop_assert!(judged[0].findings.iter().all(|f| !f.sentence.is_empty() && !f.sentence.contains("NaN")));
        // Whatever was measured: what the fault did not cause to be tested never passes.
        if met == Some(false) {
            for finding in judged[0].findings.iter().filter(|f| f.outcome == Outcome::Passed) {
                let in_baseline = ["during baseline", "of baseline"].iter().any(|p| finding.claim.contains(p));
                prop_assert!(in_baseline, "{}", finding.claim);
            }
        }
    }

    #[test]
    fn steady_states_proofs_and_guards_are_total(
        samples in samples(),
        predicate in predicate(),
        condition in any::<bool>().prop_flat_map(comparison),
        (from, to) in (instant(), instant()),
        ticks in prop::collection::vec(instant(), 0..20),
    ) {
        let mut run = Run::with(Vec::new(), 10.0);
        run.samples = samples;
        run.experiment.steady_state.predicates = vec![predicate.clone()];
        let steady = Standard::new().steady(&run.experiment, &run.samples, from, to);
        prop_assert!(predicate.comparisons().is_empty() || !steady[0].measured.is_empty());
        let _ = Standard::new().proven(&condition, "lossy", &run.view());
        let mut guard = Standard::new().guard(&predicate, &run.experiment);
        for (sample, tick) in run.samples["get"].iter().zip(&ticks) {
            guard.observe("get", sample);
            let _ = guard.fires(*tick);
        }
        guard.baseline(&run.samples, from, to);
        let _ = guard.fires(Nanos::MAX);
    }
}
