//! How another harness runs chaos experiments from Rust; made to be copied.
//!
//! 1. [`pair`] is what such a harness has anyway: here two network namespaces that it made itself, and an echo service.
//! 2. [`doors`] is what it writes to embed chaos: where its objects are, and how to take one measurement.
//! 3. `bin/embedded.rs` builds an experiment in code and runs it on them, with faults held by a thread of its own process.
//! 4. `bin/lab.rs` runs one in a lab, and `bin/compiled.rs` one from `.chaos` text; the first line of their
//!    `main` lets the executable also be the lab's processes and the agent.
//! 5. `tests/embedded.rs` does it in a `#[tokio::test]`.
//! 6. [`queue`] is a fault and a probe of the harness's own: `tests/custom.rs` names them in a text, and `tests/series.rs` makes
//!    the many runs of a matrix and of a search with them.
//!
//! `docs/embedding.md` explains them:
//!
#![doc = include_str!("../../docs/embedding.md")]

pub mod doors;
pub mod pair;
pub mod queue;
