//! `timeline { … }`, or `duration 5m` for the plain one.

use std::time::Duration;

use chaos_core::{
    model::{Step, Timeline, quantity::format_seconds},
    soundness::order,
    span::Spanned,
};

use super::{Checker, Names};
use crate::{
    codes::Code,
    diagnostic::Cause,
    suggest::{self, Advice},
    syntax::{Cursor, Item, Statement},
};

/// The words that steps begin with.
pub(super) const STEPS: &[&str] = &["baseline", "make", "inject", "hold", "rollback", "watch"];

/// The baseline of a plain timeline lasts as long as the fault, within these bounds.
const PLAIN_BASELINE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

/// Returns what a line of a timeline is called here whose first word is another tool's, or a kind of fault.
fn instead_of(line: &Statement<'_>) -> Option<Advice> {
    let word = line.keyword();
    let step = match word {
        "wait" | "sleep" | "stay" | "during" => "hold",
        "start" | "apply" | "attack" => "inject",
        "recover" | "remove" | "revert" | "stop" | "undo" => "rollback",
        "observe" | "after" => "watch",
        "warmup" | "before" => "baseline",
        _ if super::fault::is_kind(word) => {
            return Some("declare it above: `fault NAME = …`; then `inject NAME` puts it in place".into());
        }
        _ => return None,
    };
    Some(Advice::replace(format!("the step is called `{step}`"), step))
}

impl Checker {
    /// Checks a timeline's block.
    pub(super) fn timeline(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Timeline> {
        let mut cursor = statement.cursor();
        cursor.take();
        let Some(block) = cursor.take_block() else {
            self.expected(&cursor, "steps in braces")
                .advise("write `timeline { baseline 1m … }`, or `duration 5m` for the plain one")
                .because(Cause::NoBlock);
            return None;
        };
        let mut steps: Vec<Spanned<Step>> = Vec::new();
        // After a step with a mistake it is not known what is in place: then the order is not judged.
        let mut known = None;
        for line in &block.statements {
            match self.step(line, names) {
                Some(step) => steps.push(Spanned::new(step, line.span)),
                None => {
                    known.get_or_insert(steps.len());
                }
            }
        }
        let in_place = steps.iter().fold(Vec::new(), |mut active: Vec<&str>, step| {
            match &step.value {
                Step::Inject(name) => active.push(name),
                Step::Rollback(which) => {
                    active.retain(|f| which.as_ref().is_some_and(|name| name.value != *f))
                }
                Step::Baseline(_) | Step::Make(_) | Step::Hold(_) | Step::Watch(_) => {}
            }
            active
        });
        if !in_place.is_empty() {
            // Every fault is rolled back, also where the file leaves it out.
            steps.push(Spanned::new(Step::Rollback(None), statement.span));
        }
        let timeline = Timeline { steps, span: statement.span };
        let faults: Vec<&str> = names.faults.iter().map(|f| f.value.as_str()).collect();
        self.unsound(match known {
            None => order::of_timeline(&timeline, &faults),
            Some(known) => order::of_steps(&timeline.steps[..known]),
        });
        Some(timeline)
    }

    fn step(&mut self, line: &Statement<'_>, names: &Names) -> Option<Step> {
        let mut cursor = line.cursor();
        let Some(word) = cursor.take_any_word() else {
            self.expected(&cursor, "a step");
            return None;
        };
        let step = match word.text {
            "baseline" => {
                self.take_duration(&mut cursor, "the time of the baseline", false).map(Step::Baseline)
            }
            "hold" => {
                if let Some(until) = cursor.take_word("until") {
                    self.not_yet(until, "`hold until`").help = Some("write `hold 5m`".into());
                    return None;
                }
                self.take_duration(&mut cursor, "the time of the hold", false).map(Step::Hold)
            }
            "watch" => self.take_duration(&mut cursor, "the time of the watch", false).map(Step::Watch),
            "inject" => self.injection(&mut cursor, names),
            "rollback" => match cursor.take_any_word() {
                None => Some(Step::Rollback(None)),
                Some(name) => self.refer("fault", name, &names.faults).map(|name| Step::Rollback(Some(name))),
            },
            "make" => cursor
                .take_any_word()
                .and_then(|name| self.refer("change", name, &names.changes))
                .map(Step::Make),
            text => {
                let near = instead_of(line).or_else(|| suggest::did_you_mean(text, STEPS.iter().copied()));
                let steps = || format!("the steps are {}", super::join_words(STEPS)).into();
                self.error(Code::UnknownStatement, word.span, format!("unknown step `{text}`"))
                    .advise(near.unwrap_or_else(steps));
                return None;
            }
        };
        self.end(&cursor, &[]);
        step
    }

    /// Reads what is injected; how long it stays is no part of it.
    fn injection(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<Step> {
        let name = cursor.take_any_word()?;
        let fault = self.refer("fault", name, &names.faults)?;
        cursor.take_word("for");
        if let Some((item, time)) = cursor.peek().and_then(|item| Some((item, item.as_quantity()?))) {
            let message = "`inject` takes no time: the fault stays until its `rollback`";
            let help = format!("write `inject {}`, and `hold {}` on a line of its own", name.text, time.text);
            self.error(Code::Misplaced, item.span, message).help = Some(help);
            return None;
        }
        Some(Step::Inject(fault))
    }

    /// Reads `duration D`: baseline, the experiment's own faults at once, hold, rollback, watch.
    pub(super) fn plain_timeline(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Timeline> {
        let mut cursor = statement.cursor();
        cursor.take();
        let hold = self.take_duration(&mut cursor, "the duration", false)?;
        self.end(&cursor, &[]);
        let span = statement.span;
        let baseline = hold.clamp(PLAIN_BASELINE.0, PLAIN_BASELINE.1);
        // What stands beside the experiment or in another file is there to choose from: nobody asked for all of it.
        let own = names.own_faults();
        if let (true, Some(shared)) = (own.is_empty(), names.faults.first()) {
            let message = "`duration` injects the faults that stand in the experiment, and none does";
            let text = |d: Duration| format_seconds(d.as_secs_f64());
            let [baseline, hold, watch] = [baseline, hold, PLAIN_BASELINE.0].map(text);
            self.error(Code::MissingLine, span, message).help = Some(format!(
                "say which: `timeline {{ baseline {baseline}, inject {shared}, hold {hold}, rollback, watch {watch} }}`"
            ));
            return None;
        }
        if let Some(change) = names.changes.first() {
            let message = format!("`duration` makes no change, and `{change}` is declared");
            self.error(Code::MissingLine, span, message).help =
                Some(format!("write a `timeline` with `make {change}` where it belongs"));
            return None;
        }
        let mut steps = vec![Step::Baseline(baseline)];
        steps.extend(own.iter().map(|f| Step::Inject(f.clone())));
        steps.extend([Step::Hold(hold), Step::Rollback(None), Step::Watch(PLAIN_BASELINE.0)]);
        Some(Timeline { steps: steps.into_iter().map(|s| Spanned::new(s, span)).collect(), span })
    }

    /// Reads the length behind `over`, for the steady state.
    pub(super) fn over(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Duration> {
        if cursor.take_word("over").is_none() {
            self.expected(cursor, "`over` and a duration").help =
                Some("write `steady state over 30s { … }`".into());
            return None;
        }
        if cursor.peek().is_some_and(|i: &Item<'_>| i.as_word().is_none() && i.as_quantity().is_none()) {
            self.expected(cursor, "a duration").help = Some("write `over 30s`".into());
            return None;
        }
        self.take_duration(cursor, "the time of the steady state", false)
    }
}
