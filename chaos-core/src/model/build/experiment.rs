//! An experiment, and the steps of its timeline.

use std::time::Duration;

use crate::{
    model::{
        Abort, Change, Claim, Comparison, Correction, Expectation, Experiment, Fault, Lab, Predicate, Probe,
        RadiusLimit, Scope, SteadyState, Step, Timeline,
        scope::{Allowance, Amount, RadiusUnit},
    },
    place::Protection,
    span::{Span, Spanned},
};

impl Experiment {
    /// Begins an experiment on this machine, with nothing in it yet and a confidence of 95 %.
    pub fn new(name: impl Into<Spanned<String>>, hypothesis: impl Into<Spanned<String>>) -> Self {
        Experiment {
            name: name.into(),
            owner: None,
            tags: Vec::new(),
            hypothesis: hypothesis.into(),
            impact: None,
            params: Vec::new(),
            varied: Vec::new(),
            scope: Scope::Machine,
            targets: Vec::new(),
            blast_radius: Vec::new(),
            allowed: Vec::new(),
            probes: Vec::new(),
            steady_state: SteadyState::default(),
            faults: Vec::new(),
            changes: Vec::new(),
            timeline: Timeline::default(),
            aborts: Vec::new(),
            expectations: Vec::new(),
            confidence: 0.95,
            correction: Correction::None,
            evidence: Vec::new(),
            span: Span::NONE,
        }
    }

    /// Sets who answers for it.
    #[must_use]
    pub fn owned_by(mut self, owner: impl Into<Spanned<String>>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Has it take place in a lab.
    #[must_use]
    pub fn in_lab(mut self, lab: Lab) -> Self {
        self.scope = Scope::Lab(lab);
        self
    }

    /// Refuses to touch more than this number of hosts, namespaces or machines.
    #[must_use]
    pub fn at_most_hosts(mut self, count: u32) -> Self {
        let limit = RadiusLimit { at_most: Amount::Count(count), of: RadiusUnit::Hosts, span: Span::NONE };
        self.blast_radius.push(limit);
        self
    }

    /// Allows faults and agents on what is protected otherwise.
    #[must_use]
    pub fn allowing(mut self, what: Protection) -> Self {
        self.allowed.push(Allowance { what, span: Span::NONE });
        self
    }

    /// Adds a probe.
    #[must_use]
    pub fn with_probe(mut self, probe: Probe) -> Self {
        self.probes.push(probe);
        self
    }

    /// Sets what must hold before anything is injected, and again after rollback.
    #[must_use]
    pub fn with_steady_state(mut self, steady_state: SteadyState) -> Self {
        self.steady_state = steady_state;
        self
    }

    /// Adds a change; the timeline says when it is made.
    #[must_use]
    pub fn with_change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Adds a fault; the timeline says when it is injected.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Sets what happens when.
    #[must_use]
    pub fn with_timeline(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.timeline = Timeline { steps: steps.into_iter().map(Into::into).collect(), span: Span::NONE };
        self
    }

    /// Adds a condition that ends the fault at once; each of its metrics needs a window.
    #[must_use]
    pub fn abort_when(mut self, condition: impl Into<Predicate>) -> Self {
        self.aborts.push(Abort::When(condition.into()));
        self
    }

    /// Adds an expectation.
    #[must_use]
    pub fn expect(mut self, name: impl Into<Spanned<String>>, claim: Claim) -> Self {
        self.expectations.push(Expectation { name: name.into(), claim, span: Span::NONE });
        self
    }
}

impl Step {
    /// Makes the change of this name, for the rest of the run.
    pub fn make(change: impl Into<Spanned<String>>) -> Self {
        Step::Make(change.into())
    }

    /// Puts the fault of this name in place.
    pub fn inject(fault: impl Into<Spanned<String>>) -> Self {
        Step::Inject(fault.into())
    }
}

impl SteadyState {
    /// Watches for so long that all of these hold; that is also the window of each metric without one.
    pub fn of(over: Duration, comparisons: impl IntoIterator<Item = Comparison>) -> Self {
        let windowed = |mut comparison: Comparison| {
            comparison.metric.over.get_or_insert(over);
            Predicate::Compare(comparison)
        };
        SteadyState { over, predicates: comparisons.into_iter().map(windowed).collect(), span: Span::NONE }
    }
}
