//! The `chaos` command on a real Kubernetes cluster.
//!
//! `tests/cluster/run` runs them on a cluster of their own. `CHAOS_TEST_KUBECONFIG` names the kubeconfig of another one that tests may
//! use: without it they are skipped, and the usual `KUBECONFIG` is not looked at, since it may lead to a cluster that people work with.
//! `kubectl` has to be on the PATH, and in the nodes' stores the agent's image (`CHAOS_AGENT_IMAGE`, else the one that
//! `chaos image` writes) and one with a shell, `httpd`, `socat`, `ip`, `tc` and `curl` (`CHAOS_TEST_IMAGE`, else `localhost/tools:1`). Every test works in a namespace of its
//! own and deletes it.

mod against;
mod anywhere;
mod deaths;
mod doctor;
mod drains;
mod objects;
mod outages;
mod pods;
mod protected;
mod readings;
mod refused;
mod rights;
mod rivals;
mod shop;
