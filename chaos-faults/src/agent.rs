//! The agent: does host-side work where it was started, and undoes it by itself when nobody asks any more.
//!
//! 1. [`protocol`] is what is said: frames of JSON with a length in front, over any two streams.
//! 2. [`server`] is the agent itself. Whatever is injected is on its undo [`stack`] first; end of input, a missed
//!    heartbeat, a signal or the deadline that came with a fault each make it revert in reverse order, on its own.
//! 3. [`transport`] starts one: a child process, or a thread of this process where there is no executable to start.
//! 4. [`client`] is an [`Injector`](chaos_core::injector::Injector) whose work an agent does. It watches over the agent,
//!    kills one that hangs, and reverts through a fresh one whatever a dead one left.
//!
//! A program that offers agents has a hidden subcommand that calls [`serve_standard_streams`].

pub mod client;
pub mod protocol;
pub mod server;
mod stack;
pub mod transport;

pub use client::AgentInjector;
pub use server::{Stop, serve, serve_standard_streams};
pub use transport::{ChildProcess, OwnThread, Transport};
