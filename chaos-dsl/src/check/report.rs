//! How the checker reports a mistake: what every check says in the same words.

use chaos_core::span::{Span, Spanned};

use super::Checker;
use crate::{
    codes::Code,
    diagnostic::{Cause, Diagnostic, Label, MAX_DIAGNOSTICS},
    suggest,
    syntax::{Cursor, Item, ItemKind, Word},
};

impl Checker {
    /// Reports a mistake at a place and returns it, so that help can be added.
    pub(super) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.out.push(Diagnostic::new(code, message).at(span, ""));
        let last = self.out.len() - 1;
        &mut self.out[last]
    }

    /// Reports what was expected where something else, or nothing, stands.
    pub(super) fn expected(&mut self, cursor: &Cursor<'_, '_>, what: &str) -> &mut Diagnostic {
        let found = cursor.peek().map_or_else(|| "the end of the line".to_owned(), Item::describe);
        self.error(Code::Misplaced, cursor.span(), format!("expected {what}, found {found}"))
    }

    /// Reports a name that nothing declares.
    pub(super) fn unknown<'c>(
        &mut self,
        what: &str,
        name: Word<'_>,
        known: impl IntoIterator<Item = &'c str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        // The distance to every known name is only worth its time where somebody will read it.
        let read = self.out.len() < 4 * MAX_DIAGNOSTICS;
        let near = read.then(|| suggest::did_you_mean(name.text, known.iter().copied())).flatten();
        let advice = near.unwrap_or_else(|| match known.len() {
            1..=12 => {
                let known: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
                format!("there is {}", known.join(", ")).into()
            }
            _ => format!("declare a {what} of that name first").into(),
        });
        let cause = Cause::Undeclared { name: name.text.to_owned(), misspelt: advice.misspelt };
        let message = format!("unknown {what} `{}`", name.text);
        self.error(Code::UnknownName, name.span, message).advise(advice).because(cause);
    }

    /// Reports a name declared twice.
    pub(super) fn duplicate(&mut self, what: &str, name: &Spanned<String>, first: Span) {
        let error =
            self.error(Code::DuplicateName, name.span, format!("the {what} `{name}` is declared twice"));
        error.secondary.push(Label { span: first, message: "first declared here".into() });
        error.help = Some("rename one of them".into());
    }

    /// Reports what is left of a statement that should have ended; behind another mistake it says nothing new.
    pub(super) fn end(&mut self, cursor: &Cursor<'_, '_>, known: &[&str]) {
        let whole = cursor.whole();
        let last = self.out.iter().rfind(|d| d.is_error()).and_then(|d| d.place());
        if last.is_some_and(|s| s.file == whole.file && whole.start <= s.start && s.end <= whole.end) {
            return;
        }
        if let Some(item) = cursor.peek() {
            let near = item.as_word().and_then(|w| suggest::did_you_mean(w.text, known.iter().copied()));
            let advice = near.or_else(|| {
                (!known.is_empty()).then(|| format!("here may stand {}", join_words(known)).into())
            });
            let message = format!("{} does not belong here", item.describe());
            let error = self.error(Code::Misplaced, item.span, message);
            if let Some(advice) = advice {
                error.advise(advice);
            }
            if matches!(item.kind, ItemKind::Block(_)) {
                error.because(Cause::StrayBlock);
            }
        }
    }

    /// Reports something that only a cluster has, and that is not done even there.
    pub(super) fn needs_cluster(&mut self, span: Span, what: &str) {
        if self.in_cluster {
            self.not_yet(span, what);
            return;
        }
        self.error(
            Code::NeedsCluster,
            span,
            format!("{what} belongs to a cluster, and this experiment does not take place in one"),
        )
        .help =
            Some("give the experiment `scope { cluster \"CONTEXT\" uid \"UID\" namespace \"NAME\" }`".into());
    }

    /// Reports something of the language that this version does not do.
    pub(super) fn not_yet(&mut self, span: Span, what: &str) -> &mut Diagnostic {
        let message = format!("{what} is part of the language, but this version cannot do it yet");
        let error = self.error(Code::NotYet, span, message);
        error.help = Some("leave it out for now".into());
        error
    }

    /// Returns whether a mistake was already reported within a place.
    pub(super) fn reported_within(&self, place: Span) -> bool {
        let errors = self.out.iter().filter(|d| d.is_error());
        errors
            .filter_map(|d| d.place())
            .any(|s| s.file == place.file && place.start <= s.start && s.end <= place.end)
    }

    /// Forgets what was reported after `before` and had been reported earlier of the same place: it is the same mistake, seen again with
    /// other values.
    pub(super) fn forget_repeated(&mut self, before: usize) {
        let key = |d: &Diagnostic| (d.code, d.place());
        let again = self.out.split_off(before);
        for diagnostic in again {
            if !self.out.iter().any(|d| key(d) == key(&diagnostic)) {
                self.out.push(diagnostic);
            }
        }
    }
}

/// Lists words for people: `a`, `b` or `c`.
pub(super) fn join_words(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            format!("{} or `{last}`", most.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))
        }
    }
}
