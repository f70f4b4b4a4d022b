//! What an experiment declares, by name.

use chaos_core::{
    model::{Field, Lab, Scope, target},
    span::{Span, Spanned},
};

use super::Checker;
use crate::{
    codes::Code,
    syntax::{Statement, Word},
};

/// The names of an experiment, gathered before any of its lines is checked.
#[derive(Debug)]
pub(super) struct Names {
    /// Where it takes place.
    pub(super) scope: Scope,
    /// Whether the lab has mistakes of its own, so that what its hosts are called is not known.
    pub(super) lab_in_doubt: bool,
    /// The names of all copies of the lab's hosts.
    pub(super) copies: Vec<String>,
    /// Probes.
    pub(super) probes: Vec<Spanned<String>>,
    /// Faults: first those that stand beside the experiment or in another file, then its own.
    pub(super) faults: Vec<Spanned<String>>,
    /// Changes.
    pub(super) changes: Vec<Spanned<String>>,
    /// How many of the faults are not its own.
    pub(super) shared_faults: usize,
    /// Named targets.
    pub(super) targets: Vec<Spanned<String>>,
    /// What each probe reads that reads something.
    pub(super) reads: Vec<(String, Field)>,
    /// Labels of probes: probe and label.
    pub(super) labels: Vec<(String, String)>,
}

impl Names {
    /// Knows of nothing but the scope yet.
    pub(super) fn in_scope(scope: Scope) -> Self {
        let copies = scope.lab().map(Lab::names).unwrap_or_default();
        Names {
            scope,
            copies,
            lab_in_doubt: false,
            probes: Vec::new(),
            faults: Vec::new(),
            changes: Vec::new(),
            shared_faults: 0,
            targets: Vec::new(),
            reads: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Returns the faults that stand in the experiment itself.
    pub(super) fn own_faults(&self) -> &[Spanned<String>] {
        self.faults.get(self.shared_faults..).unwrap_or_default()
    }

    /// Returns the names that hosts can be called by: each copy, and what all copies are called together.
    pub(super) fn hosts(&self) -> Vec<String> {
        let hosts = self.scope.lab().into_iter().flat_map(|lab| &lab.hosts);
        let mut names: Vec<String> = Vec::new();
        // A host of one copy is called as its copy is.
        for name in hosts.flat_map(|h| std::iter::once(h.name.value.clone()).chain(h.names())) {
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns the copies that a host's name or glob means.
    pub(super) fn hosts_matching(&self, pattern: &str) -> Vec<String> {
        let Some(lab) = self.scope.lab() else { return Vec::new() };
        if let Some(host) = lab.hosts.iter().find(|h| h.name.value == pattern) {
            return host.names();
        }
        self.copies.iter().filter(|name| target::glob(pattern, name)).cloned().collect()
    }
}

impl Checker {
    /// Gathers the name of a definition; a name declared twice is an error.
    pub(super) fn declare(&mut self, what: &str, statement: &Statement<'_>, into: &mut Vec<Spanned<String>>) {
        let Some(name) = statement.name() else { return };
        let name = Spanned::new(name.text.to_owned(), name.span);
        if let Some(first) = into.iter().find(|n| **n == name) {
            let first = first.span;
            self.duplicate(what, &name, first);
        } else {
            into.push(name);
        }
    }

    /// Finds a declared name; unknown, or declared only further down, is an error.
    pub(super) fn refer(
        &mut self,
        what: &str,
        name: Word<'_>,
        known: &[Spanned<String>],
    ) -> Option<Spanned<String>> {
        match known.iter().find(|n| n.value == name.text) {
            // That there is none at all is reported as a missing line.
            None if known.is_empty() && matches!(what, "probe" | "fault") => None,
            None => {
                self.unknown(what, name, known.iter().map(|n| n.value.as_str()));
                None
            }
            Some(declared) if self.later(declared.span, name.span) => {
                let message = format!("the {what} `{}` is used before it is declared", name.text);
                let declared = declared.span;
                let error = self.error(Code::UnknownName, name.span, message);
                error
                    .secondary
                    .push(crate::diagnostic::Label { span: declared, message: "declared here".into() });
                error.help = Some("move the declaration up".into());
                None
            }
            Some(_) => Some(Spanned::new(name.text.to_owned(), name.span)),
        }
    }

    /// Returns whether a name is declared only behind its use. What stands outside of the experiment is read as a part of it,
    /// so that it may use what the experiment declares.
    fn later(&self, declared: Span, used: Span) -> bool {
        let both = self.experiment.covers(declared) == self.experiment.covers(used);
        declared.file == used.file && declared.start > used.start && both
    }
}
