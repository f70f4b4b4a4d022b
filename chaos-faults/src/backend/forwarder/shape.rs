//! What a fault is to a forwarder.

use chaos_core::{
    model::{
        FaultSpec,
        packets::{Blocked, Refusal},
    },
    trouble::Trouble,
};

use crate::{
    backend::{inexpressible, tcx, tree::qdisc::QUEUEING},
    bpf::{Action, Loss},
    forwarder::{Rate, Shape},
    share::Share,
};

/// Returns several faults as what a forwarder does.
pub(crate) fn shape(specs: &[FaultSpec]) -> Result<Shape, Trouble> {
    let share = |ratio| Share::new(ratio).map_err(inexpressible);
    let mut shape = Shape::default();
    for spec in specs {
        match *spec {
            FaultSpec::Delay { delay, jitter, correlation, distribution, ordered } => {
                shape.delay += delay;
                shape.jitter = jitter;
                shape.correlation = correlation;
                shape.distribution = distribution;
                shape.ordered = ordered;
            }
            // The chain of states is that of the program on the interface.
            FaultSpec::Loss { .. } => {
                if let Action::Drop(loss) = tcx::action(spec)? {
                    shape.loss = Some(loss);
                }
            }
            FaultSpec::Duplicate { ratio } => shape.duplicate = share(ratio)?,
            FaultSpec::Corrupt { ratio } => shape.corrupt = share(ratio)?,
            // Joined with a delay the others are held for both; those that go at once overtake both.
            FaultSpec::Reorder { ratio, hold } => {
                shape.reorder = share(ratio)?;
                shape.delay += hold;
            }
            FaultSpec::Bandwidth { rate, burst } => {
                shape.rate = Some(Rate { bits_per_second: rate, burst_bytes: burst, longest_wait: QUEUEING });
            }
            FaultSpec::Block { answer: Refusal::Reject, .. } => {
                return Err(inexpressible("it cannot answer the sender"));
            }
            FaultSpec::Block { connections: Blocked::New | Blocked::Established, .. } => {
                return Err(inexpressible("it cannot tell new connections from established ones"));
            }
            FaultSpec::Block { connections: Blocked::All, answer: Refusal::Drop } | FaultSpec::Partition => {
                shape.loss = Some(Loss::Independent(Share::ALL));
            }
        }
    }
    shape.validate().map_err(inexpressible)?;
    Ok(shape)
}
