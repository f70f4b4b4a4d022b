//! Every report of every kind of run, and what must hold for all of them.

pub(super) mod records;

mod document;
mod text;
mod verdict;
