//! This machine as the world of a run: nothing is made and nothing unmade.

use async_trait::async_trait;
use chaos_core::{
    environment::Environment,
    place::{ObjectId, Place},
    trouble::Trouble,
};

use crate::inventory::machine_place;

/// The machine that the runner is on, as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineEnvironment;

#[async_trait]
impl Environment for MachineEnvironment {
    async fn up(&self, _progress: &(dyn Fn(&str) + Send + Sync)) -> Result<(), Trouble> {
        Ok(())
    }

    async fn place(&self, object: &ObjectId) -> Result<Place, Trouble> {
        machine_place(object)
    }

    async fn down(&self) -> Result<(), Trouble> {
        Ok(())
    }
}
