//! Kubernetes: a cluster's pods as targets, and agents in them.
//!
//! 1. A [`Link`] leads to one cluster, and to no other: the uid of its namespace `kube-system` is looked at first.
//! 2. [`ClusterInventory`] finds pods and Services by what the language says of them; [`ClusterEnvironment`] says that a pod is
//!    reached by an agent in it.
//! 3. [`PodTransport`] starts that agent as an ephemeral container of the pod, and talks to it through the API server.
//! 4. [`PodInjector`] has the agents inject: what exactly is decided in the pod, because only there it can be found out.
//! 5. [`ObjectInjector`] changes objects of the API itself, field by field, and ends pods.
//! 6. [`PlacedProbers`] has each probe measured where it is sent from: by the agent in a pod, or here; the cluster's own state is
//!    read of what a watch has brought.
//! 7. A [`Claim`] keeps other runs from the pods of one, by Leases on which also stands what is owed; [`Runs`] finds them from
//!    anywhere, to stop a run or to restore what it left.
//! 8. [`Access`] says which rights an experiment takes, and which of them this user does not have,
//!    [`diagnose`] what a cluster lacks, and [`image`] makes the agent's image.
//!
//! What faults are, this crate does not know; nothing of it is part of the agent.

mod access;
mod against;
mod claim;
mod container;
mod diagnosis;
mod environment;
#[cfg(test)]
mod fake;
mod fields;
pub mod image;
mod injector;
mod inventory;
mod lease;
mod link;
mod object;
mod objects;
mod pod;
mod probers;
mod protection;
mod query;
mod record;
mod rights;
mod runs;
mod transport;
mod watched;
mod ways;

pub use self::{
    access::Access,
    against::opposition,
    claim::Claim,
    diagnosis::{Diagnosis, diagnose},
    environment::ClusterEnvironment,
    injector::{Hosted, PodInjector},
    inventory::ClusterInventory,
    link::Link,
    objects::ObjectInjector,
    probers::PlacedProbers,
    runs::{Run, Runs},
    transport::PodTransport,
};
