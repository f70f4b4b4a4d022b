//! What a fault is to the kernel's queues.

use std::time::Duration;

use chaos_core::{
    model::{
        self, FaultSpec,
        packets::{Blocked, Refusal},
    },
    trouble::Trouble,
};

use super::Mechanism;
use crate::{
    backend::inexpressible,
    netlink::{
        Distribution, Loss, Netem, Probability, QdiscOptions, Tbf,
        netem::{Rate, Reorder},
    },
    share::{Bursts, Share},
};

/// How long a packet waits at most before the queue is full and loses it, as a router with a plain buffer would.
pub(crate) const QUEUEING: Duration = Duration::from_millis(200);

/// Returns the qdisc that a fault's packets pass, some of which another fault below delays.
pub(crate) fn of(
    mechanism: Mechanism,
    specs: &[FaultSpec],
    below: Duration,
    seed: u64,
    mtu: u32,
) -> Result<QdiscOptions, Trouble> {
    if mechanism == Mechanism::Tbf && below.is_zero() {
        return token_bucket(specs, mtu).map(QdiscOptions::Tbf);
    }
    let mut netem = netem(specs, seed)?;
    netem.delay += below;
    Ok(netem.with_sufficient_limit().into())
}

/// Returns several faults as one network emulator, with a queue long enough for what it holds.
pub(crate) fn netem(specs: &[FaultSpec], seed: u64) -> Result<Netem, Trouble> {
    let share = |ratio| Share::new(ratio).map_err(inexpressible);
    let mut netem = Netem { seed: Some(seed), ..Netem::default() };
    for spec in specs {
        match *spec {
            FaultSpec::Delay { delay, jitter, correlation, distribution, ordered } => {
                if ordered && !jitter.is_zero() {
                    return Err(inexpressible("its jitter lets packets overtake each other"));
                }
                if jitter > Netem::LARGEST_JITTER {
                    return Err(inexpressible(format!("it cuts a jitter at {:?}", Netem::LARGEST_JITTER)));
                }
                netem.delay += delay;
                netem.jitter = jitter;
                netem.delay_correlation = Probability::of(share(correlation)?);
                netem.distribution = match distribution {
                    model::Distribution::Uniform => Distribution::Uniform,
                    model::Distribution::Normal => Distribution::Normal,
                    model::Distribution::Pareto => Distribution::Pareto,
                };
            }
            FaultSpec::Loss { ratio, burst: None } => netem.loss = Loss::random(share(ratio)?),
            FaultSpec::Loss { ratio, burst: Some(length) } => {
                let bursts = Bursts::of_length(share(ratio)?, length.into());
                netem.loss = bursts.map_err(inexpressible)?.into();
            }
            FaultSpec::Duplicate { ratio } => netem.duplicate = Probability::of(share(ratio)?),
            FaultSpec::Corrupt { ratio } => netem.corrupt = Probability::of(share(ratio)?),
            // Joined with a delay the others are held for both; those that go at once overtake both.
            FaultSpec::Reorder { ratio, hold } => {
                netem.delay += hold;
                netem.reorder = Some(Reorder {
                    probability: Probability::of(share(ratio)?),
                    correlation: Probability::NEVER,
                    gap: 1,
                });
            }
            FaultSpec::Bandwidth { rate, .. } => {
                netem.rate = Some(Rate { bytes_per_second: (rate / 8).max(1), ..Rate::default() });
            }
            FaultSpec::Block { answer: Refusal::Reject, .. } => {
                return Err(inexpressible("it cannot answer the sender"));
            }
            FaultSpec::Block { connections: Blocked::New | Blocked::Established, .. } => {
                return Err(inexpressible("it cannot tell new connections from established ones"));
            }
            FaultSpec::Block { connections: Blocked::All, answer: Refusal::Drop } => {
                netem.loss = Loss::random(Share::ALL);
            }
            FaultSpec::Partition => return Err(inexpressible("it sees only what is sent")),
        }
    }
    Ok(netem.with_sufficient_limit())
}

/// Returns a fault as a token bucket on an interface with this MTU.
pub(crate) fn token_bucket(specs: &[FaultSpec], mtu: u32) -> Result<Tbf, Trouble> {
    let [FaultSpec::Bandwidth { rate, burst }] = *specs else {
        return Err(inexpressible("it does nothing but limit a rate"));
    };
    let burst = u32::try_from(burst).map_err(|_| inexpressible("its bursts are below 4 GiB"))?;
    let default = Tbf::for_rate((rate / 8).max(1), mtu, QUEUEING);
    // A bucket smaller than a packet would let none pass, ever.
    let smallest = mtu.saturating_add(18);
    let burst = burst.max(smallest);
    Ok(Tbf { burst, limit: default.limit.saturating_sub(default.burst).saturating_add(burst), ..default })
}

/// What a queue does to packets, as far as its counters show.
#[derive(PartialEq, Eq)]
pub(super) enum Counted {
    Hold,
    Limit,
    Lose,
    /// netem does not count what it doubles, damages or lets overtake.
    Uncounted,
}

/// Returns which of its counters say what it did.
pub(super) fn counted(spec: &FaultSpec) -> Counted {
    match spec {
        FaultSpec::Delay { .. } => Counted::Hold,
        FaultSpec::Bandwidth { .. } => Counted::Limit,
        FaultSpec::Loss { .. } | FaultSpec::Block { .. } => Counted::Lose,
        FaultSpec::Reorder { .. }
        | FaultSpec::Duplicate { .. }
        | FaultSpec::Corrupt { .. }
        | FaultSpec::Partition => Counted::Uncounted,
    }
}
