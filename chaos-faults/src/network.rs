//! What each network fault is to each mechanism, and which mechanism a fault gets.
//!
//! 1. Every kind of fault has a file: the order in which it would have the mechanisms, and how each expresses it.
//! 2. [`choose`] splits what is asked for among the mechanisms that are to be had, and says why not others.

mod bandwidth;
mod block;
mod choice;
mod corrupt;
mod cost;
mod delay;
mod duplicate;
mod loss;
mod partition;
mod reorder;

use chaos_core::model::{FaultSpec, fault::Refusal};

pub(crate) use self::choice::choose;
pub use self::cost::cost;
use crate::{
    backend::Mechanism,
    bpf,
    forwarder::Shape,
    netlink::{Netem, Tbf},
};

/// Why no mechanism here does what is not done to packets.
const NO_PACKETS: &str = "it changes packets, and no programs";

/// Returns the mechanisms that can do a fault at all, best first.
pub(crate) fn order(spec: &FaultSpec) -> &'static [Mechanism] {
    match spec {
        FaultSpec::Delay { .. } => delay::ORDER,
        FaultSpec::Loss { .. } => loss::ORDER,
        FaultSpec::Duplicate { .. } => duplicate::ORDER,
        FaultSpec::Corrupt { .. } => corrupt::ORDER,
        FaultSpec::Reorder { .. } => reorder::ORDER,
        FaultSpec::Bandwidth { .. } => bandwidth::ORDER,
        FaultSpec::Block { answer: Refusal::Reject, .. } => block::ORDER_REJECT,
        FaultSpec::Block { answer: Refusal::Drop, .. } => block::ORDER,
        FaultSpec::Partition => partition::ORDER,
        FaultSpec::Run { .. } => &[],
    }
}

/// Returns a fault as the action of a program on the interface.
pub(crate) fn action(spec: &FaultSpec) -> Result<bpf::Action, String> {
    match *spec {
        FaultSpec::Loss { ratio, burst } => loss::action(ratio, burst),
        FaultSpec::Duplicate { ratio } => duplicate::action(ratio),
        FaultSpec::Corrupt { ratio } => corrupt::action(ratio),
        FaultSpec::Block { connections, answer } => block::action(connections, answer),
        FaultSpec::Partition => Ok(partition::action()),
        FaultSpec::Delay { .. } | FaultSpec::Reorder { .. } | FaultSpec::Bandwidth { .. } => {
            Err("a program on an interface cannot hold packets".into())
        }
        FaultSpec::Run { .. } => Err(NO_PACKETS.into()),
    }
}

/// Returns several faults as one network emulator, with a queue long enough for what it holds.
pub(crate) fn netem(specs: &[FaultSpec], seed: u64) -> Result<Netem, String> {
    let mut netem = Netem { seed: Some(seed), ..Netem::default() };
    for spec in specs {
        match *spec {
            FaultSpec::Delay { delay, jitter, correlation, distribution } => {
                delay::netem(&mut netem, delay, jitter, correlation, distribution)?;
            }
            FaultSpec::Loss { ratio, burst } => loss::netem(&mut netem, ratio, burst)?,
            FaultSpec::Duplicate { ratio } => duplicate::netem(&mut netem, ratio),
            FaultSpec::Corrupt { ratio } => corrupt::netem(&mut netem, ratio),
            FaultSpec::Reorder { ratio, hold } => reorder::netem(&mut netem, ratio, hold),
            FaultSpec::Bandwidth { rate, .. } => bandwidth::netem(&mut netem, rate),
            FaultSpec::Block { connections, answer } => block::netem(&mut netem, connections, answer)?,
            FaultSpec::Partition => return Err("it sees only what is sent".into()),
            FaultSpec::Run { .. } => return Err(NO_PACKETS.into()),
        }
    }
    Ok(netem.with_sufficient_limit())
}

/// Returns several faults as what a forwarder does.
pub(crate) fn shape(specs: &[FaultSpec]) -> Result<Shape, String> {
    let mut shape = Shape::default();
    for spec in specs {
        match *spec {
            FaultSpec::Delay { delay, jitter, correlation, distribution } => {
                delay::shape(&mut shape, delay, jitter, correlation, distribution);
            }
            FaultSpec::Loss { ratio, burst } => loss::shape(&mut shape, ratio, burst)?,
            FaultSpec::Duplicate { ratio } => duplicate::shape(&mut shape, ratio)?,
            FaultSpec::Corrupt { ratio } => corrupt::shape(&mut shape, ratio)?,
            FaultSpec::Reorder { ratio, hold } => reorder::shape(&mut shape, ratio, hold)?,
            FaultSpec::Bandwidth { rate, burst } => bandwidth::shape(&mut shape, rate, burst),
            FaultSpec::Block { connections, answer } => block::shape(&mut shape, connections, answer)?,
            FaultSpec::Partition => partition::shape(&mut shape),
            FaultSpec::Run { .. } => return Err(NO_PACKETS.into()),
        }
    }
    shape.validate().map_err(|error| error.to_string())?;
    Ok(shape)
}

/// Returns a fault as a token bucket on an interface with this MTU.
pub(crate) fn token_bucket(specs: &[FaultSpec], mtu: u32) -> Result<Tbf, String> {
    match *specs {
        [FaultSpec::Bandwidth { rate, burst }] => bandwidth::token_bucket(rate, burst, mtu),
        _ => Err("it does nothing but limit a rate".into()),
    }
}
