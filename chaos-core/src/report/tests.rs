//! Every report of every kind of run, and what must hold for all of them.

pub(super) mod records;
pub(super) mod schema;

mod closest;
mod document;
mod excerpt;
mod hostile;
mod html;
mod junit;
mod markdown;
mod matrix;
mod plan;
mod text;
mod verdict;
mod world;
