//! Finding objects: what a selector means in the world at hand.

use async_trait::async_trait;

use crate::{model::Selector, non_empty::NonEmpty, place::Object, trouble::Trouble};

/// Finds the objects that selectors mean. Only reads.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Returns the objects in a fixed order; a selector that finds nothing is an error.
    async fn find(&self, selector: &Selector) -> Result<NonEmpty<Object>, Trouble>;
}
