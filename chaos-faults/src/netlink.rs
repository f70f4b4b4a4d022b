//! Traffic control, links and routes of a network namespace, spoken to the kernel over rtnetlink.
//!
//! 1. [`Connection`] is a netlink socket that lives in a [namespace](chaos_netns::Namespace); everything else is a method on it.
//! 2. [`Netem`], [`Tbf`], [`Prio`] and [`Htb`] are queueing disciplines as values: encode, send, read back, compare.
//! 3. [`filter`] turns a [`PacketMatch`](chaos_core::injector::PacketMatch) into `u32` filters.
//! 4. [`tree`] puts both together: an own root that steers matched packets into an own qdisc.
//! 5. [`link`] makes and removes veth pairs.
//!
//! No `tc` or `ip` process is started, and nothing is ever flushed: what is added carries an own handle or an own
//! priority ([`handle::OWN_MAJOR`], [`filter::OWN_PRIORITY`]) and only that is removed.

pub(crate) mod attribute;
pub mod connection;
pub mod distribution;
pub mod error;
pub mod filter;
pub mod handle;
pub mod htb;
pub mod link;
pub mod loss;
pub mod netem;
pub(crate) mod nftables;
pub(crate) mod own_pair;
pub mod prio;
pub mod probability;
pub mod qdisc;
pub mod routes;
pub mod tbf;
pub mod tree;

pub use connection::{Connection, Link, Route};
pub use distribution::Distribution;
pub use error::NetlinkError;
pub use handle::Handle;
pub use htb::{Htb, HtbClass};
pub use loss::{Chain, Loss};
pub use netem::Netem;
pub use prio::Prio;
pub use probability::Probability;
pub use qdisc::{Qdisc, QdiscOptions, QdiscStatistics};
pub use tbf::Tbf;
