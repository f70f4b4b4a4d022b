//! The model, planning, running, judging and reporting of chaos experiments, without I/O on any target.
//!
//! 1. [`model`] is a checked experiment, from the language or built in code.
//! 2. [`inventory`], [`environment`], [`injector`] and [`probe`] are the traits through which core reaches the world.
//! 3. [`plan`] resolves it: what exactly is touched, with what, how it is undone; [`soundness`] refuses what shows nothing.
//! 4. [`run`] carries a plan out, with a [`journal`] of what it owes, and [`judge`] judges with the mathematics of [`verdict`].
//! 5. [`outcome`] ranks how a run ended, [`report`] writes it down, [`bundle`] keeps everything of it in a folder, and
//!    [`recorded`] judges it again; [`search`] looks for the intensity at which an experiment breaks, and [`series`] makes
//!    the many runs that this and a matrix take.
//! 6. [`explain`] says an experiment in plain English, before anything is run.

pub mod bundle;
pub mod capability;
pub mod environment;
pub mod explain;
pub mod fingerprint;
pub mod injector;
pub mod inventory;
pub mod journal;
pub mod judge;
pub mod model;
pub mod non_empty;
pub mod ordinary;
pub mod outcome;
pub mod owned;
pub mod place;
pub mod plan;
pub mod probe;
pub mod recorded;
pub mod recording;
pub mod remark;
pub mod report;
pub mod restore;
pub mod run;
pub mod search;
pub mod series;
pub mod soundness;
pub mod source;
pub mod span;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod trouble;
pub mod verdict;
pub mod which;
