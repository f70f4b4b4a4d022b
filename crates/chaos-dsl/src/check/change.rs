//! `change NAME = …`: what is made different for the rest of the run, and is no fault.

use chaos_core::model::Fault;

use super::{Checker, Names};
use crate::{
    codes::Code,
    syntax::{Item, Statement},
};

impl Checker {
    /// Checks one change; it is written as a fault is.
    pub(super) fn change(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Fault> {
        let name = statement.name()?;
        let first = statement.definition().first();
        match first.and_then(Item::as_word).map(|word| word.text) {
            Some("apply") => {
                self.needs_cluster(statement.span, "`apply`");
                return None;
            }
            Some("run") => {
                self.not_yet(statement.span, "another program on a host that is up").help =
                    Some("give the program a host of its own in the `lab`".into());
                return None;
            }
            _ => {}
        }
        if names.lab.is_none() {
            let message = format!(
                "the change `{}` is outside of a lab, and is not taken back by `rollback`",
                name.text
            );
            self.error(Code::OutsideScope, statement.span, message).help =
                Some("write a `fault`, or give the experiment a `lab`".into());
            return None;
        }
        let change = self.fault(statement, names)?;
        if let Some(proof) = &change.proven_by {
            let span = proof.span;
            self.error(
                Code::Misplaced,
                span,
                "a change has no `proven by`: that it met traffic is measured",
            )
            .help = Some("remove it, or write a `fault`".into());
            return None;
        }
        Some(change)
    }
}
