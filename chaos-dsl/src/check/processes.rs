//! `fault NAME = pause …`, `kill …`: what is done to processes.

use chaos_core::{
    model::{Action, ProcessEffect, ProcessFault, Scope, Selector},
    which::Which,
};

use super::{Checker, Names, fault::Acting};
use crate::{
    codes::Code,
    syntax::{Cursor, ItemKind, Statement},
};

impl Checker {
    /// Checks what stands behind `=` where it begins with a word for these.
    pub(super) fn processes(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Acting> {
        let mut cursor = Cursor::new(statement.definition(), statement.span);
        let word = cursor.take_any_word()?;
        let mut effect = if word.text == "kill" { ProcessEffect::Kill } else { ProcessEffect::Pause };
        if let Scope::Cluster(_) = names.scope {
            let help = match effect.ends() {
                true => "write `delete TARGET` or `evict TARGET` to end pods",
                false => "run it in a lab, or on the machine where the processes are",
            };
            self.not_yet(word.span, &format!("the fault `{}` in a cluster", word.text)).help =
                Some(help.into());
            return None;
        }
        let by_name = cursor.peek().is_some_and(|item| item.is_word("process"))
            && cursor.rest().get(1).is_some_and(|item| matches!(item.kind, ItemKind::Text(_)));
        let (named, on) = if by_name {
            cursor.take();
            let name = self.take_string(&mut cursor, "the process's name in quotes")?;
            let on = if cursor.take_word("on").is_some() {
                self.selector(&mut cursor, names)?
            } else if names.scope.has_lab() {
                let message = format!("it is not said on which host `{name}` runs");
                self.error(Code::MissingLine, statement.span, message).help =
                    Some(format!("write `{} process \"{name}\" on HOST`", word.text));
                return None;
            } else {
                Selector::Process(name.clone())
            };
            (Which::one(name.value), on)
        } else {
            let on = self.selector(&mut cursor, names)?;
            if !names.scope.has_lab() {
                let message = format!("it is not said which processes of `{on}` are meant");
                self.error(Code::MissingLine, on.span(), message).help =
                    Some(format!("write `{} process \"NAME\" on {on}`", word.text));
                return None;
            }
            (Which::Any, on)
        };
        if effect.ends() && cursor.take_word("with").is_some() {
            effect = match cursor.take_any_word().map(|word| word.text) {
                Some("SIGKILL") => ProcessEffect::Kill,
                Some("SIGTERM") => ProcessEffect::Terminate,
                _ => {
                    let message = "a process is killed with `SIGKILL` or `SIGTERM`";
                    self.error(Code::Misplaced, cursor.previous(), message).help =
                        Some("write one of them, or leave out `with` for `SIGKILL`".into());
                    return None;
                }
            };
        }
        let proven_by = self.proven_by(&mut cursor, names);
        if let Some(more) = cursor.peek() {
            let message = format!("{} does not belong here", more.describe());
            self.error(Code::Misplaced, more.span, message).help =
                Some(format!("remove it: `{}` is about processes, not about packets", word.text));
            return None;
        }
        Some(Acting { action: Action::Processes(ProcessFault { effect, named }), on, proven_by })
    }
}
