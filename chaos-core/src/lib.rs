//! The model, planning, running, judging and reporting of chaos experiments, without I/O on any target.
//!
//! 1. [`model`] is a checked experiment, from the language or built in code.
//! 2. [`plan`] resolves it: what exactly is touched, with what, how it is undone.
//! 3. [`inventory`], [`environment`], [`injector`] and [`probe`] are the doors to the world.
//! 4. [`run`] carries a plan out, [`verdict`] judges, [`report`] tells; [`recorded`] judges again what was run before;
//!    [`search`] looks for the intensity at which an experiment breaks.

pub mod environment;
pub mod injector;
pub mod inventory;
pub mod journal;
pub mod model;
pub mod place;
pub mod plan;
pub mod probe;
pub mod recorded;
pub mod recording;
pub mod report;
pub mod restore;
pub mod run;
pub mod search;
pub mod source;
pub mod span;
pub mod testing;
pub mod time;
pub mod verdict;
