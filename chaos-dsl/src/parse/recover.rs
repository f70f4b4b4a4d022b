//! Going on after a mistake: at the end of the statement it stands in.

use super::token::Kind;
use super::{Cursor, Failed};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;

impl Cursor<'_> {
    /// Moves to the end of the statement that began at a token; blocks within it are still read, for their mistakes.
    pub(super) fn skip_statement(&mut self, start: usize) {
        if self.ended {
            return;
        }
        let failed_at = self.at;
        self.at = start;
        let mut brackets = 0usize;
        let line_end = loop {
            match self.kind() {
                Kind::End => break true,
                Kind::OpenParen | Kind::OpenList => brackets += 1,
                Kind::CloseParen | Kind::CloseList => brackets = brackets.saturating_sub(1),
                Kind::OpenBrace | Kind::CloseBrace => break brackets > 0,
                Kind::Newline if brackets == 0 && self.at >= failed_at => break false,
                Kind::Comma if brackets == 0 && self.at >= failed_at => break false,
                _ => {}
            }
            self.advance();
        };
        if line_end && brackets > 0 {
            // A bracket stays open: the statement cannot have meant more than its own line.
            self.at = start;
            while !matches!(self.kind(), Kind::Newline | Kind::End | Kind::OpenBrace | Kind::CloseBrace) {
                self.advance();
            }
        }
        self.at = self.at.max(start);
        loop {
            match self.kind() {
                Kind::Newline | Kind::Comma | Kind::CloseBrace | Kind::End | Kind::Comment => return,
                Kind::OpenBrace => {
                    let mode = self.mode_of(start);
                    if self.at < failed_at {
                        self.skip_braces();
                    } else if self.block(mode, self.keyword_at(start)).is_err() {
                        return;
                    }
                }
                _ => {
                    self.advance();
                }
            }
        }
    }

    /// Moves behind a pair of braces that was read before the mistake.
    fn skip_braces(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.advance().kind {
                Kind::OpenBrace => depth += 1,
                Kind::CloseBrace => depth -= 1,
                Kind::End => return,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Reports that a bracket is not closed.
    pub(super) fn unclosed(&mut self, open: super::Token, close: &str) -> Failed {
        if self.kind() == Kind::Bad {
            return Failed;
        }
        let sign = self.token_text(open);
        let here = self.span(self.previous_end(), self.previous_end());
        self.report(
            Diagnostic::new(Code::UnclosedBracket, format!("`{sign}` is never closed"))
                .at(self.span_of(open), "opened here")
                .and_at(here, format!("expected `{close}`"))
                .help(format!("write `{close}`")),
        );
        Failed
    }
}
