//! Tries queueing disciplines, filters and links.

use std::time::Duration;

use crate::{
    capability::{Capability, refused},
    netlink::{
        Connection, Handle, Htb, Netem, NetlinkError, Prio, QdiscOptions, Tbf,
        filter::{Family, Hook, Rule, Verdict},
    },
};

/// Tries all of it on the end `near` of a pair that nobody else uses.
pub(super) async fn probe(connection: &Connection, near: u32, far: u32) -> Vec<Capability> {
    let mut found = Vec::new();
    let netem = Netem { delay: Duration::from_millis(1), ..Netem::default() };
    let tbf = Tbf::for_rate(1_000_000, 1500, Duration::from_millis(10));
    let kinds: [(&str, QdiscOptions); 4] = [
        ("sch_netem", netem.into()),
        ("sch_tbf", tbf.into()),
        ("sch_htb", QdiscOptions::Htb(Htb)),
        ("sch_prio", QdiscOptions::Prio(Prio { extra_bands: 1 })),
    ];
    for (module, options) in kinds {
        let tried = try_qdisc(connection, near, &options).await;
        found.push(outcome(options.kind(), module, tried));
    }
    found.extend(try_filters(connection, near, far).await);
    found
}

async fn try_qdisc(connection: &Connection, index: u32, options: &QdiscOptions) -> Result<(), NetlinkError> {
    connection.add_qdisc(index, Handle::ROOT, Handle::OWN_ROOT, options).await?;
    connection.delete_qdisc(index, Handle::ROOT, Handle::OWN_ROOT).await
}

async fn try_filters(connection: &Connection, index: u32, far: u32) -> [Capability; 3] {
    let because = |name: &str, needed: &str| {
        Capability::missing(
            name,
            format!("not tried: it needs `{needed}`"),
            format!("first make `{needed}` work"),
        )
    };
    if let Err(error) = connection.ensure_clsact(index).await {
        let clsact = refused("clsact", "sch_ingress", &error);
        return [clsact, because("u32", "clsact"), because("mirred", "clsact")];
    }
    let clsact = Capability::available("clsact");
    let rules = [Rule { family: Family::V4, keys: Vec::new() }];
    let passing = Verdict::Class(Handle::qdisc(1).class(1));
    if let Err(error) = connection.add_filters(index, Hook::Egress, 0, &rules, passing).await {
        return [clsact, refused("u32", "cls_u32", &error), because("mirred", "u32")];
    }
    let redirect = Verdict::Redirect(far);
    let mirred = connection.add_filters(index, Hook::Egress, 1, &rules, redirect).await;
    [clsact, Capability::available("u32"), outcome("mirred", "act_mirred", mirred)]
}

fn outcome(name: &str, module: &str, tried: Result<(), NetlinkError>) -> Capability {
    match tried {
        Ok(()) => Capability::available(name),
        Err(error) => refused(name, module, &error),
    }
}
