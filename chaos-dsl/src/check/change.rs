//! `change NAME = …`: what is made different for the rest of the run.

use chaos_core::{
    model::{Action, Change, Lab, Selector},
    span::Spanned,
};

use super::{Checker, Names, fault::Acting};
use crate::{
    codes::Code,
    syntax::{Cursor, Item, Statement},
};

impl Checker {
    /// Checks one change; it is written as a fault is.
    pub(super) fn change(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Change> {
        let name = statement.name()?;
        let first = statement.definition().first();
        match first.and_then(Item::as_word).map(|word| word.text) {
            Some("apply") => {
                self.needs_cluster(statement.span, "`apply`");
                return None;
            }
            Some("run") => return self.replacement(statement, names),
            _ => {}
        }
        if !names.scope.is_isolated() {
            let message =
                format!("the change `{}` is outside of a lab, and `rollback` does not undo it", name.text);
            self.error(Code::OutsideScope, statement.span, message).help =
                Some("write a `fault`, or give the experiment a `lab`".into());
            return None;
        }
        let Acting { action, on, proven_by } = self.acting(statement, names)?;
        if let Some(proof) = &proven_by {
            let span = proof.span;
            self.error(
                Code::Misplaced,
                span,
                "a change has no `proven by`: that it met traffic is measured",
            )
            .help = Some("remove it, or write a `fault`".into());
            return None;
        }
        let name = Spanned::new(name.text.to_owned(), name.span);
        Some(Change { name, action, on, span: statement.span })
    }

    /// `change NAME = run PROGRAM on HOST`: another program on a host of the lab, instead of its own.
    fn replacement(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Change> {
        let name = statement.name()?;
        let Some(lab) = names.scope.lab() else {
            let message = format!("the change `{}` runs a program on a host, and there is no lab", name.text);
            // A line that means nothing may have been meant as the lab.
            if !names.lab_in_doubt {
                self.error(Code::OutsideScope, statement.span, message).help =
                    Some("give the experiment a `lab` with a host that runs the program to replace".into());
            }
            return None;
        };
        let items = statement.definition();
        let end = items.iter().position(|item| item.is_word("on")).unwrap_or(items.len());
        let (before, behind) = items.split_at(end);
        let span = before.first()?.span.to(before.last()?.span);
        let program = self.program(Cursor::new(before, span));
        let mut cursor = Cursor::new(behind, statement.span);
        if cursor.take_word("on").is_none() {
            let error = self.error(
                Code::MissingLine,
                statement.span,
                format!("the change `{}` does not say on which host", name.text),
            );
            error.help = Some("add `on HOST`".into());
            return None;
        }
        let on = self.selector(&mut cursor, names)?;
        if let Some(item) = cursor.peek() {
            let message = format!("{} does not belong here", item.describe());
            self.error(Code::Misplaced, item.span, message).help =
                Some("remove it: the new program serves whoever asks the host".into());
            return None;
        }
        let program = program?;
        self.upstream(&program, lab);
        self.replaced(&on, lab, names)?;
        let name = Spanned::new(name.text.to_owned(), name.span);
        Some(Change { name, action: Action::Program(Box::new(program)), on, span: statement.span })
    }

    /// Each host must run one program, which is the one that is replaced.
    fn replaced(&mut self, on: &Selector, lab: &Lab, names: &Names) -> Option<()> {
        let target = self.targets.iter().find(|t| matches!(on, Selector::Named(name) if t.name == *name));
        // A name that is not a host of the lab has an error of its own.
        let Some(pattern) = target.map_or(on, |target| &target.selector).pattern() else { return Some(()) };
        let chosen = names.hosts_matching(pattern);
        let wrong = lab
            .hosts
            .iter()
            .find(|host| host.programs.len() != 1 && host.names().iter().any(|name| chosen.contains(name)));
        let Some(host) = wrong else { return Some(()) };
        let (message, help) = match host.programs.len() {
            0 => (
                format!("no program runs on `{}` that another one could replace", host.name),
                format!("let it run one: `host {} {{ run http port 8080 }}`", host.name),
            ),
            n => (
                format!("{n} programs run on `{}`, and which of them is replaced is not said", host.name),
                "give each program a host of its own".to_owned(),
            ),
        };
        let error = self.error(Code::Misplaced, on.span(), message);
        error.secondary.push(crate::diagnostic::Label { span: host.name.span, message: "this host".into() });
        error.help = Some(help);
        None
    }
}
