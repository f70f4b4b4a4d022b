//! Claims about how signals behave in time.

use super::super::{
    Outcome,
    finding::{Closest, Finding},
    monitor::{
        self, Atom, Decision, Events, Formula, Operand, SignalId, Span, Subject, Trace, decide, lookback,
    },
    signal::Blank,
    steps::FOREVER,
};
use super::{
    course::{About, Course},
    limit::{Limit, relation},
    metric, wording,
};
use crate::{
    model::{Claim, Comparison, Predicate, Unit},
    time::{Nanos, nanos},
};

/// Judges a claim that is not a statistic and not made of others.
pub(super) fn judge(course: &Course<'_>, claim: &Claim) -> Finding {
    let (predicate, about) = parts(claim);
    let scene = Scene::new(course, predicate);
    let cases = scene.cases(claim);
    let cut = match about {
        About::Phase(phase) => {
            // What is only counted from the start of a phase is judged by its own deadline.
            !matches!(claim, Claim::Eventually { .. })
                && course.stretches(phase).iter().any(|stretch| course.cut(phase, *stretch).is_some())
        }
        About::Event(_) => false,
    };
    let decisions: Vec<(Nanos, Decision)> =
        cases.iter().map(|case| (case.origin, decide(&case.claim, &scene.trace(case)))).collect();
    let outcome = if decisions.is_empty() {
        course.absent()
    } else {
        Outcome::all(decisions.iter().map(|(_, d)| d.outcome.clone()))
    };
    let (outcome, reasons) = course.tested(outcome, about, cut);
    let mut finding = Finding::of(outcome, scene.unit());
    finding.reasons = reasons;
    if let [limit] = scene.limits.as_slice() {
        finding.limit = limit.value;
        finding.baseline = limit.baseline;
        finding.allowed = Some(wording::allowed(scene.comparisons[0].op, limit));
    }
    let worst = decisions.into_iter().min_by(|(_, one), (_, other)| {
        let left = |d: &Decision| d.closest.map_or(f64::INFINITY, |c| c.normalised);
        let time = |d: &Decision| d.time_margin.unwrap_or(FOREVER);
        (one.outcome.rank().cmp(&other.outcome.rank()))
            .then(time(one).cmp(&time(other)))
            .then(left(one).total_cmp(&left(other)))
    });
    let origin = worst.as_ref().map(|(origin, _)| *origin);
    if let Some((_, decision)) = worst {
        // One margin for several limits has no unit; the closest call stands for it.
        let plain = |c: &&Comparison| c.metric.alert().is_none();
        finding.margin = (scene.comparisons.len() == 1).then_some(decision.margin);
        finding.margin = finding.margin.filter(|_| scene.comparisons.first().is_some_and(plain));
        finding.closest = decision.closest.and_then(|call| {
            // Whether an alert fires has no distance.
            let comparison = scene.comparisons.get(call.atom as usize).filter(|c| plain(c))?;
            let unit = wording::difference_unit(comparison.metric.unit());
            call.normalised.is_finite().then(|| Closest {
                comparison: comparison.to_string(),
                at: call.at,
                margin: call.raw,
                unit,
                normalised: call.normalised,
            })
        });
        finding.normalised = finding.closest.as_ref().map(|c| c.normalised);
        finding.time_margin = decision.time_margin;
        finding.decided_at = decision.decided_at;
        finding.unknown_share = decision.unknown_share;
    }
    finding.sentence = wording::temporal(&finding, claim, origin);
    finding
}

/// Returns what a claim is made of.
fn parts(claim: &Claim) -> (&Predicate, About<'_>) {
    match claim {
        Claim::Always { predicate, during }
        | Claim::Never { predicate, during }
        | Claim::Eventually { predicate, during, .. } => (predicate, About::Phase(during)),
        Claim::Within { predicate, after, .. }
        | Claim::Stops { predicate, after, .. }
        | Claim::Stays { predicate, after, .. }
        | Claim::Settles { predicate, after, .. } => (predicate, About::Event(after)),
        Claim::Statistic { .. } | Claim::All(_) | Claim::Any(_) => {
            unreachable!("invariant: statistics and claims made of others are judged by their own")
        }
    }
}

/// One core claim with where its windows restart.
struct Case {
    claim: monitor::Claim,
    edges: Vec<Nanos>,
    /// What an abort makes unknown.
    blank: Option<(Nanos, Nanos)>,
    /// What times are counted from for people.
    origin: Nanos,
}

/// A predicate over the signals of its comparisons; comparison `i` looks at signal `i`.
struct Scene<'a> {
    course: &'a Course<'a>,
    comparisons: Vec<&'a Comparison>,
    limits: Vec<Limit>,
    formula: Formula,
    /// After so long since an edge all windows, and the memory of `for`, are full.
    warm_up: Nanos,
}

impl<'a> Scene<'a> {
    fn new(course: &'a Course<'a>, predicate: &'a Predicate) -> Self {
        let comparisons = predicate.comparisons();
        let limits: Vec<Limit> =
            comparisons.iter().map(|c| Limit::of(c, course.view.samples, course.baseline(), None)).collect();
        let formula = formula(predicate, &limits, &mut 0);
        let windows = comparisons.iter().filter_map(|c| c.metric.over).map(nanos);
        let warm_up = windows.max().unwrap_or(0).saturating_add(lookback(&formula));
        Scene { course, comparisons, limits, formula, warm_up }
    }

    fn unit(&self) -> Unit {
        self.comparisons.first().map_or(Unit::Count, |c| c.metric.unit())
    }

    /// The claim in core terms: one case for each event or start of a phase, all of which must hold.
    fn cases(&self, claim: &Claim) -> Vec<Case> {
        let body = || self.formula.clone();
        let end = Some(self.course.view.end);
        let each = |instants: Vec<Nanos>, core: &dyn Fn(Events) -> monitor::Claim| -> Vec<Case> {
            instants.into_iter().map(|at| self.after(at, core(Events::once(at)))).collect()
        };
        match claim {
            Claim::Always { during, .. } | Claim::Never { during, .. } => {
                let pieces = self.course.pieces(during);
                let Some((origin, _)) = pieces.first().copied() else { return Vec::new() };
                let spans =
                    pieces.iter().map(|(start, end)| Span { start: *start, end: Some(*end) }).collect();
                let core = match claim {
                    Claim::Never { .. } => monitor::Claim::never(body(), spans, self.warm_up),
                    _ => monitor::Claim::Always { body: body(), spans, warm_up: self.warm_up },
                };
                // What came after the fault was taken away is known again.
                let whole = self.course.stretches(during);
                let cut = whole.iter().find_map(|stretch| self.course.cut(during, *stretch));
                let resumed = |at: Nanos| {
                    let ends = self.course.stretches(&crate::model::Phase::Fault(None)).into_iter();
                    ends.map(|(_, end)| end).find(|end| *end > at).unwrap_or(at.saturating_add(1))
                };
                let mut edges: Vec<Nanos> = pieces.iter().map(|(start, _)| *start).collect();
                edges.dedup();
                vec![Case { claim: core, edges, blank: cut.map(|at| (at, resumed(at))), origin }]
            }
            Claim::Eventually { within, during, .. } => {
                let starts = self.course.stretches(during).into_iter().map(|(start, _)| start).collect();
                each(starts, &|after| monitor::Claim::Within { body: body(), within: nanos(*within), after })
            }
            Claim::Within { within, after: event, .. } => each(self.course.instants(event), &|after| {
                monitor::Claim::Within { body: body(), within: nanos(*within), after }
            }),
            Claim::Stops { within, after: event, .. } => each(self.course.instants(event), &|after| {
                monitor::Claim::Stops { body: body(), within: nanos(*within), after, end }
            }),
            Claim::Stays { lasting, after: event, .. } => each(self.course.instants(event), &|after| {
                let lasting = nanos(*lasting);
                monitor::Claim::Stays { body: body(), lasting, warm_up: self.warm_up, after }
            }),
            Claim::Settles { within, lasting, after: event, .. } => {
                each(self.course.instants(event), &|after| {
                    let (within, lasting) = (nanos(*within), lasting.map(nanos));
                    monitor::Claim::Settles { body: body(), within, lasting, after, end }
                })
            }
            Claim::Statistic { .. } | Claim::All(_) | Claim::Any(_) => Vec::new(),
        }
    }

    /// A claim counted from one instant; what an abort later than that left undone is unknown, for good.
    fn after(&self, at: Nanos, claim: monitor::Claim) -> Case {
        let blank =
            self.course.view.aborted.filter(|aborted| at < *aborted).map(|aborted| (aborted, FOREVER));
        Case { claim, edges: vec![at], blank, origin: at }
    }

    fn trace(&self, case: &Case) -> Trace {
        let view = self.course.view;
        let signal = |comparison: &&Comparison| {
            let metric = &comparison.metric;
            let signal = metric::signal(metric, self.course.experiment, view.samples, &case.edges, view.end);
            match case.blank {
                Some((from, to)) => signal.blanked(from, to, Blank::Aborted),
                None => signal,
            }
        };
        Trace::new(self.comparisons.iter().map(signal).collect())
    }
}

/// Returns a predicate as a core formula; comparison `i`, from left to right, looks at signal `i`.
pub(super) fn formula(predicate: &Predicate, limits: &[Limit], next: &mut u32) -> Formula {
    let mut all = |parts: &[Predicate]| parts.iter().map(|part| formula(part, limits, next)).collect();
    match predicate {
        Predicate::All(parts) => Formula::And(all(parts)),
        Predicate::Any(parts) => Formula::Or(all(parts)),
        Predicate::Not(part) => formula(part, limits, next).negated(),
        Predicate::For { predicate, lasting } => formula(predicate, limits, next).lasting(nanos(*lasting)),
        Predicate::Compare(comparison) => {
            let id = *next;
            *next += 1;
            let limit = &limits[id as usize];
            let operand = limit.value.map_or(Operand::Pending, Operand::Constant);
            let subject = Subject::Compares { comparison: relation(comparison.op), limit: operand };
            Formula::Atom(Atom { id, signal: SignalId(id as usize), subject, scale: limit.scale })
        }
    }
}
