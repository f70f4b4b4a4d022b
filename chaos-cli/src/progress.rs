//! How a run is doing, on standard error: a line that is kept up to date on a terminal, else one line for each step.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chaos_core::{
    model::quantity::{Quantity, format_seconds},
    report::harmless,
    run::{
        EventSink,
        event::{ProbeProgress, What},
        record::{PartState, Role, Stage},
    },
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::render;

/// Without a terminal, how often progress is reported within a step.
const QUIET_EVERY: Duration = Duration::from_secs(10);

/// Makes the sink that shows progress.
pub(crate) fn sink() -> EventSink {
    let show: Mutex<Show> = Mutex::new(if render::moves(&std::io::stderr()) {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Show::Terminal { bar, stage: String::new() }
    } else {
        Show::Lines { last: Instant::now(), stage: String::new() }
    });
    Arc::new(move |event| show.lock().unwrap_or_else(PoisonError::into_inner).take(&event.what))
}

enum Show {
    Terminal { bar: ProgressBar, stage: String },
    Lines { last: Instant, stage: String },
}

impl Show {
    fn take(&mut self, what: &What) {
        match what {
            What::RunStarted { run, experiment, planned, .. } => {
                self.line(&format!(
                    "{experiment} (run {run}, about {})",
                    format_seconds(planned.as_secs_f64())
                ));
            }
            What::EnvironmentProgress { line } => self.line(&format!("  {line}")),
            What::StageStarted { stage, planned } => {
                let text = match planned {
                    Some(planned) => format!("{stage} for {}", format_seconds(planned.as_secs_f64())),
                    None => stage.to_string(),
                };
                let (Show::Terminal { stage: current, .. } | Show::Lines { stage: current, .. }) = self;
                *current = stage.to_string();
                if !matches!(stage, Stage::Draining | Stage::Judging | Stage::Teardown | Stage::Setup) {
                    self.line(&format!("  {text}"));
                }
            }
            What::SteadyState(result) => {
                for predicate in &result.predicates {
                    let sign = match predicate.held {
                        Some(true) => "ok",
                        Some(false) => "does not hold",
                        None => "unknown",
                    };
                    self.line(&format!("    {}: {} ({sign})", predicate.text, predicate.measured));
                }
            }
            What::Part { role: Role::Fault | Role::Change, state, line, .. } => match state {
                PartState::Active => self.line(&format!("    in place: {line}")),
                PartState::Reverted => self.line(&format!("    restored: {line}")),
                PartState::RevertFailed => self.line(&format!("    not restored yet: {line}")),
                _ => {}
            },
            What::Unproven { fault, condition, .. } => {
                self.line(&format!("    `{fault}` is not proven to have matched traffic: {condition}"));
            }
            What::Abort(cause) => self.line(&format!("  aborting: {cause}")),
            What::Warning { line } => self.line(&format!("  warning: {line}")),
            What::Progress { probes, active, left } => self.progress(probes, active, *left),
            What::RunEnded { .. } => {
                if let Show::Terminal { bar, .. } = self {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }

    fn progress(&mut self, probes: &[ProbeProgress], active: &[String], left: Duration) {
        let mut text = format!("{} left", format_seconds(left.as_secs_f64().ceil()));
        for probe in probes {
            let success = probe
                .success
                .map_or("–".into(), |s| Quantity::ratio((s * 1000.0).floor() / 1000.0).to_string());
            let p95 = probe.p95.map_or("–".into(), |d| format_seconds(d.as_secs_f64()));
            text.push_str(&format!("  {}: success {success} p95 {p95}", probe.probe));
        }
        let faults = if active.is_empty() { "none".into() } else { active.join(", ") };
        text.push_str(&format!("  faults: {faults}"));
        match self {
            Show::Terminal { bar, stage } => bar.set_message(harmless::line(&format!("{stage}: {text}"))),
            Show::Lines { last, stage } => {
                if last.elapsed() >= QUIET_EVERY {
                    *last = Instant::now();
                    render::say(&format!("  {stage}: {text}\n"));
                }
            }
        }
    }

    fn line(&self, text: &str) {
        match self {
            Show::Terminal { bar, .. } => bar.suspend(|| render::say(&format!("{text}\n"))),
            Show::Lines { .. } => render::say(&format!("{text}\n")),
        }
    }
}
