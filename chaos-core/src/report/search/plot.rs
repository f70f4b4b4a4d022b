//! Intensity against outcome, in characters.

use crate::{
    model::Quantity,
    search::{Conclusion, Outcome, SearchRecord},
};

/// The columns of the range.
const COLUMNS: usize = 64;
/// The columns before it.
const HEADING: usize = 10;

/// Draws every trial over its level, what held above what did not, and below them the interval of the breaking point.
pub fn plot(record: &SearchRecord) -> Vec<String> {
    let question = &record.header.question;
    let (low, high) = (question.low().value, question.high().value);
    let column = |level: Quantity| {
        let share = (level.value - low) / (high - low);
        ((share * (COLUMNS - 1) as f64).round() as usize).min(COLUMNS - 1)
    };
    let row = |heading: &str, of: Outcome, sign: char| {
        let mut counts = [0_usize; COLUMNS];
        for trial in record.trials.iter().filter(|trial| trial.outcome == of) {
            counts[column(trial.level)] += 1;
        }
        let cells: String = counts
            .iter()
            .map(|count| match count {
                0 => ' ',
                1 => sign,
                // Several at one place are counted; a digit has room for nine.
                n => char::from_digit((*n).min(9) as u32, 10).unwrap_or(sign),
            })
            .collect();
        format!("{heading:<HEADING$}{}", cells).trim_end().to_owned()
    };
    let mut out = vec![row("held", Outcome::Held, 'o'), row("did not", Outcome::NotHeld, 'x')];
    if record.count(|o| *o == Outcome::Inconclusive) > 0 {
        out.push(row("unclear", Outcome::Inconclusive, '?'));
    }
    let mut axis: Vec<char> = "─".repeat(COLUMNS).chars().collect();
    if let (point, lower, upper) = record.estimate
        && matches!(record.conclusion, None | Some(Conclusion::Found { .. }))
        && !record.trials.is_empty()
    {
        axis[column(lower)..=column(upper)].fill('━');
        axis[column(point)] = '┃';
    }
    out.push(format!("{:<HEADING$}{}", question.param(), axis.into_iter().collect::<String>()));
    let (low, high) = (question.low().to_string(), question.high().to_string());
    let gap = COLUMNS.saturating_sub(low.chars().count());
    out.push(format!("{:HEADING$}{low}{high:>gap$}", ""));
    out
}
