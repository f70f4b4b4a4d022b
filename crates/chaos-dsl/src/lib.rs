//! Placeholder tour, replaced by the crate's own.
