//! Finding the hosts of a lab, before it exists and while it is up: addresses follow from the declaration alone.

use async_trait::async_trait;
use chaos_core::{
    inventory::Inventory,
    model::{self, Selector, target::glob},
    non_empty::{Empty, NonEmpty},
    place::{Object, ObjectId},
    trouble::Trouble,
};

use crate::address::{HostLayout, Layout, LayoutError};

/// The hosts of a declared lab.
#[derive(Clone, Debug)]
pub struct LabInventory {
    hosts: Vec<HostLayout>,
}

impl LabInventory {
    /// Lays out the declaration.
    ///
    /// # Errors
    ///
    /// Fails where the declaration cannot become a lab.
    pub fn new(lab: &model::Lab) -> Result<Self, LayoutError> {
        Ok(LabInventory { hosts: Layout::new(lab)?.hosts })
    }
}

#[async_trait]
impl Inventory for LabInventory {
    async fn find(&self, selector: &Selector) -> Result<NonEmpty<Object>, Trouble> {
        let Selector::Hosts(pattern) = selector else {
            return Err(Trouble::absent(format!("`{selector}` is outside of the lab"))
                .with_help("name one of its hosts"));
        };
        let wanted = |host: &&HostLayout| host.group == pattern.value || glob(&pattern.value, &host.name);
        let found: Vec<Object> = self.hosts.iter().filter(wanted).map(object).collect();
        NonEmpty::try_from(found).map_err(|Empty| {
            let known: Vec<_> = self.hosts.iter().map(|h| format!("`{}`", h.name)).collect();
            let help = format!("its hosts are {}", known.join(", "));
            Trouble::absent(format!("the lab has no host `{pattern}`")).with_help(help)
        })
    }
}

fn object(host: &HostLayout) -> Object {
    ObjectId::host(&host.name).at(host.addresses())
}

#[cfg(test)]
mod tests {
    use chaos_core::span::Span;

    use super::*;

    fn inventory() -> LabInventory {
        let host = |name: &str, copies| model::Host { name: name.into(), copies, programs: vec![] };
        let hosts = vec![host("client", None), host("api", Some(3))];
        LabInventory::new(&model::Lab { hosts, ..model::Lab::default() }).unwrap()
    }

    #[tokio::test]
    async fn finds_copies_globs_and_single_hosts() {
        let inventory = inventory();
        let names = async |pattern: &str| match inventory.find(&Selector::Hosts(pattern.into())).await {
            Ok(found) => found.into_iter().map(|o| o.id.name).collect::<Vec<_>>().join(" "),
            Err(e) => e.to_string(),
        };
        assert_eq!(names("api").await, "api-1 api-2 api-3");
        assert_eq!(names("api-*").await, "api-1 api-2 api-3");
        assert_eq!(names("*-2").await, "api-2");
        assert_eq!(names("client").await, "client");
        // Many stars must not take for ever: matching `*` by trying every place would.
        let stars = format!("{}b", "*a".repeat(30));
        let long = model::Host { name: "a".repeat(60).as_str().into(), copies: None, programs: vec![] };
        let lab = LabInventory::new(&model::Lab { hosts: vec![long], ..model::Lab::default() }).unwrap();
        assert!(lab.find(&Selector::Hosts(stars.as_str().into())).await.is_err());
        assert_eq!(names("db").await, "the lab has no host `db`");
    }

    #[tokio::test]
    async fn what_is_outside_of_the_lab_is_refused() {
        let error = inventory().find(&Selector::Here(Span::NONE)).await.unwrap_err();
        assert_eq!(error.message, "`here` is outside of the lab");
    }
}
