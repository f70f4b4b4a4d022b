//! An own root qdisc that steers matched packets into own qdiscs and lets all others pass as before.
//!
//! ```text
//! c4a0: prio ─┬ c4a0:1, 2, 3   everything else, in the order of pfifo_fast
//!             ├ c4a0:4 ─ c4a1: netem   u32 filters of slot 0
//!             └ c4a0:5 ─ c4a2: tbf     u32 filters of slot 1
//! ```
//!
//! Where the kernel has no `prio`, `htb` takes its place: unlimited classes, and everything else goes straight on.
//! While it stands, the interface's own default queue (such as `fq_codel`) is not in use; the kernel attaches a new
//! one when the tree is removed. A root that somebody configured is refused, never replaced.

use std::collections::BTreeSet;

use chaos_core::injector::{Direction, PacketMatch};
use serde::{Deserialize, Serialize};

use crate::netlink::{
    Connection, Handle, Htb, HtbClass, NetlinkError, Prio, QdiscOptions,
    filter::{self, Hook, Verdict},
    handle::OWN_MAJOR,
    prio::{DEFAULT_BANDS, MOST_BANDS},
    qdisc::QdiscStatistics,
};

/// The most branches one tree can have.
pub const MOST_BRANCHES: usize = (MOST_BANDS - DEFAULT_BANDS) as usize;

/// What steers at the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// Bands of `prio`.
    Prio,
    /// Classes of `htb`.
    Htb,
}

/// Packets and the qdisc they pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// Which packets; of several branches that match, the first one counts.
    pub matches: PacketMatch,
    /// What they pass: netem or tbf.
    pub qdisc: QdiscOptions,
}

/// A root with its branches, at most [`MOST_BRANCHES`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// What steers.
    pub root: Root,
    /// Where to.
    pub branches: Vec<Branch>,
}

impl Tree {
    /// Returns the name of branch `number`'s class.
    fn class(number: u8) -> Handle {
        Handle::OWN_ROOT.class(Prio::class(number))
    }

    /// Returns the name of branch `number`'s own qdisc.
    pub const fn child(number: u8) -> Handle {
        Handle::qdisc(OWN_MAJOR + 1 + number as u16)
    }
}

impl Connection {
    /// Puts the tree at the root of interface `index`; after an error nothing of it remains.
    ///
    /// # Errors
    /// [`NetlinkError::ForeignRoot`] when somebody else's root is there, [`NetlinkError::Unmatchable`] when a match
    /// cannot be expressed, [`NetlinkError::Refused`] with `ENOENT` when the kernel lacks one of the kinds.
    pub async fn install_tree(&self, index: u32, tree: &Tree) -> Result<(), NetlinkError> {
        // Everything that can be wrong without the kernel's help is found out before anything is touched.
        let rules: Vec<_> = tree
            .branches
            .iter()
            .map(|branch| filter::compile(&branch.matches, Direction::Egress))
            .collect::<Result<_, _>>()?;
        if tree.branches.len() > MOST_BRANCHES {
            return Err(crate::netlink::error::Unmatchable::TooMany(tree.branches.len()).into());
        }
        let root = match tree.root {
            Root::Prio => QdiscOptions::Prio(Prio { extra_bands: tree.branches.len() as u8 }),
            Root::Htb => QdiscOptions::Htb(Htb),
        };
        self.add_qdisc(index, Handle::ROOT, Handle::OWN_ROOT, &root).await?;
        let grown = self.grow(index, tree, &rules).await;
        if grown.is_err() {
            self.remove_tree(index).await?;
        }
        grown
    }

    async fn grow(&self, index: u32, tree: &Tree, rules: &[Vec<filter::Rule>]) -> Result<(), NetlinkError> {
        for (number, (branch, rules)) in (0u8..).zip(tree.branches.iter().zip(rules)) {
            let class = Tree::class(number);
            if tree.root == Root::Htb {
                self.add_class(index, class, &HtbClass::UNLIMITED).await?;
            }
            self.add_qdisc(index, class, Tree::child(number), &branch.qdisc).await?;
            // Filters last: no packet is steered before there is something to steer it into.
            let hook = Hook::Qdisc(Handle::OWN_ROOT);
            self.add_filters(index, hook, u16::from(number), rules, Verdict::Class(class)).await?;
        }
        Ok(())
    }

    /// Leads other packets into branch `number` of the own tree; for a moment none are.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub(crate) async fn fill_branch(
        &self,
        index: u32,
        number: u8,
        rules: &[filter::Rule],
    ) -> Result<(), NetlinkError> {
        let (hook, slot) = (Hook::Qdisc(Handle::OWN_ROOT), u16::from(number));
        self.delete_filters(index, hook, slot).await?;
        self.add_filters(index, hook, slot, rules, Verdict::Class(Tree::class(number))).await
    }

    /// Returns the numbers of the branches of the own tree that filters lead packets into; none of them where somebody's own
    /// filters are asked before them.
    ///
    /// # Errors
    /// As [`Connection::filters`].
    pub async fn branches_with_filters(&self, index: u32) -> Result<BTreeSet<u8>, NetlinkError> {
        let filters = self.filters(index, Hook::Qdisc(Handle::OWN_ROOT)).await?;
        if filters.iter().any(filter::Filter::is_ahead) {
            return Ok(BTreeSet::new());
        }
        Ok(filters
            .iter()
            .filter_map(filter::Filter::slot)
            .filter_map(|slot| u8::try_from(slot).ok())
            .collect())
    }

    /// Removes the own root with everything below; succeeds when it, or the interface, is gone.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn remove_tree(&self, index: u32) -> Result<(), NetlinkError> {
        self.delete_qdisc(index, Handle::ROOT, Handle::OWN_ROOT).await
    }

    /// Returns the counters of branch `number`; nothing when the tree is not there.
    ///
    /// # Errors
    /// As [`Connection::qdiscs`].
    pub async fn branch_statistics(
        &self,
        index: u32,
        number: u8,
    ) -> Result<Option<QdiscStatistics>, NetlinkError> {
        let qdiscs = self.qdiscs(index).await?;
        Ok(qdiscs.iter().find(|qdisc| qdisc.handle == Tree::child(number)).map(|qdisc| qdisc.statistics))
    }
}
