//! Probers that only read the world: HTTP, TCP, TLS, DNS, gRPC, commands, Prometheus, alerts.
//!
//! 1. [`StandardProbers`] opens a probe at a place: it checks what can be checked before the run, and resolves secrets.
//! 2. `socket` makes sockets inside the place's network namespace; they are driven on the caller's own runtime.
//! 3. `names` reads what a place's files say of names; `resolve` finds addresses as they have them, asking DNS servers with
//!    `query`; `rank` sorts them, and `reach` connects to the first that answers.
//!    [`PlaceNames`] is the same for faults.
//! 4. `http`, `tcp`, `tls`, `dns`, `grpc` and `exec` each take one measurement per call, over connections that `dial` opens and
//!    `secure` encrypts; `prometheus` reads one number and `alerts` what fires, through `api`. When to start the next one, how many at once and
//!    how long to wait is the load engine's business: dropping a measurement ends it and closes its connection.
//!
//! Probes of TCP, DNS and commands are always there; `http` (with readings and alerts), `tls` and `grpc` are features, on by
//! default. A probe whose feature is off is refused when it is opened, by name.
//!
//! ```no_run
//! # async fn example(probe: chaos_core::model::Probe, place: chaos_core::place::Place) -> Result<(), Box<dyn std::error::Error>> {
//! use chaos_core::probe::Probers;
//!
//! let probers = chaos_probes::StandardProbers::new().secrets(|name| std::env::var(name).ok());
//! let prober = probers.open(&probe, &place).await?.each()?;
//! let seen = prober.once().await;
//! println!("{:?} with status {:?}", seen.outcome, seen.status);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    not(all(feature = "http", feature = "tls")),
    allow(
        dead_code,
        reason = "conditions and labels also know what only probes of a feature that is off can see"
    )
)]

#[cfg(feature = "http")]
mod alerts;
#[cfg(feature = "http")]
mod api;
mod condition;
#[cfg(any(feature = "tls", feature = "grpc"))]
mod dial;
mod dns;
mod endpoint;
#[cfg(feature = "exec")]
mod exec;
mod failure;
mod find;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "http")]
mod http;
mod label;
mod look_up;
mod names;
#[cfg(feature = "http")]
mod prometheus;
mod query;
mod rank;
mod reach;
mod resolve;
mod secrets;
#[cfg(any(feature = "http", feature = "tls", feature = "grpc"))]
mod secure;
mod socket;
mod standard;
mod tcp;
#[cfg(feature = "tls")]
mod tls;

pub use look_up::PlaceNames;
pub use standard::StandardProbers;
