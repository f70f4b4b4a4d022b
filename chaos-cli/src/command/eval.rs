//! `chaos eval`

mod input;
mod output;

use chaos_core::verdict::monitor::Trace;
use chaos_core::verdict::{Interval, Outcome};
use chaos_dsl::{Diagnostic, SourceMap, eval};

use crate::{args::Eval, exit_code::Exit, render};

/// Judges a formula on recorded signals.
pub(crate) fn run(args: &Eval) -> Exit {
    evaluate(args).unwrap_or_else(|exit| exit)
}

fn evaluate(args: &Eval) -> Result<Exit, Exit> {
    let recordings = input::recordings(&args.signals, args.zero.as_deref())?;
    let ranges = input::ranges(&args.range, &recordings)?;
    let setting = input::setting(args, &recordings)?;
    let question =
        eval::compile(&args.formula, &setting).map_err(|diagnostics| bad_formula(args, &diagnostics))?;
    let mut signals = Vec::new();
    for name in &question.signals {
        let range = ranges.iter().find(|(named, _)| named == name).map(|(_, range)| *range);
        signals.push(input::signal(&recordings, name, range.unwrap_or(Interval::EVERYTHING))?);
    }
    let trace = Trace::new(signals);
    let decision = question.statement.judge(&trace);
    let answer = output::Answer {
        notation: question.notation(),
        readings: question.statement.readings(&trace),
        latest: question.statement.latest_decision(),
        heard: trace.heard(),
        comparisons: &question.comparisons,
        decision,
    };
    if args.json {
        render::json_line(&answer.json());
    } else {
        render::lines(&answer.lines());
    }
    Ok(match answer.decision.outcome {
        Outcome::Passed => Exit::Passed,
        Outcome::Failed => Exit::Failed,
        Outcome::Inconclusive { .. } => Exit::Inconclusive,
    })
}

/// Prints what is wrong with the formula.
fn bad_formula(args: &Eval, diagnostics: &[Diagnostic]) -> Exit {
    let mut sources = SourceMap::new();
    sources.add("formula", args.formula.as_str());
    render::diagnostics(diagnostics, &sources);
    Exit::BadInput
}
