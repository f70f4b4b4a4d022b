//! Comparisons of signals with numbers and with each other.

use super::{
    super::{Cursor, Failed, token::Kind},
    OPERATORS,
};
use crate::{
    codes::Code,
    diagnostic::Diagnostic,
    syntax::{Decimal, Quantity, Side, SignalName, Temporal, TemporalKind, Unit},
};

impl<'a> Cursor<'a> {
    pub(super) fn relation(&mut self) -> Result<Temporal<'a>, Failed> {
        let start = self.token().start;
        let left = self.side()?;
        let mut settles = None;
        if let Some(word) = self.eat_word("settles") {
            settles = Some(self.span_of(word));
            if self.eat_word("to").is_none() {
                return Err(self.expected(
                    "`to` after `settles`",
                    Some("write `x settles to <= 5 within 30s after rollback`"),
                ));
            }
        }
        let Some(op) = self.comparison() else {
            return match left {
                _ if settles.is_some() => {
                    Err(self.expected("a comparison after `settles to`", Some("write `settles to <= 5`")))
                }
                Side::Signal { signal, factor, offset, .. } if factor == 1.0 && offset == 0.0 => {
                    Ok(self.temporal(TemporalKind::Holds(signal), start))
                }
                _ => {
                    Err(self
                        .expected("a comparison", Some("compare with `<`, `<=`, `>`, `>=`, `==` or `!=`")))
                }
            };
        };
        let middle = self.token().start;
        let right = self.side()?;
        self.no_chain([start, middle], op, Self::side, |[low, value, high], [first, second]| {
            let (first, second) = (first.as_str(), second.as_str());
            format!("write two: `({low} {first} {value}) and ({value} {second} {high})`")
        })?;
        Ok(self.temporal(TemporalKind::Compare { left, settles, op, right }, start))
    }

    /// Reads a number, or a signal with what it is multiplied by and what is added.
    pub(super) fn side(&mut self) -> Result<Side, Failed> {
        let start = self.token().start;
        let mut factor = 1.0;
        if matches!(self.kind(), Kind::Number | Kind::Minus) {
            let (value, quantity) = self.signed_number()?;
            let followed = matches!(self.nth(1).kind, Kind::Word | Kind::Text) && !self.is_operator(1);
            if !(self.word() == Some("x") && followed) {
                self.no_more_arithmetic()?;
                let share = quantity.unit == Unit::Percentage;
                return Ok(Side::Number { value, share, span: self.span_from(start) });
            }
            let x = self.advance();
            if quantity.unit != Unit::Count || value < 0.0 {
                let span = self.span_from(start);
                let help = "a factor is a plain number that is not negative: `2 x y`";
                return Err(self.out_of_range(
                    span,
                    "a signal multiplied by something that is not a factor",
                    help,
                ));
            }
            factor = value;
            self.operand_follows(x)?;
        }
        let signal = self.signal_name()?;
        let mut offset = 0.0;
        if let Some(sign) = self.eat(Kind::Plus).or_else(|| self.eat(Kind::Minus)) {
            if self.kind() != Kind::Number {
                return Err(self.expected("a number", Some("write `2 x y + 3`")));
            }
            let (value, _) = self.signed_number()?;
            offset = if sign.kind == Kind::Minus { -value } else { value };
        }
        self.no_more_arithmetic()?;
        Ok(Side::Signal { factor, signal, offset, span: self.span_from(start) })
    }

    pub(super) fn is_operator(&self, ahead: usize) -> bool {
        self.nth_word(ahead).is_some_and(|word| OPERATORS.contains(&word))
    }

    pub(super) fn no_more_arithmetic(&mut self) -> Result<(), Failed> {
        let sign = matches!(self.kind(), Kind::Plus | Kind::Minus | Kind::Slash);
        if !sign && !self.word().is_some_and(|word| word.starts_with('*')) {
            return Ok(());
        }
        let span = self.span_of(self.token());
        self.report(
            Diagnostic::new(Code::Arithmetic, "a comparison computes no more than that")
                .at(span, "not possible here")
                .help("write `2 x y + 3`, or record a signal of its own for what is computed"),
        );
        Err(Failed)
    }

    /// Reads a number with its unit, which may be negative, in base units.
    pub(super) fn signed_number(&mut self) -> Result<(f64, Quantity<'a>), Failed> {
        let negative = self.eat(Kind::Minus).is_some();
        if self.kind() != Kind::Number {
            return Err(self.expected("a number", None));
        }
        // `2 m` would be taken for a unit apart from its number; a signal may be called `m`.
        let item = self.number()?;
        let Some(quantity) = item.as_quantity().copied() else {
            return Err(self.out_of_range(item.span, "an address is not a number", "compare with a number"));
        };
        let value = base(&quantity);
        Ok((if negative { -value } else { value }, quantity))
    }

    pub(super) fn signal_name(&mut self) -> Result<SignalName, Failed> {
        let token = self.token();
        let name = match token.kind {
            Kind::Text => {
                self.advance();
                let inner = self.slice(token.start + 1, token.end - 1);
                inner.replace("\\\"", "\"").replace("\\\\", "\\")
            }
            Kind::Word if self.is_operator(0) => {
                let word = self.token_text(token);
                let help = match word {
                    "time" => "a formula speaks of signals; time is in its windows".to_owned(),
                    _ => format!("if a signal is called so, write it in quotes: `\"{word}\"`"),
                };
                return Err(self.expected("a signal", Some(&help)));
            }
            Kind::Word if self.word() == Some("baseline") && self.nth(1).kind != Kind::OpenParen => {
                let span = self.span_of(token);
                self.report(
                    Diagnostic::new(
                        Code::NoBaseline,
                        "a formula on recorded signals has no baseline of its own",
                    )
                    .at(span, "not known here")
                    .help("write the number: `x <= 120ms`"),
                );
                return Err(Failed);
            }
            Kind::Word if self.nth(1).kind == Kind::OpenParen => {
                let call = self.call()?;
                let text = self.slice(call.span.start, call.span.end);
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            Kind::Word => {
                self.advance();
                self.token_text(token).to_owned()
            }
            _ => return Err(self.expected("a signal or a number", Some("a comparison is written `x <= 5`"))),
        };
        Ok(SignalName { name, span: self.span_from(token.start) })
    }
}

/// Returns a quantity in the base unit of its kind: seconds, shares from 0 to 1, per second, bits per second, bytes.
fn base(quantity: &Quantity<'_>) -> f64 {
    let Decimal { mantissa, scale } = quantity.value;
    // Through the decimal digits, so that `99.9%` is the number nearest to 0.999.
    let divided = |digits: u8| Decimal::new(mantissa, scale.saturating_add(digits)).to_f64();
    match quantity.unit {
        Unit::Duration => divided(9),
        Unit::Percentage | Unit::Points => divided(2),
        Unit::Rate { per } => quantity.value.to_f64() * 1e9 / per as f64,
        Unit::Count | Unit::Bandwidth | Unit::Size => quantity.value.to_f64(),
    }
}
