//! What surrounds a run: something that is set up before it and taken down after it.

use async_trait::async_trait;

use crate::{
    place::{ObjectId, Place},
    trouble::Trouble,
};

/// Something broke that a run depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What broke, and how, for people.
    pub why: String,
    /// The object on which a program ended; none for the whole of the world. Where the run itself ends programs on it, that is a
    /// consequence of the fault, and breaks nothing.
    pub program_on: Option<ObjectId>,
}

impl Broken {
    /// The world as a whole is not there any more.
    pub fn whole(why: impl Into<String>) -> Self {
        Broken { why: why.into(), program_on: None }
    }
}

/// The world that a run takes place in: a lab that it makes, or the machine as it is.
///
/// # Guarantees
/// `up` returns only when everything is ready. `down` leaves nothing of what `up` made, and looks. A place that is not known is an
/// error, never the runner's own machine.
///
/// # Assumptions
/// The runner calls `up` once and `down` at least once, also after a failed `up` or a panic; `place`, `broken` and `logs` only in
/// between, and several at once. It bounds the time of each call.
///
/// # Errors
/// A [`Trouble`] whose kind distinguishes a missing right from something that is wrong: the first ends a run as not permitted, the second
/// as refused. An error of `down` makes a run not restored.
#[async_trait]
pub trait Environment: Send + Sync {
    /// Makes the world; succeeds only when everything in it is ready. Reports each notable step.
    async fn up(&self, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<(), Trouble>;

    /// Returns where an object is; valid between `up` and `down`.
    async fn place(&self, object: &ObjectId) -> Result<Place, Trouble>;

    /// Waits until something breaks that the run depends on, such as a program of a lab host that ends.
    ///
    /// Called again where the run does not depend on that after all.
    async fn broken(&self) -> Broken {
        std::future::pending().await
    }

    /// Returns what programs of this object wrote, for the evidence.
    async fn logs(&self, _object: &ObjectId) -> Vec<String> {
        Vec::new()
    }

    /// Unmakes the world and proves that it is gone. Succeeds when `up` never ran, half ran, or this ran before.
    async fn down(&self) -> Result<(), Trouble>;
}
