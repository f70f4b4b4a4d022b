//! The agent: hosts injectors and probers where it was started, and puts everything back on its own when nobody asks any
//! more.
//!
//! 1. [`protocol`] is what is said: frames of JSON with a length in front, over any two streams.
//! 2. A [`Host`] holds what an agent can do: any set of [`Injector`](chaos_core::injector::Injector)s, and the
//!    [`Probers`](chaos_core::probe::Probers) whose probes it measures.
//! 3. [`server`] is the agent itself. Whatever is injected is on its undo [`stack`] first; end of input, a missed
//!    heartbeat, a signal or the deadline that came with a fault each make it revert in reverse order, on its own.
//!    [`measuring`] runs core's load engine there and sends samples, as fast as the runner takes them.
//! 4. [`transport`] starts one: a child process, or a thread of this process where there is no executable to start.
//! 5. [`client`] is the runner's side. [`Agents`] starts agents, watches over them, kills one that hangs, and reverts
//!    through a fresh one whatever a dead one left; it shows each remote injector as an
//!    [`Injector`](chaos_core::injector::Injector), and what an agent measures as a [`Feed`](chaos_core::probe::Feed).
//!
//! This crate knows neither faults nor protocols of probes: the program that offers agents brings them. It has a hidden
//! subcommand that calls [`serve_standard_streams`] with its own [`Host`].

mod bounds;
pub mod client;
mod descriptors;
mod host;
mod lifesign;
mod measuring;
mod priority;
pub mod protocol;
pub mod server;
mod stack;
pub mod transport;

pub use client::{AgentInjector, AgentProbers, Agents};
pub use host::{Host, Settings};
pub use server::{Stop, serve, serve_standard_streams};
pub use transport::{ChildProcess, OwnThread, Transport};
