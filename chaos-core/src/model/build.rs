//! Building an experiment in code: shorthands for what a harness writes most, and the defaults of the language.
//!
//! Every field stays public, so whatever has no shorthand is set on the finished part. An experiment that was built in code
//! was not checked: [`plan`](crate::plan::plan) refuses names that lead nowhere.
//!
//! ```
//! use std::time::Duration;
//! use chaos_core::model::{
//!     Event, Experiment, Fault, FaultSpec, Metric, Phase, Probe, Quantity, Selector, SteadyState, Step,
//! };
//!
//! let seconds = Duration::from_secs;
//! let share = Quantity::ratio;
//! let success = || Metric::success("shop");
//! let experiment = Experiment::new("the shop loses packets", "users lose no order")
//!     .owned_by("team-shop")
//!     .at_most_hosts(1)
//!     .with_probe(Probe::http_get("shop", "http://10.0.0.2/").at_rate(50.0))
//!     .with_steady_state(SteadyState::of(seconds(5), [success().at_least(share(0.99))]))
//!     .with_fault(Fault::new("lossy", FaultSpec::loss(0.05), Selector::netns("shop")))
//!     .with_timeline([
//!         Step::Baseline(seconds(10)),
//!         Step::inject("lossy"),
//!         Step::Hold(seconds(20)),
//!         Step::Rollback(None),
//!         Step::Watch(seconds(10)),
//!     ])
//!     .abort_when(success().over(seconds(5)).below(share(0.5)).lasting(seconds(2)))
//!     .expect("no order is lost", success().at_least(share(0.99)).during(Phase::Fault(None)))
//!     .expect(
//!         "it is fast again",
//!         Metric::latency("shop", 0.95)
//!             .over(seconds(2))
//!             .at_most(Duration::from_millis(50))
//!             .settles(seconds(5), Event::Rollback),
//!     );
//! assert_eq!(experiment.timeline.held("lossy"), seconds(20));
//! assert_eq!(experiment.expectations[0].claim.to_string(), "success(shop) >= 99% during fault");
//! assert_eq!(
//!     experiment.expectations[1].claim.to_string(),
//!     "p95(shop.latency, over 2s) settles to <= 50ms within 5s after rollback"
//! );
//! ```

use std::time::Duration;

use super::{
    Abort, Action, Change, Claim, Comparison, Connections, Course, Custom, Event, Expectation, Experiment,
    Fault, FaultSpec, Function, Host, Lab, Metric, NameEffect, NameFault, PacketFault, Phase, Predicate,
    Probe, ProbeKind, Program, Quantity, RadiusLimit, Scope, Selector, SteadyState, Step, Timeline, Traffic,
    Unit, Vantage,
    action::{Setting, SettingValue},
    formula::{Bound, Op},
    metric::Field,
    packets::{Destination, Distribution, Ports, Way, Who},
    probe::{Scale, Trust},
    scope::{Amount, RadiusUnit},
};
use crate::span::{Span, Spanned};

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
            probes: Vec::new(),
            steady_state: SteadyState::default(),
            faults: Vec::new(),
            changes: Vec::new(),
            timeline: Timeline::default(),
            aborts: Vec::new(),
            expectations: Vec::new(),
            confidence: 0.95,
            correction: super::Correction::None,
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

impl Host {
    /// Makes a single host with nothing on it.
    pub fn new(name: impl Into<Spanned<String>>) -> Self {
        Host { name: name.into(), copies: None, programs: Vec::new() }
    }

    /// Makes this number of copies of it: `api-1`, `api-2`, …
    #[must_use]
    pub fn copies(mut self, count: u32) -> Self {
        self.copies = Some(count);
        self
    }

    /// Adds a program.
    #[must_use]
    pub fn running(mut self, program: Program) -> Self {
        self.programs.push(program.into());
        self
    }
}

impl FromIterator<Host> for Lab {
    fn from_iter<I: IntoIterator<Item = Host>>(hosts: I) -> Self {
        Lab { hosts: hosts.into_iter().collect(), ..Lab::default() }
    }
}

impl Probe {
    /// Makes a probe that is sent from where the runner is, 10 times a second, each on a fresh connection, for up to 5 s.
    pub fn new(name: impl Into<Spanned<String>>, kind: ProbeKind) -> Self {
        Probe {
            name: name.into(),
            kind,
            from: Vantage::Runner,
            rate: 10.0,
            timeout: Duration::from_secs(5),
            connections: Connections::Fresh,
            ok_when: None,
            labels: Vec::new(),
            trust: Trust::default(),
            span: Span::NONE,
        }
    }

    /// Makes a probe whose measurements a prober of the harness takes; `prober` is the name it goes by.
    pub fn custom(name: impl Into<Spanned<String>>, prober: impl Into<String>) -> Self {
        Probe::new(name, ProbeKind::Custom { prober: prober.into() })
    }

    /// Makes a probe of HTTP GET requests.
    pub fn http_get(name: impl Into<Spanned<String>>, url: impl Into<Spanned<String>>) -> Self {
        let (headers, body) = (Vec::new(), None);
        Probe::new(name, ProbeKind::Http { method: "GET".into(), url: url.into(), headers, body })
    }

    /// Makes a probe of TCP handshakes with `HOST:PORT`.
    pub fn tcp(name: impl Into<Spanned<String>>, address: impl Into<Spanned<String>>) -> Self {
        Probe::new(name, ProbeKind::Tcp { address: address.into() })
    }

    /// Makes a probe that asks the Prometheus server at `url` for the one number of a query, once a second.
    pub fn prometheus(
        name: impl Into<Spanned<String>>,
        query: impl Into<Spanned<String>>,
        url: impl Into<Spanned<String>>,
    ) -> Self {
        let (query, url) = (query.into(), url.into());
        let kind = ProbeKind::Prometheus { query, url, take: None, scale: Scale::PLAIN, default: None };
        Probe { rate: 1.0, ..Probe::new(name, kind) }
    }

    /// Sets where it is sent from.
    #[must_use]
    pub fn sent_from(mut self, place: Selector) -> Self {
        self.from = Vantage::Each(place);
        self
    }

    /// Sets the measurements per second and place.
    #[must_use]
    pub fn at_rate(mut self, per_second: f64) -> Self {
        self.rate = per_second;
        self
    }

    /// Sets after which a measurement counts as failed.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Keeps up to this number of connections, and uses them again.
    #[must_use]
    pub fn reusing_connections(mut self, count: u32) -> Self {
        self.connections = Connections::Reuse(count);
        self
    }
}

impl Selector {
    /// Returns the selector of this machine's own network namespace.
    pub fn here() -> Self {
        Selector::Here(Span::NONE)
    }

    /// Returns the selector of lab hosts by name or glob.
    pub fn hosts(name: impl Into<Spanned<String>>) -> Self {
        Selector::Hosts(name.into())
    }

    /// Returns the selector of a named network namespace.
    pub fn netns(name: impl Into<Spanned<String>>) -> Self {
        Selector::Netns(name.into())
    }
}

impl Fault {
    /// Makes a fault: an effect on packets, [`PacketFault`], or what an injector of the harness does, [`Custom`].
    pub fn new(name: impl Into<Spanned<String>>, action: impl Into<Action>, on: Selector) -> Self {
        let (name, action) = (name.into(), action.into());
        Fault { name, action, on, course: Course::Steady, proven_by: None, span: Span::NONE }
    }
}

impl Change {
    /// Makes a change: another program on a lab host, or what a fault may be as well.
    pub fn new(name: impl Into<Spanned<String>>, action: impl Into<Action>, on: Selector) -> Self {
        Change { name: name.into(), action: action.into(), on, span: Span::NONE }
    }
}

impl From<FaultSpec> for PacketFault {
    /// Takes it as happening to all packets that a target sends.
    fn from(spec: FaultSpec) -> Self {
        PacketFault { specs: vec![spec.into()], traffic: Traffic::default() }
    }
}

impl From<FaultSpec> for Action {
    fn from(spec: FaultSpec) -> Self {
        Action::Packets(spec.into())
    }
}

impl From<PacketFault> for Action {
    fn from(packets: PacketFault) -> Self {
        Action::Packets(packets)
    }
}

impl From<NameFault> for Action {
    fn from(names: NameFault) -> Self {
        Action::Names(names)
    }
}

impl NameFault {
    /// Makes one for the names that a pattern means.
    pub fn new(effect: NameEffect, of: impl Into<Spanned<String>>) -> Self {
        NameFault { effect: effect.into(), of: of.into() }
    }
}

impl From<Program> for Action {
    fn from(program: Program) -> Self {
        Action::Program(Box::new(program))
    }
}

impl From<Custom> for Action {
    fn from(custom: Custom) -> Self {
        Action::Custom(custom)
    }
}

impl PacketFault {
    /// Adds an effect on the same packets.
    #[must_use]
    pub fn and(mut self, spec: FaultSpec) -> Self {
        self.specs.push(spec.into());
        self
    }

    /// Limits it to packets to and from these objects; called again, to those as well.
    #[must_use]
    pub fn to(mut self, objects: Selector) -> Self {
        self.traffic.peers.add(Destination { who: Who::Objects(objects), port: None, span: Span::NONE });
        self
    }

    /// Limits it to packets with this port at either end; called again, to that one as well.
    #[must_use]
    pub fn on_port(self, port: u16) -> Self {
        self.on_ports(port.into())
    }

    /// Limits it to packets with one of these ports at either end; called again, to those as well.
    #[must_use]
    pub fn on_ports(mut self, ports: Ports) -> Self {
        self.traffic.ports.add(ports);
        self
    }

    /// Sets which way the packets go, as seen from the target.
    #[must_use]
    pub fn going(mut self, direction: Way) -> Self {
        self.traffic.direction = direction;
        self
    }
}

impl FaultSpec {
    /// Delays packets, each by the same time.
    pub fn delay(delay: Duration) -> Self {
        FaultSpec::Delay {
            delay,
            jitter: Duration::ZERO,
            correlation: 0.0,
            distribution: Distribution::Uniform,
        }
    }

    /// Loses this fraction of all packets, independently of each other.
    pub fn loss(ratio: f64) -> Self {
        FaultSpec::Loss { ratio, burst: None }
    }

    /// Adds an effect on the same packets.
    #[must_use]
    pub fn and(self, spec: FaultSpec) -> PacketFault {
        PacketFault::from(self).and(spec)
    }

    /// Limits it to packets to and from these objects.
    #[must_use]
    pub fn to(self, objects: Selector) -> PacketFault {
        PacketFault::from(self).to(objects)
    }

    /// Limits it to packets with this port at either end.
    #[must_use]
    pub fn on_port(self, port: u16) -> PacketFault {
        PacketFault::from(self).on_port(port)
    }

    /// Sets which way the packets go, as seen from the target.
    #[must_use]
    pub fn going(self, direction: Way) -> PacketFault {
        PacketFault::from(self).going(direction)
    }
}

impl Custom {
    /// Makes what the injector of this name does, without settings.
    pub fn new(injector: impl Into<Spanned<String>>) -> Self {
        Custom { injector: injector.into(), settings: Vec::new() }
    }

    /// Adds a setting.
    #[must_use]
    pub fn set(mut self, key: impl Into<Spanned<String>>, value: impl Into<SettingValue>) -> Self {
        self.settings.push(Setting { key: key.into(), value: value.into(), span: Span::NONE });
        self
    }
}

impl From<Quantity> for SettingValue {
    fn from(quantity: Quantity) -> Self {
        SettingValue::Quantity(quantity)
    }
}

impl From<Duration> for SettingValue {
    fn from(duration: Duration) -> Self {
        Quantity::duration(duration).into()
    }
}

impl From<&str> for SettingValue {
    fn from(text: &str) -> Self {
        SettingValue::Text(text.to_owned())
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

impl From<Duration> for Quantity {
    fn from(duration: Duration) -> Self {
        Quantity::duration(duration)
    }
}

impl Metric {
    /// Takes all samples of a probe; without a window it is one number for a phase.
    pub fn new(function: Function, probe: impl Into<Spanned<String>>) -> Self {
        Metric {
            function,
            probe: probe.into(),
            field: Field::Latency,
            filter: Vec::new(),
            over: None,
            span: Span::NONE,
        }
    }

    /// The share of measurements that succeeded.
    pub fn success(probe: impl Into<Spanned<String>>) -> Self {
        Metric::new(Function::Success, probe)
    }

    /// The latency that this fraction of all measurements does not exceed: 0.95 for p95.
    pub fn latency(probe: impl Into<Spanned<String>>, quantile: f64) -> Self {
        Metric::new(Function::Quantile(quantile), probe)
    }

    /// What a probe reads, such as a query's number, at each instant.
    pub fn value(probe: impl Into<Spanned<String>>) -> Self {
        Metric { field: Field::Value(Unit::Count), ..Metric::new(Function::Value, probe) }
    }

    /// Takes this part of each sample.
    #[must_use]
    pub fn of(mut self, field: Field) -> Self {
        self.field = field;
        self
    }

    /// Makes it a signal, by a window that slides over time.
    #[must_use]
    pub fn over(mut self, window: Duration) -> Self {
        self.over = Some(window);
        self
    }

    /// Claims that it is not below a value.
    pub fn at_least(self, value: impl Into<Quantity>) -> Comparison {
        self.compared(Op::AtLeast, Bound::Constant(value.into()))
    }

    /// Claims that it is not above a value.
    pub fn at_most(self, value: impl Into<Quantity>) -> Comparison {
        self.compared(Op::AtMost, Bound::Constant(value.into()))
    }

    /// Claims that it is below a value.
    pub fn below(self, value: impl Into<Quantity>) -> Comparison {
        self.compared(Op::Less, Bound::Constant(value.into()))
    }

    /// Claims that it is above a value.
    pub fn above(self, value: impl Into<Quantity>) -> Comparison {
        self.compared(Op::Greater, Bound::Constant(value.into()))
    }

    /// Claims that it exceeds its own value over the baseline by no more than so much.
    pub fn at_most_baseline_plus(self, offset: impl Into<Quantity>) -> Comparison {
        self.compared(Op::AtMost, Bound::Baseline { factor: 1.0, offset: offset.into().value })
    }

    /// Claims that it exceeds its own value over the baseline by at least so much.
    pub fn at_least_baseline_plus(self, offset: impl Into<Quantity>) -> Comparison {
        self.compared(Op::AtLeast, Bound::Baseline { factor: 1.0, offset: offset.into().value })
    }

    fn compared(self, op: Op, bound: Bound) -> Comparison {
        Comparison { metric: self, op, bound, span: Span::NONE }
    }
}

impl Comparison {
    /// Claims it of one number of a phase, judged with confidence; the metric has no window.
    pub fn during(self, phase: Phase) -> Claim {
        Claim::Statistic { comparison: self, during: phase, observed: false, confidence: None }
    }

    /// Like [`during`](Self::during), but the observed number decides, without inference.
    pub fn observed_during(self, phase: Phase) -> Claim {
        Claim::Statistic { comparison: self, during: phase, observed: true, confidence: None }
    }

    /// Claims that it comes to hold within so long after the event, and holds to the end of the run.
    pub fn settles(self, within: Duration, after: Event) -> Claim {
        Claim::Settles { predicate: self.into(), within, lasting: None, after }
    }

    /// Claims that it has held without interruption for so long.
    pub fn lasting(self, time: Duration) -> Predicate {
        Predicate::For { predicate: Box::new(self.into()), lasting: time }
    }
}

impl From<Comparison> for Predicate {
    fn from(comparison: Comparison) -> Self {
        Predicate::Compare(comparison)
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
