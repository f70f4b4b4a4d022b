//! A list of one thing at least: where nothing is left of it there is no list, rather than one that could mean everything.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

/// A list of one thing at least.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "Vec<T>", bound(deserialize = "T: Deserialize<'de>"))]
#[schemars(with = "Vec<T>", inline, extend("minItems" = 1))]
pub struct NonEmpty<T>(Vec<T>);

/// There is nothing in a list that must hold something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list is empty, and it has to name one at least")]
pub struct Empty;

impl<T> NonEmpty<T> {
    /// Makes a list of one.
    pub fn one(item: T) -> Self {
        NonEmpty(vec![item])
    }

    /// Returns what stands first.
    #[expect(clippy::indexing_slicing, reason = "invariant: there is one at least")]
    pub fn first(&self) -> &T {
        &self.0[0]
    }

    /// Returns what stands last, and all before it.
    #[expect(clippy::expect_used, reason = "invariant: there is one at least")]
    pub fn split_last(&self) -> (&T, &[T]) {
        self.0.split_last().expect("invariant: there is one at least")
    }

    /// Adds one at the end.
    pub fn push(&mut self, item: T) {
        self.0.push(item);
    }

    /// Turns each into something else.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> NonEmpty<U> {
        NonEmpty(self.0.into_iter().map(change).collect())
    }

    /// Gives up the guarantee.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T> TryFrom<Vec<T>> for NonEmpty<T> {
    type Error = Empty;

    fn try_from(list: Vec<T>) -> Result<Self, Empty> {
        if list.is_empty() { Err(Empty) } else { Ok(NonEmpty(list)) }
    }
}

impl<T> Deref for NonEmpty<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for NonEmpty<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> IntoIterator for NonEmpty<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a NonEmpty<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
