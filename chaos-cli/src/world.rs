//! The world that the command line asks for.

use chaos::World;
use chaos_core::{model::Experiment, trouble::Trouble};

use crate::args::Planning;

/// Wires the usual world of an experiment, with the agents of another one where there is one; touches nothing.
pub(crate) fn of(
    experiment: &Experiment,
    planning: &Planning,
    beside: Option<&World>,
) -> Result<World, Trouble> {
    let mut world = World::builder()
        .executable(executable()?)
        .backends(&planning.backend)
        .secrets(|name| std::env::var(name).ok());
    if let Some(other) = beside {
        world = world.agents_of(other);
    }
    if let Some(image) = &planning.agent_image {
        world = world.agent_image(image);
    }
    if planning.allow_exec {
        world = world.allow_exec();
    }
    if planning.allow_ssh {
        world = world.allow_ssh();
    }
    world.build(experiment)
}

/// Returns this executable's path, which still opens it after it was replaced or its folder went away.
pub(crate) fn executable() -> Result<std::path::PathBuf, Trouble> {
    std::env::current_exe().map_err(|error| Trouble::unable(format!("cannot find this executable: {error}")))
}

/// Draws a seed where none was given.
pub(crate) fn seed(given: Option<u64>) -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library keys each of its hashers from the operating system's random numbers.
    given.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish() >> 16)
}
