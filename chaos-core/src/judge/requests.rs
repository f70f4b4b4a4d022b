//! What became of the requests that were under way at an instant.

use std::time::Duration;

use super::finding::Finding;
use super::{
    About,
    show::{late, time},
    timeline::RunTimeline,
    wording::why,
};
use crate::verdict::{
    Outcome as Verdict,
    confidence::{Leaning, Reason},
    monitor::margin::normalised_deadline,
};
use crate::{
    model::{Event, Unit},
    probe::{Outcome, Sample},
    span::Spanned,
    time::{Nanos, nanos},
};

/// What is known of the requests open at the events of a claim.
#[derive(Default)]
pub(super) struct Open {
    /// How many there were.
    pub(super) open: u64,
    /// How many of them did not succeed.
    pub(super) failed: u64,
    /// How many were answered too late.
    pub(super) late: u64,
    /// How many were ended by nobody knows what, the run having been aborted.
    pub(super) unknown: u64,
    /// How long after its event the last successful one was over.
    pub(super) longest: Option<Nanos>,
    /// When the first of them went wrong.
    pub(super) broke: Option<Nanos>,
    /// When the last of them was over.
    pub(super) over: Option<Nanos>,
}

/// Judges that every request under way at the event succeeds within this time after it.
pub(super) fn judge(
    timeline: &RunTimeline<'_>,
    probe: &Spanned<String>,
    within: Duration,
    event: &Event,
) -> Finding {
    let instants = timeline.instants(event);
    let samples = timeline.view.samples.get(&probe.value).map_or(&[][..], Vec::as_slice);
    let within = nanos(within);
    let mut seen = Open::default();
    for at in &instants {
        samples.iter().for_each(|sample| seen.take(sample, *at, within, timeline.view.aborted));
    }
    let outcome = if instants.is_empty() {
        timeline.absent()
    } else if seen.open == 0 {
        Verdict::inconclusive(Leaning::None, Reason::NotExercised, None)
    } else if seen.failed + seen.late > 0 {
        Verdict::Failed
    } else if seen.unknown > 0 {
        Verdict::inconclusive(Leaning::Passed, Reason::Aborted, None)
    } else {
        Verdict::Passed
    };
    let nothing_open = !instants.is_empty() && seen.open == 0;
    let (outcome, mut reasons) = timeline.tested(outcome, About::Event(event), false, &[&probe.value]);
    if nothing_open {
        let never = format!("not exercised: {event} never came");
        reasons.retain(|reason| *reason != never);
        reasons.push(format!("not exercised: no request of {probe} was open when {event}"));
    }
    let mut finding = Finding::of(outcome, Unit::Seconds);
    finding.reasons = reasons;
    finding.time_margin = seen.longest.filter(|_| seen.failed == 0).map(|longest| within - longest);
    finding.normalised = finding.time_margin.map(|margin| normalised_deadline(margin, within));
    finding.decided_at = if seen.broke.is_some() { seen.broke } else { seen.over };
    finding.sentence = sentence(&finding, &seen, probe, event);
    finding
}

impl Open {
    fn take(&mut self, sample: &Sample, event: Nanos, within: Nanos, aborted: Option<Nanos>) {
        let start = sample.intended.saturating_add(nanos(sample.late));
        let end = sample.completed();
        let outcome = sample.observation.outcome;
        if outcome == Outcome::NotRun || start >= event || end <= event {
            return;
        }
        self.open += 1;
        // What an abort took away in the middle might have gone on.
        if aborted.is_some_and(|at| event < at && at < end) {
            self.unknown += 1;
            return;
        }
        self.over = self.over.max(Some(end));
        let took = end.saturating_sub(event);
        let broke = if outcome == Outcome::Ok {
            self.longest = self.longest.max(Some(took));
            (took > within).then(|| event.saturating_add(within))
        } else {
            Some(end)
        };
        if let Some(at) = broke {
            if outcome == Outcome::Ok {
                self.late += 1
            } else {
                self.failed += 1
            }
            self.broke = Some(self.broke.map_or(at, |first| first.min(at)));
        }
    }
}

/// Writes the sentence of a claim about the requests that were open at an event.
fn sentence(finding: &Finding, seen: &Open, probe: &str, event: &Event) -> String {
    let were = |n: u64| if n == 1 { "1 request".to_owned() } else { format!("{n} requests") };
    if seen.open == 0 {
        return format!("undecided: {}", why(finding));
    }
    let mut said = format!("{} of {probe} open when {event}", were(seen.open));
    if seen.failed > 0 {
        said.push_str(&format!(", of which {} failed", seen.failed));
    }
    if seen.late > 0 {
        said.push_str(&format!(", of which {} came too late", seen.late));
    }
    if let Some(longest) = seen.longest {
        said.push_str(&format!(", the last answered {} after it", time(longest)));
    }
    match finding.time_margin {
        _ if !finding.outcome.is_decided() => format!("{said}: {}", why(finding)),
        Some(margin) => format!("{said}: {}", late(margin)),
        None => said,
    }
}
