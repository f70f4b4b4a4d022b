//! A fault or a change, and what either does.

use std::time::Duration;

use crate::{
    model::{
        Action, Change, Course, Custom, Fault, FaultSpec, NameEffect, NameFault, ObjectFault, PacketFault,
        ProcessFault, Program, Quantity, Selector, Traffic,
        action::{Setting, SettingValue},
        packets::{Destination, Distribution, Ports, Way, Who},
    },
    span::{Span, Spanned},
};

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

impl From<ObjectFault> for Action {
    fn from(objects: ObjectFault) -> Self {
        Action::Objects(objects)
    }
}

impl From<ProcessFault> for Action {
    fn from(processes: ProcessFault) -> Self {
        Action::Processes(processes)
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

    /// Limits it to packets to and from all addresses that this name has at the target; called again, to those as well.
    #[must_use]
    pub fn to_name(mut self, name: impl Into<String>, port: Option<Ports>) -> Self {
        self.traffic.peers.add(Destination { who: Who::Name(name.into()), port, span: Span::NONE });
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
            ordered: false,
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
