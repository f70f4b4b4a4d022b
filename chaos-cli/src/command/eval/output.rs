//! What `chaos eval` prints: the verdict and the steps, for people and for programs.

use chaos_core::report::{Line, Style};
use chaos_core::verdict::monitor::{Decision, Reading};
use chaos_core::verdict::{Interval, Leaning, Outcome, Reason, Truth};
use chaos_core::{
    time::Nanos,
    verdict::steps::{FOREVER, Steps},
};
use chaos_dsl::eval::Comparison;
use serde_json::{Value, json};

/// How many steps are shown to people.
const SHOWN: usize = 24;

/// Everything there is to report.
pub(super) struct Answer<'q> {
    pub(super) notation: String,
    pub(super) decision: Decision,
    pub(super) readings: Steps<Reading>,
    /// The last instant whose values can matter.
    pub(super) latest: Option<Nanos>,
    /// The last instant heard of.
    pub(super) heard: Nanos,
    pub(super) comparisons: &'q [Comparison],
}

fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

/// Writes an instant or a length in seconds, exactly.
fn written(nanos: Nanos) -> String {
    format!("{}s", seconds(nanos))
}

/// The steps of a part of the readings from time 0 on.
fn steps<T: Copy + PartialEq>(readings: &Steps<Reading>, part: impl Fn(Reading) -> T) -> Vec<(Nanos, T)> {
    let part = readings.map(part);
    part.segments_in(0, FOREVER).map(|segment| (segment.start, segment.value)).collect()
}

fn verdict(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Inconclusive { .. } => "inconclusive",
    }
}

fn leaning(leaning: Leaning) -> &'static str {
    match leaning {
        Leaning::Passed => "passed",
        Leaning::Failed => "failed",
        Leaning::None => "none",
    }
}

fn truth(truth: Truth) -> Option<bool> {
    match truth {
        Truth::True => Some(true),
        Truth::False => Some(false),
        Truth::Unknown => None,
    }
}

fn reasons(outcome: &Outcome) -> &[Reason] {
    match outcome {
        Outcome::Inconclusive { reasons, .. } => reasons,
        _ => &[],
    }
}

fn finite(end: f64) -> Option<f64> {
    end.is_finite().then_some(end)
}

impl Answer<'_> {
    /// Returns until when signals must be known for a verdict, where that is later than they are.
    fn needs_until(&self) -> Option<Nanos> {
        let open = reasons(&self.decision.outcome).contains(&Reason::HorizonNotReached);
        self.latest.filter(|latest| open && *latest > self.heard)
    }

    /// One object for programs.
    pub(super) fn json(&self) -> Value {
        let decision = &self.decision;
        let boolean: Vec<Value> = steps(&self.readings, |reading| reading.truth)
            .into_iter()
            .map(|(start, value)| json!([seconds(start), truth(value)]))
            .collect();
        let margin: Vec<Value> = steps(&self.readings, |reading| reading.margin)
            .into_iter()
            .map(|(start, margin)| json!([seconds(start), finite(margin.lo), finite(margin.hi)]))
            .collect();
        let closest = decision.closest.map(|call| {
            json!({
                "comparison": self.comparisons.get(call.atom as usize).map(|c| &c.text),
                "at": seconds(call.at),
                "margin": finite(call.raw),
                "normalised": finite(call.normalised),
            })
        });
        json!({
            "verdict": verdict(&decision.outcome),
            "leaning": leaning(decision.outcome.leaning()),
            "reasons": reasons(&decision.outcome),
            "needs_until": self.needs_until().map(seconds),
            "formula": self.notation,
            "closest": closest,
            "time_margin": decision.time_margin.map(seconds),
            "decided_at": decision.decided_at.map(seconds),
            "unknown_share": decision.unknown_share,
            "known_until": Some(self.heard).filter(|heard| heard.abs() < Nanos::MAX / 2).map(seconds),
            "boolean": boolean,
            "margin": margin,
        })
    }

    /// Lines for people.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = vec![self.headline()];
        let mut named = |name: &str, text: String| {
            lines.push(Line::at(2).hang(11).dim(format!("{name:<11}")).plain(text));
        };
        if let Some(until) = self.needs_until() {
            let known = if self.heard > 0 {
                format!("they are known until {}", written(self.heard))
            } else {
                "nothing is known after 0s".into()
            };
            named("needs", format!("signals until {}; {known}", written(until)));
        }
        named("formula", self.notation.clone());
        if let Some(call) = self.decision.closest {
            let text =
                self.comparisons.get(call.atom as usize).map_or("", |comparison| comparison.text.as_str());
            let side = if call.raw < 0.0 { "beyond it" } else { "to spare" };
            let share = if call.normalised.is_finite() {
                format!(" ({:.0} %)", call.normalised.abs() * 100.0)
            } else {
                String::new()
            };
            named(
                "closest",
                format!("{text} at {}: {}{share} {side}", written(call.at), number(call.raw.abs())),
            );
        }
        if let Some(margin) = self.decision.time_margin {
            let side = if margin < 0 { "too late" } else { "early" };
            named("deadline", format!("{} {side}", written(margin.saturating_abs())));
        }
        match self.latest {
            Some(latest) => named("horizon", format!("values until {} matter", written(latest))),
            None => named("horizon", "open: it looks to an end that is not known".into()),
        }
        if let Some(at) = self.decision.decided_at {
            named("decided", format!("at {}", written(at)));
        }
        if self.decision.unknown_share > Decision::REMARKABLE_UNKNOWN_SHARE {
            named("unknown", format!("{:.0} % of what matters", self.decision.unknown_share * 100.0));
        }
        lines.push(Line::blank());
        self.table(&mut lines);
        lines
    }

    fn headline(&self) -> Line {
        let outcome = &self.decision.outcome;
        let style = match outcome {
            Outcome::Passed => Style::Good,
            Outcome::Failed => Style::Bad,
            Outcome::Inconclusive { .. } => Style::Unsure,
        };
        let line = Line::at(0).piece(style, verdict(outcome));
        let Outcome::Inconclusive { leaning: presumed, reasons, .. } = outcome else { return line };
        let presumed = match presumed {
            Leaning::None => String::new(),
            presumed => format!(", probably {}", leaning(*presumed)),
        };
        let reasons: Vec<&str> = reasons.iter().map(|reason| explained(*reason)).collect();
        line.plain(format!("{presumed}: {}", reasons.join("; ")))
    }

    fn table(&self, lines: &mut Vec<Line>) {
        let rows = steps(&self.readings, |reading| reading);
        lines.push(Line::at(2).dim(format!("{:>16}  {:<8}  margin", "from", "boolean")));
        for (start, reading) in rows.iter().take(SHOWN) {
            let (word, style) = match truth(reading.truth) {
                Some(true) => ("true", Style::Good),
                Some(false) => ("false", Style::Bad),
                None => ("unknown", Style::Unsure),
            };
            let row = Line::at(2).plain(format!("{:>16}  ", written(*start)));
            lines.push(
                row.piece(style, format!("{word:<8}")).plain(format!("  {}", interval(reading.margin))),
            );
        }
        if rows.len() > SHOWN {
            lines.push(Line::at(2).dim(format!("{} more steps: `--json` prints all", rows.len() - SHOWN)));
        }
    }
}

fn explained(reason: Reason) -> &'static str {
    match reason {
        Reason::Gap => "a stretch that matters is unknown",
        Reason::TooFewSamples => "too few samples",
        Reason::HorizonNotReached => "the recording ends before it is decided (horizon-not-reached)",
        Reason::Aborted => "the run was aborted",
        Reason::NextFault => "the next fault began",
        Reason::NotExercised => "nothing happened that it speaks of",
        Reason::BaselineUnhealthy => "the baseline gives no number",
    }
}

/// Writes a number with as many digits as a reader needs.
fn number(value: f64) -> String {
    let rounded = format!("{value:.6}");
    if value == 0.0 || value.abs() >= 1e-6 {
        rounded.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:e}")
    }
}

fn interval(margin: Interval) -> String {
    let end = |end: f64| if end.is_finite() { number(end) } else { "…".to_owned() };
    if margin.is_exact() { end(margin.lo) } else { format!("{} .. {}", end(margin.lo), end(margin.hi)) }
}
