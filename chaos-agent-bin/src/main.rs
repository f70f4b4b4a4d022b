//! The small agent: what a runner starts where it does not run itself.
//!
//! It reads no command line and knows no language: it hosts the network injector and the probers, serves the runner at the
//! other end of its standard streams, and ends. `chaos agent` is the same within the one executable that does everything.
//!
//! Its exit code is 0 when everything that it put in place is gone, 7 when something is left, which is then on standard
//! error, and 5 when it could not start: the codes of `chaos`.

use std::{process::ExitCode, sync::Arc};

use chaos_agent::Host;
use chaos_faults::{NetworkInjector, backend::Holding};
use chaos_probes::{PlaceNames, StandardProbers};

const REFUSED: u8 = 5;
const NOT_RESTORED: u8 = 7;

fn main() -> ExitCode {
    let ended = chaos_agent::serve_standard_streams(|settings| {
        let network = NetworkInjector::of(settings, Holding::Agent)?.looking_up(Arc::new(PlaceNames::new()));
        Ok(Host::new().injector(network).probers(StandardProbers::new()))
    });
    match ended {
        Ok(stop) if stop.left.is_empty() => ExitCode::SUCCESS,
        Ok(stop) => {
            for line in &stop.left {
                eprintln!("not restored: {line}");
            }
            ExitCode::from(NOT_RESTORED)
        }
        Err(error) => {
            eprintln!("the agent cannot start: {error}");
            ExitCode::from(REFUSED)
        }
    }
}
