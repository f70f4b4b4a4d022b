//! Claims as the language writes them.

use std::{fmt, time::Duration};

use super::{Bound, Claim, Comparison, Event, Op, Phase, Predicate};
use crate::model::quantity::{Quantity, Unit, format_seconds};

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Less => "<",
            Op::AtMost => "<=",
            Op::Greater => ">",
            Op::AtLeast => ">=",
        })
    }
}

impl Comparison {
    fn offset(&self, f: &mut fmt::Formatter<'_>, offset: f64) -> fmt::Result {
        if offset == 0.0 {
            return Ok(());
        }
        let unit = match self.metric.unit() {
            Unit::Ratio => Unit::Points,
            unit => unit,
        };
        let sign = if offset < 0.0 { '-' } else { '+' };
        write!(f, " {sign} {}", Quantity::new(offset.abs(), unit))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.metric.alert().is_some() {
            return write!(f, "{} fires", self.metric);
        }
        write!(f, "{} {} ", self.metric, self.op)?;
        match &self.bound {
            Bound::Constant(q) => write!(f, "{q}"),
            Bound::Baseline { factor, offset } => {
                if *factor != 1.0 {
                    write!(f, "{factor} x ")?;
                }
                f.write_str("baseline")?;
                self.offset(f, *offset)
            }
            Bound::Metric { factor, metric, offset } => {
                if *factor != 1.0 {
                    write!(f, "{factor} x ")?;
                }
                write!(f, "{metric}")?;
                self.offset(f, *offset)
            }
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, all: &[Predicate], word: &str| {
            for (i, p) in all.iter().enumerate() {
                if i > 0 {
                    write!(f, " {word} ")?;
                }
                match p {
                    Predicate::Compare(_) | Predicate::Not(_) => write!(f, "{p}")?,
                    _ => write!(f, "({p})")?,
                }
            }
            Ok(())
        };
        match self {
            Predicate::Compare(c) => write!(f, "{c}"),
            Predicate::For { predicate, lasting } => {
                let lasting = format_seconds(lasting.as_secs_f64());
                match **predicate {
                    Predicate::Compare(_) => write!(f, "{predicate} for {lasting}"),
                    _ => write!(f, "({predicate}) for {lasting}"),
                }
            }
            Predicate::Not(p) => write!(f, "not ({p})"),
            Predicate::All(all) => list(f, all, "and"),
            Predicate::Any(all) => list(f, all, "or"),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Phase::Baseline => f.write_str("baseline"),
            Phase::Fault(None) => f.write_str("fault"),
            Phase::Fault(Some(name)) => f.write_str(name),
            Phase::Watch => f.write_str("watch"),
            Phase::WholeRun => f.write_str("whole run"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Rollback => f.write_str("rollback"),
            Event::RollbackStarts => f.write_str("rollback starts"),
            Event::Starts(name) => write!(f, "{name} starts"),
            Event::Ends(name) => write!(f, "{name} ends"),
            Event::Made(name) => write!(f, "{name} made"),
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |d: &Duration| format_seconds(d.as_secs_f64());
        let list = |f: &mut fmt::Formatter<'_>, all: &[Claim], word: &str| {
            for (i, c) in all.iter().enumerate() {
                write!(f, "{}({c})", if i == 0 { String::new() } else { format!(" {word} ") })?;
            }
            Ok(())
        };
        match self {
            Claim::Statistic { comparison, during, observed, confidence } => {
                write!(f, "{comparison} during {during}{}", if *observed { " observed" } else { "" })?;
                match confidence {
                    Some(share) => write!(f, " with {} confidence", Quantity::ratio(*share)),
                    None => Ok(()),
                }
            }
            Claim::Always { predicate, during } => write!(f, "always {predicate} during {during}"),
            Claim::Never { predicate, during } => write!(f, "never {predicate} during {during}"),
            Claim::Unless { predicate, unless, during } => match unless {
                Predicate::Compare(_) => write!(f, "always {predicate} unless {unless} during {during}"),
                _ => write!(f, "always {predicate} unless ({unless}) during {during}"),
            },
            Claim::Completes { probe, within, open_at } => {
                let within = time(within);
                write!(f, "for each request of {probe} open when {open_at}: completes ok within {within}")
            }
            Claim::Each { variable, of, claim, .. } => write!(f, "for each {variable} in {of}: {claim}"),
            Claim::Given { condition, claim } => write!(f, "given {condition}: {claim}"),
            Claim::Eventually { predicate, within, during } => {
                write!(f, "eventually {predicate} within {} of {during}", time(within))
            }
            Claim::Within { predicate, within, after } => {
                write!(f, "{predicate} within {} after {after}", time(within))
            }
            Claim::Stops { predicate, within, after } => {
                write!(f, "stops {predicate} within {} after {after}", time(within))
            }
            Claim::Stays { predicate, lasting, after } => {
                write!(f, "stays {predicate} for {} after {after}", time(lasting))
            }
            Claim::Settles { predicate, within, lasting, after } => {
                match predicate {
                    Predicate::Compare(c) => {
                        let text = c.to_string();
                        let metric = c.metric.to_string();
                        write!(f, "{metric} settles to{}", &text[metric.len()..])?;
                    }
                    other => write!(f, "settles ({other})")?,
                }
                write!(f, " within {}", time(within))?;
                if let Some(lasting) = lasting {
                    write!(f, " for {}", time(lasting))?;
                }
                write!(f, " after {after}")
            }
            Claim::All(all) => list(f, all, "and"),
            Claim::Any(all) => list(f, all, "or"),
        }
    }
}
