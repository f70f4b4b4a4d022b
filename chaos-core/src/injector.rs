//! Changing the world and putting it back.

mod ask;
mod lookup;
mod measured;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    capability::Capability,
    model::Action,
    place::{Object, ObjectId, Place, Site},
    trouble::Trouble,
};

pub use crate::model::packets::{Ports, Protocol};
pub use ask::{Ask, Direction, Named, NamedPeer, Names, PacketMatch, Packets, Peer, Work};
pub use lookup::{LookUp, LookedUp};
pub use measured::{Done, Measured, Recovered, Unit};

/// What is known, when planning, of where something is to be done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The place; none where it is only made for the run.
    pub place: Option<Place>,
    /// What was planned for the same object and is in place by then, oldest first.
    pub below: Vec<Offer>,
}

/// What an injector would do for an ask, or for a part of its specs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Offer {
    /// The mechanism's name, such as `tcx`, `netem`, `forwarder`; goes into plan and report.
    pub backend: String,
    /// The part of the ask that this mechanism does.
    pub ask: Ask,
    /// What ends it if everything else fails.
    pub hold: Hold,
    /// What it does, a line each, for people.
    pub does: Vec<String>,
    /// How it is undone, one line.
    pub undoes: String,
    /// Why an otherwise preferred mechanism was not chosen, a line each.
    pub because: Vec<String>,
    /// Other objects that go along with the one that is asked for, as pods do with a Deployment that is scaled down; the blast radius
    /// counts them as well. Which of several alike will go may turn out otherwise, how many will not. The one that is asked for is
    /// among them where only its injector knows what protects it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes: Vec<Object>,
}

/// What ends a fault if its runner dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// A kernel object that lives only as long as the agent's descriptor: ends with the agent, however it dies, and at the deadline
    /// also where the agent hangs.
    Kernel,
    /// The agent: it reverts at end of input, a missed heartbeat or the deadline; if it is killed together with the runner,
    /// `chaos restore` must finish.
    Agent,
    /// The environment that was made for the run: it goes with its runner, and the fault with it.
    Environment,
    /// Nothing: it stays as it is until the run's record is replayed, by the runner or by `chaos restore`.
    Record,
    /// Nothing has to: what is done is over at once, and nothing is put back.
    Over,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hold::Kernel => "kernel-held",
            Hold::Agent => "agent-held",
            Hold::Environment => "environment-held",
            Hold::Record => "on record only",
            Hold::Over => "not put back",
        })
    }
}

/// Everything needed to put one thing back; written to the journal before that thing is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Undo {
    /// Unique within the run: `FAULT/OBJECT/NUMBER`.
    pub id: String,
    /// The injector that made it and understands its state.
    pub injector: String,
    /// What was offered and accepted.
    pub offer: Offer,
    /// Where it is to be put back.
    pub site: Site,
    /// How long after injection the fault ends, whoever is still alive then.
    pub deadline: Duration,
    /// The exact prior state, what was chosen for this run, and what tells the site from another one at the same path; only its
    /// injector reads it.
    pub state: serde_json::Value,
    /// What reverting does, one line for people.
    pub line: String,
}

/// Faults that ended although nobody asked for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The ids of their undo records.
    pub ids: Vec<String>,
    /// What happened, for people.
    pub reason: String,
}

/// Changes the world and puts it back. Do and undo sit side by side in each implementation.
///
/// From a successful `prepare` on, the caller owes a `revert`, also if `inject` failed or was never called.
///
/// # Guarantees
/// `offer` and `prepare` change nothing that lasts. What `inject` changes is exactly what `revert` takes away, found again by the
/// [`Undo`] alone, also in another process: own handles, own tables, own fields, never "whatever is there". `revert` reads back and
/// succeeds only when the injector's own parts are absent; it succeeds when `inject` never ran, half ran, or was reverted before. A
/// fault ends at its deadline, as its [`Hold`] says.
///
/// # Assumptions
/// The undo was kept before `inject` is called. Calls for different objects run at the same time; those for one object come one
/// after another, and are reverted in reverse. Any call may be dropped half-way, and a `revert` follows.
///
/// # Errors
/// A [`Trouble`] that says what could not be done, where and why, and by its kind whether a right is
/// missing. An error of `inject` does not undo what it did: the `revert` does. After an error of `revert` it is called again.
#[async_trait]
pub trait Injector: Send + Sync {
    /// Returns the name under which undo records find their injector.
    fn name(&self) -> &str;

    /// Returns whether it does actions of this kind at all. What it does not handle is never offered to it; that is not a
    /// denial.
    fn handles(&self, action: &Action) -> bool;

    /// Finds out what it could do on this machine, or in the cluster that it was given, and what not, for `doctor`; touches nothing
    /// that lasts. Says nothing unless overridden.
    async fn capabilities(&self) -> Result<Vec<Capability>, Trouble> {
        Ok(Vec::new())
    }

    /// Finds out, touching nothing that lasts, how an ask can be met: one offer, or several that share its specs. What can be seen
    /// of the place already and would make `prepare` or `inject` fail is refused here.
    async fn offer(&self, ask: &Ask, around: &Surroundings) -> Result<Vec<Offer>, Trouble>;

    /// Reads the prior state and decides everything that is left to decide; changes nothing. `deadline` is how long after
    /// injection the fault ends on its own, as its [`Hold`] says.
    async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, Trouble>;

    /// Puts the fault in place and confirms it by reading back.
    async fn inject(&self, undo: &Undo) -> Result<(), Trouble>;

    /// Puts the prior state back and proves it by reading back.
    ///
    /// Succeeds when `inject` never ran, half ran, or `revert` already ran, also in another process.
    async fn revert(&self, undo: &Undo) -> Result<(), Trouble>;

    /// Lets traffic of several faults pass at once, where that takes no time; a revert of each follows.
    ///
    /// A revert may have to wait for the kernel, and with it whatever is reverted after it. Does nothing unless overridden.
    async fn release(&self, _undos: &[Undo]) {}

    /// Measures what the fault did so far; still answers after `revert`.
    async fn effect(&self, undo: &Undo) -> Result<Measured, Trouble>;

    /// Waits until what was reverted is whole again in the world, where that may be later than the revert; whoever calls bounds the time.
    /// None where there is nothing to wait for, which is so unless overridden.
    async fn recovered(&self, _undo: &Undo) -> Option<Recovered> {
        None
    }

    /// Waits until faults are lost that should be in place, such as by the death of the agent that held them.
    async fn lost(&self) -> Lost {
        std::future::pending().await
    }

    /// Says what stands of a part in the world, whoever holds it, a line each; changes nothing.
    ///
    /// Without a way to look, which is the default, that is an error, and only a revert shows.
    async fn standing(&self, _undo: &Undo) -> Result<Vec<String>, Trouble> {
        Err(Trouble::unable(format!("the injector `{}` cannot look without reverting", self.name())))
    }

    /// Says what of this injector's making stands on an object, whoever made it, a line each, with what removes it; changes
    /// nothing. For runs whose records are lost.
    async fn leftovers(&self, _object: &ObjectId) -> Result<Vec<String>, Trouble> {
        Ok(Vec::new())
    }

    /// Says what others changed meanwhile where a reverted fault was, a line each: that is theirs, and stays.
    async fn changed_by_others(&self, _undo: &Undo) -> Vec<String> {
        Vec::new()
    }

    /// Returns what the kernel says of a place (links, qdiscs, filters, BPF links), for the evidence.
    async fn evidence(&self, _place: &Place) -> Vec<String> {
        Vec::new()
    }
}
