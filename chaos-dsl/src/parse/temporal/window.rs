//! Windows of operators: `[0s,10s]`, `[0s,end)`.

use chaos_core::{span::Span, time::Nanos};

use super::super::{Cursor, Failed, token::Kind};
use crate::{
    codes::Code,
    diagnostic::Diagnostic,
    suggest::Advice,
    syntax::{Decimal, Unit, Window, WindowEnd},
};

impl<'a> Cursor<'a> {
    /// Reads `[0s,2s]` or `[0s,2s)`.
    pub(super) fn window(&mut self) -> Result<Window, Failed> {
        const HELP: &str = "a window is written `[0s,2s]`";
        let open = self.advance();
        let from = self.duration("[0s,2s]")?;
        if self.eat(Kind::Comma).is_none() {
            return Err(self.expected("`,` between the ends of a window", Some(HELP)));
        }
        let to = match self.eat_word("end") {
            Some(_) => WindowEnd::End,
            None => WindowEnd::After(self.duration("[0s,2s]")?),
        };
        let closed = match self.kind() {
            Kind::CloseList => true,
            Kind::CloseParen => false,
            _ => return Err(self.expected("`]`", Some(HELP))),
        };
        let close = self.advance();
        let window = Window { from, to, closed, span: self.span_from(open.start) };
        if closed && to == WindowEnd::End {
            let mut report = Diagnostic::new(Code::OutOfRange, "the end itself belongs to no window")
                .at(window.span, "closed");
            report.advise_on(self.span_of(close), Advice::replace("write `[0s,end)`", ")"));
            self.report(report);
            return Err(Failed);
        }
        let empty = match to {
            WindowEnd::After(to) if closed => to < from,
            WindowEnd::After(to) => to <= from,
            WindowEnd::End => false,
        };
        if empty {
            self.report(
                Diagnostic::new(Code::OutOfRange, "a window ends before it starts")
                    .at(window.span, "empty")
                    .help("the nearer end comes first: `[0s,2s]`"),
            );
            return Err(Failed);
        }
        Ok(window)
    }

    /// Reads a length of time; zero needs no unit.
    pub(super) fn duration(&mut self, example: &str) -> Result<Nanos, Failed> {
        let help = format!("write `{example}`");
        match self.kind() {
            Kind::Number => {}
            Kind::Minus => return Err(self.negative()),
            _ => return Err(self.expected("a length of time", Some(&help))),
        }
        let token = self.token();
        let item = self.number()?;
        let Some(quantity) = item.as_quantity() else {
            return Err(self.expected("a length of time", Some(&help)));
        };
        match quantity.unit {
            Unit::Duration => {
                let whole = quantity.value.whole().and_then(|nanos| Nanos::try_from(nanos).ok());
                // Half of all time is left for windows to look ahead and back from any instant.
                whole.filter(|nanos| *nanos <= Nanos::MAX / 4).ok_or_else(|| {
                    self.out_of_range(
                        item.span,
                        "a length of time that is too large",
                        "nothing that long can be meant",
                    )
                })
            }
            Unit::Count if quantity.value == Decimal::default() => Ok(0),
            Unit::Count => {
                let text = self.token_text(token);
                self.report(
                    Diagnostic::new(Code::MissingUnit, format!("`{text}` has no unit"))
                        .at(item.span, "of what?")
                        .help(format!("write `{text}s` or `{text}ms`")),
                );
                Err(Failed)
            }
            other => {
                self.report(
                    Diagnostic::new(
                        Code::WrongUnit,
                        format!("a {} where a length of time belongs", other.describe()),
                    )
                    .at(item.span, "no length of time")
                    .help(help),
                );
                Err(Failed)
            }
        }
    }

    pub(super) fn out_of_range(&mut self, span: Span, message: &str, help: &str) -> Failed {
        self.report(Diagnostic::new(Code::OutOfRange, message).at(span, "here").help(help));
        Failed
    }
}
