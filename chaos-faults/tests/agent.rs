//! Faults through an agent on a real kernel: what each does, that nothing of it stays, and what happens when the agent,
//! its runner or the connection between them dies.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chaos_agent::Host;
use chaos_faults::{NetworkInjector, backend::Holding};

#[path = "agent/death.rs"]
mod death;
#[path = "agent/effects.rs"]
mod effects;
#[path = "agent/follow.rs"]
mod follow;
#[path = "agent/foreign.rs"]
mod foreign;
#[path = "agent/harness.rs"]
mod harness;
#[path = "agent/layers.rs"]
mod layers;
#[expect(dead_code, reason = "other suites use the rest of it")]
#[path = "world/pair.rs"]
mod pair;
#[path = "agent/priority.rs"]
mod priority;

/// The agent that the tests start: this very program, started as one.
#[test]
#[ignore = "is started by the other tests"]
fn agent_process() {
    use std::io::Write;
    if std::env::var_os("CHAOS_TEST_AGENT").is_none() {
        return;
    }
    // The test harness has written to standard output; the real one is kept on descriptor 3.
    std::io::stdout().flush().unwrap();
    let output = std::fs::File::options().write(true).open("/proc/self/fd/3").unwrap();
    nix::unistd::dup2_stdout(&output).unwrap();
    drop(output);
    nix::unistd::close(3).unwrap();
    chaos_agent::serve_standard_streams(|settings| {
        Ok(Host::new().injector(NetworkInjector::of(settings, Holding::Agent)?))
    })
    .unwrap();
    std::process::exit(0);
}
