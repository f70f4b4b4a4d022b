//! Selectors, named targets and picks.

use chaos_core::{
    model::{Pick, Scope, Selector, Target, cluster::WorkloadKind},
    span::Spanned,
};

use super::{Checker, Names};
use crate::{
    codes::Code,
    suggest::{self, Advice},
    syntax::{Cursor, ItemKind, Statement},
};

/// What selects objects of a cluster.
pub(super) const CLUSTER_SELECTORS: &[&str] = &[
    "pods",
    "pod",
    "service",
    "deployment",
    "statefulset",
    "daemonset",
    "node",
    "nodes",
    "gateway",
    "httproute",
    "secret",
    "object",
];

impl Checker {
    /// Reads `target NAME = SELECTOR [pick …]`.
    pub(super) fn target(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Target> {
        let name = statement.name()?;
        let name = Spanned::new(name.text.to_owned(), name.span);
        let mut cursor = Cursor::new(statement.definition(), statement.span);
        let selector = self.selector(&mut cursor, names)?;
        if let Selector::Named(other) = &selector {
            self.error(Code::Misplaced, other.span, format!("`{other}` is a target itself")).help =
                Some("name what it selects: `hosts api-*`".into());
            return None;
        }
        self.no_service(&selector)?;
        let pick = match cursor.take_word("pick") {
            Some(_) => self.pick(&mut cursor)?,
            None if names.scope.cluster().is_some() => {
                let message = format!("the target `{name}` does not say how many of them");
                self.error(Code::MissingLine, selector.span(), message).help = Some(
                    "add `pick 1`, `pick 50% up to 3`, `pick 1 per node`, `pick 1 per zone` or `pick all`"
                        .into(),
                );
                return None;
            }
            None => Pick::All,
        };
        if let Some(follow) = cursor.take_words(&["follow", "replacements"]) {
            self.needs_cluster(follow, "`follow replacements`");
            return None;
        }
        self.end(&cursor, &["pick"]);
        Some(Target { name, selector, pick })
    }

    fn pick(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Pick> {
        if cursor.take_word("all").is_some() {
            return Some(Pick::All);
        }
        let share = match cursor.peek().map(|i| &i.kind) {
            Some(ItemKind::Quantity(q)) => q.unit == crate::syntax::Unit::Percentage,
            Some(ItemKind::Word(w)) => {
                self.params.get(w).is_some_and(|p| p.value.unit == chaos_core::model::Unit::Ratio)
            }
            _ => false,
        };
        if !share {
            let count = self.take_count(cursor, "the number to pick", 1, 100_000)?;
            if let Some(per) = cursor.take_word("per") {
                if !self.in_cluster {
                    self.needs_cluster(per, "`per node` or `per zone`");
                    return None;
                }
                if cursor.take_word("node").is_some() {
                    return Some(Pick::PerNode(count));
                }
                if cursor.take_word("zone").is_some() {
                    return Some(Pick::PerZone(count));
                }
                self.expected(cursor, "`node` or `zone`").help =
                    Some(format!("write `pick {count} per node`"));
                return None;
            }
            return Some(Pick::Count(count));
        }
        let fraction = self.take_share(cursor, "the share to pick", false)?;
        let mut up_to = None;
        if cursor.take_words(&["up", "to"]).is_some() {
            up_to = Some(self.take_count(cursor, "the most to pick", 1, 100_000)?);
        }
        Some(Pick::Share { fraction, up_to })
    }

    /// Reads what selects objects: a host, a glob of hosts, `here`, `netns "x"`, `process "x"`, or a target's name.
    pub(super) fn selector(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<Selector> {
        let Some(word) = cursor.take_any_word() else {
            self.expected(cursor, "a target").help = Some(
                "write a lab host's name, `here`, `netns \"name\"`, `process \"name\"`, or a target's name"
                    .into(),
            );
            return None;
        };
        if CLUSTER_SELECTORS.contains(&word.text) && !names.hosts().iter().any(|h| h == word.text) {
            if self.in_cluster && matches!(word.text, "pods" | "service") {
                return self.of_cluster(word, cursor);
            }
            let workload = WorkloadKind::ALL.iter().any(|kind| kind.word() == word.text);
            if self.in_cluster && workload {
                let name = self.take_string(cursor, "its name in quotes")?;
                let message = format!("nothing runs in a {} itself", word.text);
                self.error(Code::Misplaced, word.span, message).help =
                    Some(format!("name its pods: `pods of {} \"{name}\"`", word.text));
                return None;
            }
            self.needs_cluster(word.span, &format!("`{}`", word.text));
            while cursor.peek().is_some_and(|i| !matches!(i.kind, ItemKind::Block(_)) && !i.is_word("on")) {
                cursor.take();
            }
            return None;
        }
        match word.text {
            "here" if self.in_cluster && self.probing => Some(Selector::Here(word.span)),
            "here" => self.on_machine(names, word.span).then_some(Selector::Here(word.span)),
            "netns" => {
                let name = self.take_string(cursor, "the namespace's name in quotes")?;
                self.on_machine(names, word.span.to(name.span)).then_some(Selector::Netns(name))
            }
            "process" => {
                let name = self.take_string(cursor, "the process's name in quotes")?;
                self.on_machine(names, word.span.to(name.span)).then_some(Selector::Process(name))
            }
            // `host api-1` and `hosts api-*` say the same as the bare name.
            "host" | "hosts" | "each" if cursor.peek().is_some_and(|i| i.as_word().is_some()) => {
                self.selector(cursor, names)
            }
            text => {
                if let Some(target) = names.targets.iter().find(|t| t.value == text) {
                    let known = std::slice::from_ref(target);
                    return self.refer("target", word, known).map(Selector::Named);
                }
                if names.hosts_matching(text).is_empty() {
                    // Which hosts there are is in doubt: the lab's own mistakes are enough to report.
                    if names.lab_in_doubt {
                        return None;
                    }
                    let mut known = names.hosts();
                    known.extend(names.targets.iter().map(|t| t.value.clone()));
                    if names.scope.has_lab() && text.contains('*') {
                        let near = suggest::nearest(text, known.iter().map(String::as_str));
                        let globs = || "a glob stands for hosts by name: `api-*` for `api-1`, `api-2`".into();
                        self.error(Code::UnknownName, word.span, format!("no host matches `{text}`"))
                            .advise(near.map_or_else(globs, Advice::meant));
                    } else {
                        let what = if names.scope.has_lab() { "host or target" } else { "target" };
                        self.unknown(what, word, known.iter().map(String::as_str));
                    }
                    return None;
                }
                Some(Selector::Hosts(Spanned::new(text.to_owned(), word.span)))
            }
        }
    }

    /// A lab's faults stay in the lab.
    fn on_machine(&mut self, names: &Names, span: chaos_core::span::Span) -> bool {
        match &names.scope {
            Scope::Machine => true,
            Scope::Cluster(_) => {
                self.error(Code::OutsideScope, span, "this is outside of the cluster").help = Some(
                    "a fault is on pods; only a probe can be `from here`, the machine of the runner".into(),
                );
                false
            }
            Scope::Lab(_) => {
                self.error(Code::OutsideScope, span, "this is outside of the lab").help = Some(
                    "an experiment with a `lab` only touches its hosts; remove the lab, or name a host"
                        .into(),
                );
                false
            }
        }
    }
}
