//! Formulas on one line.

use super::item::{item, items, joined};
use crate::syntax::{Call, ClauseKind, Formula, FormulaKind, Item, Sign, Term};

/// Appends a formula.
pub(super) fn formula(out: &mut String, found: &Formula<'_>) {
    match &found.kind {
        FormulaKind::Holds(claim) => term(out, claim),
        FormulaKind::Compare(compare) => {
            term(out, &compare.left);
            if compare.settles.is_some() {
                out.push_str(" settles to");
            }
            out.push(' ');
            out.push_str(compare.op.as_str());
            out.push(' ');
            term(out, &compare.right);
        }
        FormulaKind::Prefix(prefix, inner) => {
            out.push_str(prefix.as_str());
            out.push(' ');
            formula(out, inner);
        }
        FormulaKind::Join(logic, operands) => joined(out, *logic, operands, formula),
        FormulaKind::Group(inner) => {
            out.push('(');
            formula(out, inner);
            out.push(')');
        }
        FormulaKind::Given(parts) => {
            out.push_str("given ");
            formula(out, &parts.0);
            out.push_str(": ");
            formula(out, &parts.1);
        }
        FormulaKind::ForEach(each) => {
            out.push_str("for each ");
            items(out, &each.binder);
            if let Some(event) = &each.event {
                out.push_str(" when ");
                term(out, event);
            }
            out.push_str(": ");
            formula(out, &each.claim);
        }
    }
    for clause in &found.clauses {
        out.push(' ');
        out.push_str(clause.kind.keyword());
        match &clause.kind {
            ClauseKind::For(length) | ClauseKind::Within(length) => {
                out.push(' ');
                item(out, length);
            }
            ClauseKind::After(event) => {
                out.push(' ');
                term(out, event);
            }
            ClauseKind::During(phase) => phase.iter().for_each(|word| {
                out.push(' ');
                out.push_str(word.text);
            }),
            ClauseKind::Unless(release) => {
                out.push(' ');
                formula(out, release);
            }
            ClauseKind::With(share) => {
                out.push(' ');
                item(out, share);
                out.push_str(" confidence");
            }
            ClauseKind::Observed => {}
        }
    }
}

fn term(out: &mut String, found: &Term<'_>) {
    match found {
        Term::Call(found) => call(out, found),
        Term::Item(found) => item(out, found),
        Term::Phrase(phrase) => items(out, phrase),
        Term::Baseline(baseline) => {
            factor(out, baseline.factor.as_ref());
            out.push_str("baseline");
            offset(out, baseline.offset.as_ref());
        }
        Term::Scaled(scaled) => {
            factor(out, scaled.factor.as_ref());
            call(out, &scaled.call);
            offset(out, scaled.offset.as_ref());
        }
    }
}

fn factor(out: &mut String, factor: Option<&Item<'_>>) {
    if let Some(factor) = factor {
        item(out, factor);
        let percent = factor.as_quantity().is_some_and(|q| q.text.ends_with('%'));
        out.push_str(if percent { " of " } else { " x " });
    }
}

fn offset(out: &mut String, offset: Option<&(Sign, Item<'_>)>) {
    if let Some((sign, offset)) = offset {
        out.push(' ');
        out.push_str(sign.as_str());
        out.push(' ');
        item(out, offset);
    }
}

fn call(out: &mut String, call: &Call<'_>) {
    out.push_str(call.function.text);
    out.push('(');
    for (i, argument) in call.arguments.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { ", " });
        items(out, &argument.items);
    }
    out.push(')');
}
