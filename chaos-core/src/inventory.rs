//! Finding objects: what a selector means in the world at hand.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use crate::{
    model::Selector,
    non_empty::NonEmpty,
    place::{Object, ObjectId, Place},
    trouble::Trouble,
    which::Which,
};

/// Finds the objects that selectors mean.
///
/// # Guarantees
/// It only reads. The same world gives the same objects in the same order, so that a seed makes the same picks again. It never
/// answers with nothing: [`NonEmpty`] leaves no empty list that could be taken for "all".
///
/// # Assumptions
/// Names are unique within a kind and a namespace. Objects may change between planning and injecting; what is injected on is
/// what was planned. Planning asks once for each selector. Right before injecting the limits of the blast radius are counted once
/// more, so that a share of objects that have become fewer is no greater than it may be.
///
/// # Errors
/// [`Kind::Absent`](crate::trouble::Kind::Absent) where a selector finds nothing, with what there is; `Permission` where the
/// world may not be read.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Returns the objects in a fixed order; a selector that finds nothing is an error.
    async fn find(&self, selector: &Selector) -> Result<NonEmpty<Object>, Trouble>;

    /// Returns each process of these names at an object, as an object of its own; none where processes are only started for the run.
    async fn processes(
        &self,
        _at: &ObjectId,
        _named: &Which<String>,
    ) -> Result<Option<NonEmpty<Object>>, Trouble> {
        Ok(None)
    }

    /// Returns the zone of each of these nodes that is in one; asked only where a target is picked per zone.
    async fn zones(&self, _nodes: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Trouble> {
        Err(Trouble::unable("no zones are known here"))
    }

    /// Returns where an object is, for injectors to look at when planning; none where it is only made for the run.
    async fn place(&self, _object: &ObjectId) -> Result<Option<Place>, Trouble> {
        Ok(None)
    }
}
