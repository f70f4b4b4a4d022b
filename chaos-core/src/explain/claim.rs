//! What each expectation means: in words, as a formula, and what it takes to decide it.

use std::time::Duration;

use crate::{
    model::{
        Claim, Comparison, Event, Expectation, Experiment, Function, Phase, Predicate, Quantity,
        formula::Bound,
    },
    time::nanos,
    verdict::{proportion::samples_to_confirm, quantile::least_samples},
};

use crate::time::exact as exactly;

use super::{
    page::{Page, time},
    place,
    schedule::{Schedule, clock},
    words,
};

/// The chance of an error that windows are sized for, whatever confidence the expectations ask for.
const WINDOW_TAIL: f64 = 0.05;

/// Says what an expectation claims and what it takes to decide it.
pub(super) fn explain(
    experiment: &Experiment,
    schedule: &Schedule,
    expectation: &Expectation,
    page: &mut Page,
) {
    page.item(&format!("\"{}\"", expectation.name));
    page.detail(&sentence(&format!("{}.", in_words(&expectation.claim, experiment.confidence))));
    page.named("formula", &formula(&expectation.claim, schedule));
    page.named("horizon", &horizon(&expectation.claim, schedule));
    let mut samples: Vec<String> = Vec::new();
    needs(experiment, schedule, &expectation.claim, &mut samples);
    samples.dedup();
    for line in samples {
        page.named("samples", &line);
    }
    let decided = decided(&expectation.claim, schedule);
    page.named(
        "verdict",
        &format!("passes at {} at the earliest, fails at {}", at(decided.pass), at(decided.fail)),
    );
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

fn at(instant: Option<Duration>) -> String {
    instant.map_or_else(|| "no planned moment".to_owned(), clock)
}

/// Says a claim in words.
fn in_words(claim: &Claim, confidence: f64) -> String {
    let list = |all: &[Claim], word: &str| {
        all.iter().map(|c| in_words(c, confidence)).collect::<Vec<_>>().join(&format!("; {word} "))
    };
    match claim {
        Claim::Statistic { comparison, during, observed, confidence: own } => format!(
            "{}, taken as one number {}; {}",
            words::comparison(comparison),
            words::phase(during),
            if *observed {
                "the observed number decides".to_owned()
            } else {
                format!("judged with {} confidence", Quantity::ratio(own.unwrap_or(confidence)))
            }
        ),
        Claim::Always { predicate, during } => {
            format!("at every instant {}: {}", words::phase(during), words::predicate(predicate))
        }
        Claim::Never { predicate, during } => {
            format!("at no instant {}: {}", words::phase(during), words::predicate(predicate))
        }
        Claim::Unless { predicate, unless, during } => format!(
            "at every instant {}: {}; but no more once {}, which need not come",
            words::phase(during),
            words::predicate(predicate),
            words::predicate(unless)
        ),
        Claim::Completes { probe, within, open_at } => format!(
            "every request of {probe} that is under way when {} succeeds, and is over at most {} later",
            words::event(open_at),
            time(*within)
        ),
        Claim::Each { variable, of, keys, claim } => format!(
            "for each of {of}, {} ({}), called {variable}: {}; all must pass, and the worst is reported by name",
            keys.len(),
            keys.join(", "),
            in_words(claim, confidence)
        ),
        Claim::Given { condition, claim } => format!(
            "provided that {}: {}; else it was not put to the test, and is inconclusive",
            in_words(condition, confidence),
            in_words(claim, confidence)
        ),
        Claim::Eventually { predicate, within, during } => format!(
            "at some instant {}, at most {} after its start: {}",
            words::phase(during),
            time(*within),
            words::predicate(predicate)
        ),
        Claim::Within { predicate, within, after } => format!(
            "at most {} after {}, at some instant: {}",
            time(*within),
            words::event(after),
            words::predicate(predicate)
        ),
        Claim::Stops { predicate, within, after } => format!(
            "from {} after {} to the end, it is no longer true that {}",
            time(*within),
            words::event(after),
            words::predicate(predicate)
        ),
        Claim::Stays { predicate, lasting, after } => format!(
            "for {} after {}, without interruption: {}",
            time(*lasting),
            words::event(after),
            words::predicate(predicate)
        ),
        Claim::Settles { predicate, within, lasting, after } => format!(
            "at most {} after {} it comes to be, and stays so {}: {}",
            time(*within),
            words::event(after),
            lasting.map_or_else(|| "to the end".to_owned(), |d| format!("for {}", time(d))),
            words::predicate(predicate)
        ),
        Claim::All(all) => list(all, "and"),
        Claim::Any(all) => list(all, "or"),
    }
}

/// How long after the start of a phase, or after an event, a predicate is first known.
fn known_after(predicate: &Predicate) -> Duration {
    words::longest_window(predicate)
}

/// How long after the start of a phase all windows of a claim, and the memory of `for`, are full.
fn warm_up(claim: &Claim) -> Duration {
    claim.predicates().into_iter().map(|p| known_after(p) + words::persistence(p)).max().unwrap_or_default()
}

fn length(schedule: &Schedule, phase: &Phase) -> Option<Duration> {
    schedule.phase(phase).map(|(start, end)| end.saturating_sub(start))
}

/// How long after the start of a phase, or after an event, a predicate is first judged: all that it looks back on lies
/// behind that.
fn first(predicate: &Predicate) -> Duration {
    known_after(predicate) + words::persistence(predicate)
}

/// Writes a claim in the core notation, counted from the instant behind `@`; [`crate::eval`] reads it again.
fn formula(claim: &Claim, schedule: &Schedule) -> String {
    let time = |length: Duration| exactly(nanos(length));
    let list = |all: &[Claim], word: &str| {
        all.iter()
            .map(|c| format!("({})", formula(c, schedule)))
            .collect::<Vec<_>>()
            .join(&format!(" {word} "))
    };
    let whole = |predicate: &Predicate, during: &Phase, negated: bool| {
        let until = length(schedule, during).map_or_else(|| "end".to_owned(), time);
        let not = if negated { "not " } else { "" };
        format!(
            "always[{},{until}) {not}{} @ start of {during}",
            time(first(predicate)),
            words::tight(predicate)
        )
    };
    match claim {
        Claim::Statistic { comparison, during, observed: true, .. } => {
            format!("{comparison} @ {during}, observed")
        }
        Claim::Statistic { comparison, during, .. } => format!("{comparison} @ {during}"),
        Claim::Always { predicate, during } => whole(predicate, during, false),
        Claim::Never { predicate, during } => whole(predicate, during, true),
        Claim::Unless { predicate, unless, during } => {
            let warm_up = warm_up(claim);
            let until = length(schedule, during)
                .map_or_else(|| "end".to_owned(), |length| time(length.saturating_sub(warm_up)));
            let (hold, release) = (words::core(predicate), words::tight(unless));
            let later = if warm_up.is_zero() { String::new() } else { format!("{} after ", time(warm_up)) };
            format!(
                "((({hold}) until[0s,{until}) {release}) or (always[0s,{until}) {})) @ {later}start of {during}",
                words::tight(predicate)
            )
        }
        Claim::Completes { probe, within, open_at } => format!(
            "for each request r of {probe}: start(r) < e < end(r) implies (ok(r) and end(r) - e <= {}) @ e = each {open_at}",
            time(*within)
        ),
        Claim::Each { variable, keys, claim, .. } => {
            format!("for all {variable} in {{{}}}: ({})", keys.join(", "), formula(claim, schedule))
        }
        Claim::Given { condition, claim } => {
            format!("({}), provided that ({})", formula(claim, schedule), formula(condition, schedule))
        }
        Claim::Eventually { predicate, within, during } => {
            format!("eventually[0s,{}] {} @ start of {during}", time(*within), words::tight(predicate))
        }
        Claim::Within { predicate, within, after } => {
            format!("eventually[0s,{}] {} @ each {after}", time(*within), words::tight(predicate))
        }
        Claim::Stops { predicate, within, after } => {
            format!("always[{},end) not {} @ each {after}", time(*within), words::tight(predicate))
        }
        Claim::Stays { predicate, lasting, after } => {
            let from = first(predicate).min(*lasting);
            format!("always[{},{}] {} @ each {after}", time(from), time(*lasting), words::tight(predicate))
        }
        Claim::Settles { predicate, within, lasting, after } => format!(
            "eventually[0s,{}] always[0s,{} {} @ each {after}",
            time(*within),
            lasting.map_or_else(|| "end)".to_owned(), |lasting| format!("{}]", time(lasting))),
            words::tight(predicate)
        ),
        Claim::All(all) => list(all, "and"),
        Claim::Any(all) => list(all, "or"),
    }
}

/// Says how far a claim looks.
fn horizon(claim: &Claim, schedule: &Schedule) -> String {
    match claim {
        Claim::Statistic { during, .. }
        | Claim::Always { during, .. }
        | Claim::Never { during, .. }
        | Claim::Unless { during, .. } => match length(schedule, during) {
            Some(length) => format!("{}, {}", time(length), words::phase(during)),
            None => format!("none: nothing happens {}", words::phase(during)),
        },
        Claim::Eventually { within, during, .. } => {
            format!("{} from its start {}", time(*within), words::phase(during))
        }
        Claim::Within { within, after, .. } | Claim::Completes { within, open_at: after, .. } => {
            format!("{} after {}", time(*within), words::event(after))
        }
        Claim::Stops { after, .. } | Claim::Settles { lasting: None, after, .. } => {
            format!("from {} to the end of the run", words::event(after))
        }
        Claim::Stays { lasting, after, .. } => format!("{} after {}", time(*lasting), words::event(after)),
        Claim::Settles { within, lasting: Some(lasting), after, .. } => {
            format!("{} after {}", time(*within + *lasting), words::event(after))
        }
        Claim::All(_) | Claim::Any(_) | Claim::Each { .. } | Claim::Given { .. } => {
            let mut each: Vec<String> = claim.parts().iter().map(|c| horizon(c, schedule)).collect();
            each.dedup();
            each.join("; ")
        }
    }
}

/// The earliest moments that a claim can be decided at, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Decided {
    pass: Option<Duration>,
    fail: Option<Duration>,
}

/// Computes when a claim can be decided at the earliest, counted from the start of the run.
fn decided(claim: &Claim, schedule: &Schedule) -> Decided {
    // Every one of several events must do to pass; one that does not is enough to fail.
    let after = |event: &Event, pass: Duration, fail: Duration| {
        let instants = schedule.instants(event);
        Decided {
            pass: instants.iter().max().map(|at| *at + pass),
            fail: instants.iter().min().map(|at| *at + fail),
        }
    };
    match claim {
        Claim::Statistic { during, .. } => {
            let end = schedule.phase(during).map(|(_, end)| end);
            Decided { pass: end, fail: end }
        }
        Claim::Always { predicate, during } => Decided {
            pass: schedule.phase(during).map(|(_, end)| end),
            fail: schedule.phase(during).map(|(start, _)| start + first(predicate)),
        },
        Claim::Never { predicate, during } => Decided {
            pass: schedule.phase(during).map(|(_, end)| end),
            fail: schedule.phase(during).map(|(start, _)| start + first(predicate)),
        },
        // It passes at once where what releases from it comes before anything can break it.
        Claim::Unless { during, .. } => {
            let start = schedule.phase(during).map(|(start, _)| start + warm_up(claim));
            Decided { pass: start, fail: start }
        }
        Claim::Completes { within, open_at, .. } => after(open_at, *within, Duration::ZERO),
        Claim::Each { claim, .. } => decided(claim, schedule),
        // An inconclusive claim is decided no earlier than what it rests on.
        Claim::Given { condition, claim } => {
            let (condition, claim) = (decided(condition, schedule), decided(claim, schedule));
            let both = |moment: Option<Duration>| Some(moment?.max(condition.pass?));
            Decided { pass: both(claim.pass), fail: both(claim.fail) }
        }
        Claim::Eventually { predicate, within, during } => {
            let start = schedule.phase(during).map(|(start, _)| start);
            Decided { pass: start.map(|s| s + first(predicate)), fail: start.map(|s| s + *within) }
        }
        Claim::Within { predicate, within, after: event } => after(event, first(predicate), *within),
        Claim::Stops { within, after: event, .. } => Decided {
            pass: (!schedule.instants(event).is_empty()).then(|| schedule.end()),
            fail: after(event, Duration::ZERO, *within).fail,
        },
        Claim::Stays { predicate, lasting, after: event } => {
            after(event, (*lasting).max(first(predicate)), first(predicate).min(*lasting))
        }
        Claim::Settles { predicate, within, lasting: Some(lasting), after: event } => {
            after(event, first(predicate) + *lasting, *within)
        }
        Claim::Settles { within, lasting: None, after: event, .. } => Decided {
            pass: (!schedule.instants(event).is_empty()).then(|| schedule.end()),
            fail: after(event, Duration::ZERO, *within).fail,
        },
        Claim::All(all) | Claim::Any(all) => {
            let each: Vec<Decided> = all.iter().map(|c| decided(c, schedule)).collect();
            // A moment that never comes is later than all others.
            let latest = |times: Vec<Option<Duration>>| {
                times.into_iter().collect::<Option<Vec<_>>>().and_then(|t| t.into_iter().max())
            };
            let earliest = |times: Vec<Option<Duration>>| times.into_iter().flatten().min();
            let (pass, fail) = (each.iter().map(|d| d.pass).collect(), each.iter().map(|d| d.fail).collect());
            if matches!(claim, Claim::All(_)) {
                Decided { pass: latest(pass), fail: earliest(fail) }
            } else {
                Decided { pass: earliest(pass), fail: latest(fail) }
            }
        }
    }
}

/// Says how many samples a claim needs, beside those that are planned.
fn needs(experiment: &Experiment, schedule: &Schedule, claim: &Claim, out: &mut Vec<String>) {
    match claim {
        Claim::Statistic { comparison, during, observed, confidence } => {
            let planned = |phase: &Phase| length(schedule, phase).unwrap_or_default();
            let relative = matches!(comparison.bound, Bound::Baseline { .. });
            let mut line = if *observed {
                "1 is enough, as the observed number decides".to_owned()
            } else {
                least(comparison, 1.0 - confidence.unwrap_or(experiment.confidence))
            };
            line.push_str(&format!(
                "; planned: {} {}",
                count(experiment, comparison, planned(during)),
                words::phase(during)
            ));
            if relative {
                let baseline = count(experiment, comparison, planned(&Phase::Baseline));
                line.push_str(&format!(" and {baseline} during the baseline"));
            }
            if !comparison.metric.filter.is_empty() {
                line.push_str(", of which only those that match the filter count");
            }
            out.push(line);
        }
        Claim::Completes { .. } => {
            out.push("1 that is under way at the event; with none it is inconclusive".to_owned());
        }
        _ => {
            for part in claim.parts() {
                needs(experiment, schedule, part, out);
            }
            for comparison in claim.predicates().into_iter().flat_map(Predicate::comparisons) {
                if comparison.metric.is_gauge() {
                    out.push(read(experiment, comparison));
                    continue;
                }
                let window = comparison.metric.over.unwrap_or_default();
                let least = match comparison.metric.function {
                    Function::Quantile(q) => least_samples(q, WINDOW_TAIL),
                    _ => 1,
                };
                let filter = if comparison.metric.filter.is_empty() {
                    ""
                } else {
                    ", of which only those that match the filter count"
                };
                out.push(format!(
                    "at least {least} in each window of {}; planned: {}{filter}",
                    time(window),
                    count(experiment, comparison, window)
                ));
            }
        }
    }
}

/// Says how often something is read.
fn read(experiment: &Experiment, comparison: &Comparison) -> String {
    let rate = experiment.probe(&comparison.metric.probe).map_or(1.0, |p| p.rate);
    format!(
        "none in particular; {} is read every {} and holds until the next, unknown when more than one in a row is missing",
        comparison.metric,
        time(Duration::from_secs_f64(1.0 / rate))
    )
}

/// Says how many samples a phase statistic needs at least: for a quantile the least number whose order statistics bound it,
/// for a share the number that confirms it when none fails (Clopper & Pearson 1934).
fn least(comparison: &Comparison, alpha: f64) -> String {
    let upper = comparison.op.is_upper_bound();
    let share = match (comparison.metric.function, &comparison.bound) {
        (Function::Quantile(q), Bound::Constant(_)) => {
            return format!("at least {}", least_samples(q, alpha));
        }
        (Function::Quantile(q), Bound::Baseline { .. }) => {
            return format!("at least {} in each of the two phases", least_samples(q, alpha));
        }
        (function, Bound::Metric { metric, .. }) => {
            let of =
                |function| if let Function::Quantile(q) = function { least_samples(q, alpha) } else { 1 };
            return format!(
                "at least {} of each metric, and as many as their difference takes to show",
                of(function).max(of(metric.function))
            );
        }
        (Function::Success, Bound::Constant(s)) => {
            if upper {
                1.0 - s.value
            } else {
                s.value
            }
        }
        (Function::Errors, Bound::Constant(e)) => {
            if upper {
                1.0 - e.value
            } else {
                e.value
            }
        }
        (Function::Success | Function::Errors, Bound::Baseline { .. }) => {
            return "as many as the difference of the two shares takes to show".to_owned();
        }
        _ => return "at least 1".to_owned(),
    };
    let failing = match (comparison.metric.function, upper) {
        (Function::Success, false) | (Function::Errors, true) => "fails",
        _ => "succeeds",
    };
    match samples_to_confirm(share, 0, alpha) {
        Some(n) => format!("at least {n}, if none of them {failing}; more if some do"),
        None => "no number of samples can confirm it: say `observed`".to_owned(),
    }
}

/// The planned number of samples of a metric in a time.
fn count(experiment: &Experiment, comparison: &Comparison, time: Duration) -> String {
    let Some(probe) = experiment.probe(&comparison.metric.probe) else { return "none".to_owned() };
    let of_one = probe.rate * time.as_secs_f64();
    match probe.from.selector().map_or(Some(1), |from| place::count(experiment, from)) {
        Some(places) => format!("{:.0}", of_one * places as f64),
        None => format!("{of_one:.0} from each place"),
    }
}
