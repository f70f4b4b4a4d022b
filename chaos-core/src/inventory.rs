//! Finding objects: what a selector means in the world at hand.

use async_trait::async_trait;

use crate::{model::Selector, place::Object, span::Span};

/// Finds the objects that selectors mean. Only reads.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Returns the objects in a fixed order; a selector that finds nothing is an error.
    async fn find(&self, selector: &Selector) -> Result<Vec<Object>, InventoryError>;
}

/// Why objects were not found.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct InventoryError {
    /// What went wrong.
    pub message: String,
    /// The likely fix.
    pub help: Option<String>,
    /// The selector's place.
    pub span: Span,
}
