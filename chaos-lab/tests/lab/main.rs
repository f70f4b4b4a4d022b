//! Labs on the real kernel: brought up, used, broken, and gone.
//!
//! They take root; `rootless.rs` does the same as an ordinary user.

mod down;
mod environment;
mod harness;
mod network;
mod programs;
mod start;
