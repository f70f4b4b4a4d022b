//! The built-in servers: small, fast and honest about how they are configured.
//!
//! Each is a process of its own on its host, started as `KIND CONFIGURATION`, where the configuration is a JSON object
//! or the path of a file with one. The lab starts them by the executable it was given, so a harness that only makes labs
//! needs their [`configuration`] and not the servers, which are behind the feature `servers`.

pub mod configuration;
#[cfg(feature = "servers")]
pub mod dns;
#[cfg(feature = "servers")]
pub mod gateway;
#[cfg(feature = "servers")]
pub mod http;
#[cfg(feature = "servers")]
mod process;
#[cfg(feature = "servers")]
mod socket;

#[cfg(feature = "servers")]
pub use process::main;
#[cfg(feature = "servers")]
pub use socket::ServeError;
