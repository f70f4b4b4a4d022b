//! Comparisons and signals by name: from what was written to atoms.

use chaos_core::span::{Span, Spanned};
use chaos_core::verdict::Comparison as Sign;
use chaos_core::verdict::monitor::{Atom, Formula, Operand, Scale, SignalId, Subject};

use super::Comparison;
use super::lower::Lowering;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::suggest::{self, Advice};
use crate::syntax::{CompareOp, Side, SignalName};

impl Lowering<'_> {
    /// Finds a signal, which must have been recorded.
    fn signal(&mut self, signal: &SignalName) -> Option<SignalId> {
        if !self.setting.signals.iter().any(|known| known.name == signal.name) {
            let names = || self.setting.signals.iter().map(|known| known.name.as_str());
            let near = suggest::nearest(&signal.name, names()).map(Advice::meant);
            let all = names().map(|name| format!("`{name}`")).take(12).collect::<Vec<_>>().join(", ");
            let help = match (near, all.is_empty()) {
                (Some(near), _) => near,
                (None, false) => format!("there are {all}").into(),
                (None, true) => "nothing but the time was recorded".into(),
            };
            self.report(
                Diagnostic::new(Code::UnknownSignal, format!("no signal is called `{}`", signal.name))
                    .at(signal.span, "not recorded")
                    .help(help),
            );
            return None;
        }
        let found = self.signals.iter().position(|name| *name == signal.name);
        Some(SignalId(found.unwrap_or_else(|| {
            self.signals.push(signal.name.clone());
            self.signals.len() - 1
        })))
    }

    /// A signal that is true or false on its own.
    pub(super) fn holds(&mut self, signal: &SignalName) -> Option<Formula> {
        let id = self.signal(signal)?;
        let known = self.setting.signals.iter().find(|known| known.name == signal.name);
        if let Some(number) = known.and_then(|known| known.number) {
            let such = if number.is_nan() { String::new() } else { format!(", such as {number}") };
            self.report(
                Diagnostic::new(
                    Code::NotAMetric,
                    format!("`{}` is a number{such}, not true or false", signal.name),
                )
                .at(signal.span, "a number")
                .help(format!("compare it: `{} <= 5`", signal.name)),
            );
            return None;
        }
        let text = self.written(signal.span);
        let atom = Atom::holds(self.comparison(text, signal.span), id);
        Some(Formula::Atom(atom))
    }

    fn written(&self, span: Span) -> String {
        let text = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn comparison(&mut self, text: String, span: Span) -> u32 {
        self.comparisons.push(Comparison { text, span });
        (self.comparisons.len() - 1) as u32
    }

    /// A comparison of a signal with a number or another signal, whichever side it stands on.
    pub(super) fn relation(&mut self, left: &Side, op: &Spanned<CompareOp>, right: &Side) -> Option<Formula> {
        let span = left.span().to(right.span());
        let text =
            format!("{} {} {}", self.written(left.span()), op.value.as_str(), self.written(right.span()));
        let plain = |side: &Side| matches!(side, Side::Signal { factor, offset, .. } if *factor == 1.0 && *offset == 0.0);
        let (left, op, right) =
            if plain(left) { (left, op.value, right) } else { (right, op.value.mirrored(), left) };
        let Side::Signal { signal, .. } = left else {
            self.report(
                Diagnostic::new(Code::NotAMetric, "a comparison without a signal")
                    .at(span, "only numbers")
                    .help("compare a signal with a number: `x <= 5`"),
            );
            return None;
        };
        if !plain(left) {
            let shape = "one side is a signal as it is: write `x <= 2 x y + 3`";
            let message = match right {
                Side::Signal { .. } => "a comparison that computes on both sides",
                Side::Number { .. } => "a comparison with a number that computes",
            };
            self.report(
                Diagnostic::new(Code::Arithmetic, message)
                    .at(left.span(), "computed")
                    .and_at(right.span(), "with what it is compared")
                    .help(shape),
            );
            return None;
        }
        let signal = self.signal(signal)?;
        let (limit, share) = match right {
            Side::Number { value, share, .. } => (Operand::Constant(*value), *share),
            Side::Signal { factor, signal, offset, .. } => {
                (Operand::Signal { signal: self.signal(signal)?, factor: *factor, offset: *offset }, false)
            }
        };
        let sign = match op {
            CompareOp::Less => Sign::Below,
            CompareOp::AtMost => Sign::AtMost,
            CompareOp::Greater => Sign::Above,
            CompareOp::AtLeast => Sign::AtLeast,
            CompareOp::Equal => Sign::Equal,
            CompareOp::NotEqual => Sign::NotEqual,
        };
        // A share that must not fall below a limit is best at 1, such as a success rate.
        let scale = if share && !sign.prefers_small() { Scale::FROM_ONE } else { Scale::FROM_ZERO };
        let id = self.comparison(text, span);
        Some(Formula::Atom(Atom {
            id,
            signal,
            subject: Subject::Compares { comparison: sign, limit },
            scale,
        }))
    }
}
