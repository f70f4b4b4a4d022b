//! Core formulas in the notation that `explain` prints and `eval` reads.

use chaos_core::time::{Nanos, exact as length};
use chaos_core::verdict::monitor::{Atom, Formula, Statement};

/// Writes the farther end of a window: `2s]`, or `2s)` for the nanosecond before it.
fn until(to: Nanos) -> String {
    if to % 1_000 == 999 { format!("{})", length(to + 1)) } else { format!("{}]", length(to)) }
}

/// Writes a statement; `end` is what `end` stands for, `atom` writes comparisons.
pub(crate) fn statement(of: &Statement, end: Nanos, atom: &dyn Fn(&Atom) -> String) -> String {
    let list = |parts: &[Statement], word: &str| {
        let parts: Vec<String> =
            parts.iter().map(|part| format!("({})", statement(part, end, atom))).collect();
        parts.join(&format!(" {word} "))
    };
    match of {
        Statement::Formula(of) => formula(of, 0, end, atom),
        Statement::Claim(claim) => {
            let owed: Vec<String> = claim
                .obligations()
                .iter()
                .flat_map(|o| {
                    // Clauses bind tighter than what joins formulas.
                    let joined = matches!(o.formula, Formula::And(_) | Formula::Or(_) | Formula::Implies(..));
                    o.at.iter().map(move |at| {
                        let written = formula(&o.formula, *at, end, atom);
                        let written = if joined { format!("({written})") } else { written };
                        format!("{written} @ {}", length(*at))
                    })
                })
                .collect();
            match owed.as_slice() {
                [one] => one.clone(),
                many => many.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" and "),
            }
        }
        Statement::Not(part) => format!("not ({})", statement(part, end, atom)),
        Statement::All(parts) => list(parts, "and"),
        Statement::Any(parts) => list(parts, "or"),
    }
}

/// Writes a formula that is looked at from `at`.
fn formula(of: &Formula, at: Nanos, end: Nanos, atom: &dyn Fn(&Atom) -> String) -> String {
    let write = |part: &Formula| formula(part, at, end, atom);
    let list = |parts: &[Formula], word: &str| match parts {
        [one] => write(one),
        many => many
            .iter()
            .map(|part| format!("({})", write(part)))
            .collect::<Vec<_>>()
            .join(&format!(" {word} ")),
    };
    let window = |word: &str, from: Nanos, to: Nanos, body: &Formula| {
        format!("{word}[{},{} {}", length(from), until(to), tight(body, &write))
    };
    match of {
        Formula::Atom(found) => atom(found),
        Formula::Not(body) => format!("not {}", tight(body, &write)),
        Formula::And(parts) => list(parts, "and"),
        Formula::Or(parts) => list(parts, "or"),
        Formula::Implies(given, then) => format!("({}) implies ({})", write(given), write(then)),
        Formula::Always { from, to, body } => window("always", *from, *to, body),
        Formula::Eventually { from, to, body } => window("eventually", *from, *to, body),
        Formula::Historically { from, to, body } => window("historically", *from, *to, body),
        Formula::Once { from, to, body } => window("once", *from, *to, body),
        Formula::Until { within, left, right } => {
            format!("({}) until[0s,{} ({})", write(left), until(*within), write(right))
        }
        Formula::Throughout { after, end: own, body } => {
            let to = match own {
                Some(own) if *own != end => length(own.saturating_sub(at)),
                _ => "end".to_owned(),
            };
            format!("always[{},{to}) {}", length(*after), tight(body, &write))
        }
    }
}

/// Writes what stands behind an operator: an operator again stands on its own, all else in parentheses.
fn tight(body: &Formula, write: &dyn Fn(&Formula) -> String) -> String {
    let prefixed = matches!(
        body,
        Formula::Not(_)
            | Formula::Always { .. }
            | Formula::Eventually { .. }
            | Formula::Historically { .. }
            | Formula::Once { .. }
            | Formula::Throughout { .. }
    );
    if prefixed { write(body) } else { format!("({})", write(body)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_exactly() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5us"),
            (250_000_000, "250ms"),
            (10_250_000_000, "10.25s"),
            (29_999_999_999, "29.999999999s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h"),
        ] {
            assert_eq!(length(nanos), text);
            assert_eq!(crate::parse::duration(text), Ok(nanos));
        }
    }
}
