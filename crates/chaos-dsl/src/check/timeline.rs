//! `timeline { … }`, or `duration 5m` for the plain one.

use std::time::Duration;

use chaos_core::{
    model::{Step, Timeline},
    span::Spanned,
};

use super::{Checker, Names};
use crate::{
    codes::Code,
    suggest,
    syntax::{Cursor, Item, Statement},
};

const STEPS: &[&str] = &["baseline", "inject", "hold", "rollback", "watch"];

/// The baseline of a plain timeline lasts as long as the fault, within these bounds.
const PLAIN_BASELINE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

impl Checker {
    /// Checks a timeline's block.
    pub(super) fn timeline(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Timeline> {
        let mut cursor = statement.cursor();
        cursor.take();
        let Some(block) = cursor.take_block() else {
            self.expected(&cursor, "steps in braces").help =
                Some("write `timeline { baseline 1m … }`, or `duration 5m` for the plain one".into());
            return None;
        };
        let mut steps: Vec<Spanned<Step>> = Vec::new();
        let mut active: Vec<String> = Vec::new();
        let mut ever: Vec<String> = Vec::new();
        // After a step with a mistake it is not known what is in place: then the order is not judged.
        let mut doubt = false;
        for line in &block.statements {
            let mut cursor = line.cursor();
            let Some(word) = cursor.take_any_word() else {
                self.expected(&cursor, "a step");
                doubt = true;
                continue;
            };
            let step = match word.text {
                "baseline" => {
                    if !ever.is_empty() {
                        let message = "a baseline comes before anything is injected";
                        self.error(Code::ImpossibleOrder, line.span, message).help = Some(
                            "write `hold` while a fault is in place, and `watch` after the rollback".into(),
                        );
                    }
                    self.take_duration(&mut cursor, "the time of the baseline", false).map(Step::Baseline)
                }
                "hold" => {
                    if let Some(until) = cursor.take_word("until") {
                        self.not_yet(until, "`hold until`").help = Some("write `hold 5m`".into());
                        doubt = true;
                        continue;
                    }
                    if active.is_empty() && !doubt {
                        self.error(
                            Code::ImpossibleOrder,
                            line.span,
                            "nothing is in place that could be held",
                        )
                        .help = Some("write `inject NAME` before it, or `watch` after the rollback".into());
                    }
                    self.take_duration(&mut cursor, "the time of the hold", false).map(Step::Hold)
                }
                "watch" => {
                    if (!active.is_empty() || ever.is_empty()) && !doubt {
                        self.error(Code::ImpossibleOrder, line.span, "`watch` comes after the rollback")
                            .help = Some("write `hold` while a fault is in place".into());
                    }
                    self.take_duration(&mut cursor, "the time of the watch", false).map(Step::Watch)
                }
                "inject" => cursor.take_any_word().and_then(|name| {
                    let name = self.refer("fault", name, &names.faults)?;
                    if active.contains(&name.value) || ever.contains(&name.value) {
                        self.error(Code::ImpossibleOrder, line.span, format!("`{name}` is injected twice"))
                            .help = Some("declare a second fault".into());
                        return None;
                    }
                    active.push(name.value.clone());
                    ever.push(name.value.clone());
                    Some(Step::Inject(name))
                }),
                "rollback" => match cursor.take_any_word() {
                    None => {
                        if active.is_empty() && !doubt {
                            self.error(
                                Code::ImpossibleOrder,
                                line.span,
                                "nothing is in place that could be rolled back",
                            )
                            .help = Some("write `inject NAME` before it".into());
                        }
                        active.clear();
                        Some(Step::Rollback(None))
                    }
                    Some(name) => self.refer("fault", name, &names.faults).and_then(|name| {
                        if !active.contains(&name.value) {
                            if !doubt {
                                let message = format!("`{name}` is not in place here");
                                self.error(Code::ImpossibleOrder, line.span, message).help =
                                    Some(format!("write `inject {name}` before it, or remove this step"));
                            }
                            return None;
                        }
                        active.retain(|n| *n != name.value);
                        Some(Step::Rollback(Some(name)))
                    }),
                },
                "make" => {
                    self.not_yet(line.span, "`make`");
                    doubt = true;
                    continue;
                }
                text => {
                    let help = suggest::did_you_mean(text, STEPS.iter().copied());
                    self.error(Code::UnknownStatement, word.span, format!("unknown step `{text}`")).help =
                        help.or_else(|| Some(format!("the steps are {}", super::join_words(STEPS))));
                    doubt = true;
                    continue;
                }
            };
            self.end(&cursor, &[]);
            match step {
                Some(step) => steps.push(Spanned::new(step, line.span)),
                None => doubt = true,
            }
        }
        if !active.is_empty() {
            // Every fault is rolled back, also where the file leaves it out.
            steps.push(Spanned::new(Step::Rollback(None), statement.span));
        }
        if ever.is_empty() && !names.faults.is_empty() && !doubt {
            let faults = names.faults.iter().map(|f| f.value.as_str()).collect::<Vec<_>>();
            self.error(Code::MissingLine, statement.span, "the timeline injects nothing").help =
                Some(format!("add `inject {}`", faults.join("`, `inject ")));
        }
        if !steps.iter().any(|s| matches!(s.value, Step::Hold(_))) && !ever.is_empty() && !doubt {
            self.error(Code::MissingLine, statement.span, "the fault is never held").help =
                Some("add `hold 30s`".into());
        }
        Some(Timeline { steps, span: statement.span })
    }

    /// Reads `duration D`: baseline, all faults at once, hold, rollback, watch. `settle` is what the claims need after it.
    pub(super) fn plain_timeline(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Timeline> {
        let mut cursor = statement.cursor();
        cursor.take();
        let hold = self.take_duration(&mut cursor, "the duration", false)?;
        self.end(&cursor, &[]);
        let span = statement.span;
        let mut steps = vec![Step::Baseline(hold.clamp(PLAIN_BASELINE.0, PLAIN_BASELINE.1))];
        steps.extend(names.faults.iter().map(|f| Step::Inject(f.clone())));
        steps.extend([Step::Hold(hold), Step::Rollback(None), Step::Watch(PLAIN_BASELINE.0)]);
        Some(Timeline { steps: steps.into_iter().map(|s| Spanned::new(s, span)).collect(), span })
    }

    /// Lengthens the watch of a plain timeline to what its claims need.
    pub(super) fn stretch(timeline: &mut Timeline, needed: Duration) {
        for step in &mut timeline.steps {
            if let Step::Watch(watch) = &mut step.value {
                *watch = (*watch).max(needed);
            }
        }
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
