//! Chaos experiments for harnesses: the usual world of an experiment, wired in one line.
//!
//! 1. [`play`] comes first in `main`: labs and agents are processes, and this executable is started again to be them.
//! 2. [`World::of`] wires what an experiment needs: where objects are found, what surrounds the run, what injects, what
//!    measures. [`WorldBuilder`] adds a harness's own parts and changes the usual ones.
//! 3. [`World::plan`] says what would be touched, [`World::run`] runs the plan and puts everything back.
//! 4. [`Restorers`] is the same list of injectors for finishing what a killed run left behind.
//! 5. [`Worlds`] carries out many runs, for the matrices and searches of [`core::series`]; `Scenario` is a `.chaos` file that is
//!    searched.
//!
//! The libraries themselves are re-exported as [`core`], [`agent`], [`faults`], `kube`, `lab`, `probes` and `dsl`; the last four are
//! behind the features `kube`, `lab`, `probes` and `language`.
//!
//! ```no_run
//! use chaos::{World, core::model::Experiment};
//!
//! async fn holds(experiment: &Experiment) -> Result<bool, Box<dyn std::error::Error>> {
//!     let world = World::of(experiment)?;
//!     let plan = world.plan(experiment, 7).await?;
//!     let finished = world.run(&plan).await?;
//!     Ok(chaos::core::outcome::result(&finished.record).verdict == chaos::core::outcome::Verdict::Passed)
//! }
//! ```

mod entered;
mod machine;
mod roles;
#[cfg(feature = "language")]
mod scenario;
mod series;
mod world;

pub use chaos_agent as agent;
pub use chaos_core as core;
#[cfg(feature = "language")]
pub use chaos_dsl as dsl;
pub use chaos_faults as faults;
#[cfg(feature = "kube")]
pub use chaos_kube as kube;
#[cfg(feature = "lab")]
pub use chaos_lab as lab;
#[cfg(feature = "probes")]
pub use chaos_probes as probes;

pub use entered::Entered;
pub use machine::{AGENT_IMAGE, Restorers};
#[cfg(feature = "lab")]
pub use roles::become_able;
pub use roles::{play, serve_agent};
#[cfg(feature = "language")]
pub use scenario::{NoExperiment, Scenario};
pub use series::Worlds;
pub use world::{World, WorldBuilder};
