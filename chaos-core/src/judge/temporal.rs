//! Claims about how signals behave in time.

use super::finding::{Closest, Finding};
use super::{
    About, Period, breakdown,
    limit::{Limit, relation},
    metric::{self, Least},
    timeline::RunTimeline,
    wording,
};
use crate::verdict::{
    Outcome, Reason,
    monitor::{
        self, Atom, Decision, Events, Formula, Operand, SignalId, Span, Subject, Trace, decide, lookback,
    },
    signal::Blank,
    steps::{FOREVER, shifted},
};
use crate::{
    model::{Claim, Comparison, Event, Metric, Predicate, Unit, formula::Bound},
    time::{Nanos, nanos},
};

/// Judges a claim that is not a statistic and not made of others.
pub(super) fn judge(timeline: &RunTimeline<'_>, claim: &Claim) -> Finding {
    let (predicates, about) = (claim.predicates(), about(claim));
    let scene = Scene::new(timeline, &predicates);
    let cases = scene.cases(claim);
    let cut = match about {
        About::Phase(phase) => {
            // What is only counted from the start of a phase is judged by its own deadline.
            !matches!(claim, Claim::Eventually { .. })
                && timeline.periods(phase).iter().any(|period| timeline.cut(phase, *period).is_some())
        }
        About::Event(_) => false,
    };
    let decisions: Vec<(Nanos, Decision)> =
        cases.iter().map(|case| (case.origin, case.said(decide(&case.claim, &scene.trace(case))))).collect();
    let outcome = if decisions.is_empty() {
        timeline.absent()
    } else {
        Outcome::all(decisions.iter().map(|(_, d)| d.outcome.clone()))
    };
    let metrics = || scene.comparisons.iter().flat_map(|comparison| comparison.metrics());
    let probes: Vec<&str> = metrics().map(|metric| metric.probe.value.as_str()).collect();
    let (outcome, mut reasons) = timeline.tested(outcome, about, cut, &probes);
    if let Outcome::Inconclusive { reasons: why, .. } = &outcome
        && [Reason::Gap, Reason::TooFewSamples].iter().any(|reason| why.contains(reason))
    {
        let periods = match about {
            About::Phase(phase) => timeline.periods(phase),
            About::Event(event) => {
                timeline.instants(event).into_iter().map(|at| (at, timeline.view.end)).collect()
            }
        };
        reasons.extend(
            metrics().find_map(|metric| metric::failed(metric, &timeline.within(metric, &periods), &periods)),
        );
    }
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
    let mut grown = None;
    if let Some((_, decision)) = worst {
        // One margin for several limits has no unit; the closest call stands for it.
        let plain = |c: &&Comparison| c.metric.alert().is_none();
        finding.margin = (scene.comparisons.len() == 1).then_some(decision.margin);
        finding.margin = finding.margin.filter(|_| scene.comparisons.first().is_some_and(plain));
        finding.closest = decision.closest.and_then(|call| {
            // Whether an alert fires has no distance.
            let comparison = scene.comparisons.get(call.atom as usize).filter(|c| plain(c))?;
            let unit = super::show::difference_unit(comparison.metric.unit());
            call.normalised.is_finite().then(|| Closest {
                comparison: comparison.to_string(),
                at: call.at,
                margin: call.raw,
                unit,
                normalised: call.normalised,
            })
        });
        grown = decision.closest.filter(|_| finding.outcome != Outcome::Passed).and_then(|call| {
            let metric = &scene.comparisons.get(call.atom as usize)?.metric;
            let window = nanos(metric.over?);
            let period = (shifted(call.at, 1 - window), shifted(call.at, 1));
            breakdown::grown_part(metric, timeline.view.samples, timeline.baseline()?, &[period])
        });
        finding.normalised = finding.closest.as_ref().map(|c| c.normalised);
        finding.time_margin = decision.time_margin;
        finding.decided_at = decision.decided_at;
        finding.unknown_share = decision.unknown_share;
    }
    finding.sentence = wording::temporal(&finding, claim, origin);
    if let Some(grown) = grown {
        finding.sentence.push_str(&format!(" ({grown})"));
    }
    finding
}

fn about(claim: &Claim) -> About<'_> {
    match (claim.during(), claim.after()) {
        (Some(phase), _) => About::Phase(phase),
        (_, Some(event)) => About::Event(event),
        _ => unreachable!("invariant: a temporal claim speaks of a phase or an event"),
    }
}

/// One core claim with where its windows restart.
struct Case {
    claim: monitor::Claim,
    edges: Vec<Nanos>,
    /// What an abort or the next fault makes unknown.
    blank: Option<(Nanos, Nanos, Blank)>,
    /// What times are counted from for people.
    origin: Nanos,
}

impl Case {
    /// Returns a decision with what ended it: where the next fault did, a longer run would not have shown more.
    fn said(&self, mut decision: Decision) -> Decision {
        if let (Outcome::Inconclusive { reasons, .. }, Some((_, _, Blank::NextFault))) =
            (&mut decision.outcome, self.blank)
        {
            for reason in reasons.iter_mut().filter(|reason| **reason == Reason::HorizonNotReached) {
                *reason = Reason::NextFault;
            }
            reasons.dedup();
        }
        decision
    }
}

/// Predicates over the signals of their comparisons; comparison `i` looks at signal `i`, and those that are compared with
/// another metric look at one behind all of these.
struct Scene<'a> {
    timeline: &'a RunTimeline<'a>,
    comparisons: Vec<&'a Comparison>,
    limits: Vec<Limit>,
    formulas: Vec<Formula>,
    /// After so long since an edge all windows, and the memory of `for`, are full.
    warm_up: Nanos,
}

impl<'a> Scene<'a> {
    fn new(timeline: &'a RunTimeline<'a>, predicates: &[&'a Predicate]) -> Self {
        let comparisons: Vec<&Comparison> = predicates.iter().flat_map(|p| p.comparisons()).collect();
        let mut limits: Vec<Limit> =
            comparisons.iter().map(|c| timeline.limit(c, None, Least::Meaningful)).collect();
        let mut signals = comparisons.len();
        for (limit, comparison) in limits.iter_mut().zip(&comparisons) {
            if let Bound::Metric { .. } = comparison.bound {
                limit.signal = Some(SignalId(signals));
                signals += 1;
            }
        }
        let mut next = 0;
        let formulas: Vec<Formula> = predicates.iter().map(|p| formula(p, &limits, &mut next)).collect();
        let windows = comparisons.iter().flat_map(|c| c.metrics()).filter_map(|m| m.over).map(nanos);
        let memory = formulas.iter().map(lookback).max().unwrap_or(0);
        let warm_up = windows.max().unwrap_or(0).saturating_add(memory);
        Scene { timeline, comparisons, limits, formulas, warm_up }
    }

    fn unit(&self) -> Unit {
        self.comparisons.first().map_or(Unit::Count, |c| c.metric.unit())
    }

    /// The claim in core terms: one case for each event or start of a phase, all of which must hold.
    fn cases(&self, claim: &Claim) -> Vec<Case> {
        let part = |index: usize| self.formulas.get(index).cloned().unwrap_or(Formula::And(Vec::new()));
        let body = || part(0);
        // What must hold to the end is owed until the run ends, or the next fault changes everything.
        let end = |at: Nanos, event: &Event| {
            let end = self.timeline.view.end;
            Some(self.timeline.next_fault(at, event).map_or(end, |next| next.min(end)))
        };
        let each = |event: &Event, core: &dyn Fn(Nanos, Events) -> monitor::Claim| -> Vec<Case> {
            let instants = self.timeline.instants(event).into_iter();
            instants.map(|at| self.after(at, Some(event), core(at, Events::once(at)))).collect()
        };
        match claim {
            Claim::Always { during, .. } | Claim::Never { during, .. } => {
                let pieces = self.timeline.pieces(during);
                let Some((origin, _)) = pieces.first().copied() else { return Vec::new() };
                let spans =
                    pieces.iter().map(|(start, end)| Span { start: *start, end: Some(*end) }).collect();
                let core = if let Claim::Never { .. } = claim {
                    monitor::Claim::never(body(), spans, self.warm_up)
                } else {
                    monitor::Claim::Always { body: body(), spans, warm_up: self.warm_up }
                };
                // What came after the fault was taken away is known again.
                let whole = self.timeline.periods(during);
                let cut = whole.iter().find_map(|period| self.timeline.cut(during, *period));
                let resumed = |at: Nanos| {
                    let ends = self.timeline.periods(&crate::model::Phase::Fault(None)).into_iter();
                    ends.map(|(_, end)| end).find(|end| *end > at).unwrap_or(at.saturating_add(1))
                };
                let mut edges: Vec<Nanos> = pieces.iter().map(|(start, _)| *start).collect();
                edges.dedup();
                vec![Case {
                    claim: core,
                    edges,
                    blank: cut.map(|at| (at, resumed(at), Blank::Aborted)),
                    origin,
                }]
            }
            // What must hold until it is released is owed from where its windows are full.
            Claim::Unless { during, .. } => {
                let case = |(start, stop): Period| {
                    let first = shifted(start, self.warm_up);
                    let core = monitor::Claim::Unless {
                        left: body(),
                        right: part(1),
                        within: stop.saturating_sub(1).saturating_sub(first).max(0),
                        after: Events::once(first),
                        end: Some(stop),
                    };
                    let cut = self.timeline.cut(during, (start, stop)).map(|at| (at, stop, Blank::Aborted));
                    Case { claim: core, edges: vec![start], blank: cut, origin: start }
                };
                self.timeline.periods(during).into_iter().map(case).collect()
            }
            Claim::Eventually { within, during, .. } => {
                let starts = self.timeline.periods(during).into_iter().map(|(start, _)| start);
                let core = |at| monitor::Claim::Within {
                    body: body(),
                    within: nanos(*within),
                    after: Events::once(at),
                };
                starts.map(|at| self.after(at, None, core(at))).collect()
            }
            Claim::Within { within, after: event, .. } => each(event, &|_, after| monitor::Claim::Within {
                body: body(),
                within: nanos(*within),
                after,
            }),
            Claim::Stops { within, after: event, .. } => each(event, &|at, after| monitor::Claim::Stops {
                body: body(),
                within: nanos(*within),
                after,
                end: end(at, event),
            }),
            Claim::Stays { lasting, after: event, .. } => each(event, &|_, after| monitor::Claim::Stays {
                body: body(),
                lasting: nanos(*lasting),
                warm_up: self.warm_up,
                after,
            }),
            Claim::Settles { within, lasting, after: event, .. } => {
                each(event, &|at, after| monitor::Claim::Settles {
                    body: body(),
                    within: nanos(*within),
                    lasting: lasting.map(nanos),
                    after,
                    end: end(at, event),
                })
            }
            Claim::Statistic { .. }
            | Claim::Completes { .. }
            | Claim::Each { .. }
            | Claim::Given { .. }
            | Claim::All(_)
            | Claim::Any(_) => Vec::new(),
        }
    }

    /// A claim counted from one instant. What an abort later than that left undone is unknown, for good, and so is what the next
    /// fault after a rollback hides.
    fn after(&self, at: Nanos, event: Option<&Event>, claim: monitor::Claim) -> Case {
        let aborted = self.timeline.view.aborted.filter(|aborted| at < *aborted);
        let next = event.and_then(|event| self.timeline.next_fault(at, event));
        let blanks = aborted
            .map(|from| (from, Blank::Aborted))
            .into_iter()
            .chain(next.map(|from| (from, Blank::NextFault)));
        let blank = blanks.min_by_key(|(from, _)| *from).map(|(from, why)| (from, FOREVER, why));
        Case { claim, edges: vec![at], blank, origin: at }
    }

    fn trace(&self, case: &Case) -> Trace {
        let signal = |metric: &Metric| {
            let signal = self.timeline.signal(metric, &case.edges);
            match case.blank {
                Some((from, to, why)) => signal.blanked(from, to, why),
                None => signal,
            }
        };
        let own = self.comparisons.iter().map(|c| signal(&c.metric));
        let others = self.comparisons.iter().filter_map(|c| match &c.bound {
            Bound::Metric { metric, factor, offset } => Some(signal(metric).scaled(*factor, *offset)),
            Bound::Constant(_) | Bound::Baseline { .. } => None,
        });
        Trace::new(own.chain(others).collect())
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
            let constant = limit.value.map_or(Operand::Pending, Operand::Constant);
            let operand = limit.signal.map_or(constant, Operand::signal);
            let subject = Subject::Compares { comparison: relation(comparison.op), limit: operand };
            Formula::Atom(Atom { id, signal: SignalId(id as usize), subject, scale: limit.scale })
        }
    }
}
