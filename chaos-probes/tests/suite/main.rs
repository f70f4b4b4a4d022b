//! Probers against real sockets: on loopback, and inside a network namespace made for the test.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

mod alerts;
mod dns;
mod exec;
mod grpc;
mod http;
mod namespace;
mod places;
mod prometheus;
mod several;
mod tcp;
mod tls;
mod world;
