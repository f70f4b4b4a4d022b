//! "Did you mean": the nearest known word, and what words of other tools are called here.

/// What to do about a mistake: in words, and as what to write in its place, where that is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// For people.
    pub help: String,
    /// What stands in the place of the mistake once it is mended.
    pub text: Option<String>,
    /// Whether the mistake is a misspelt word.
    pub misspelt: bool,
}

impl Advice {
    /// Asks whether another word was meant.
    pub fn meant(word: impl Into<String>) -> Self {
        let word = word.into();
        Advice { help: format!("did you mean `{word}`?"), text: Some(word), misspelt: true }
    }

    /// Says what to write in the place of the mistake.
    pub fn write(text: impl Into<String>) -> Self {
        let text = text.into();
        Advice { help: format!("write `{text}`"), text: Some(text), misspelt: false }
    }

    /// Says in other words to write a text in the place of the mistake.
    pub fn replace(help: impl Into<String>, text: impl Into<String>) -> Self {
        Advice { help: help.into(), text: Some(text.into()), misspelt: false }
    }
}

impl From<String> for Advice {
    fn from(help: String) -> Self {
        Advice { help, text: None, misspelt: false }
    }
}

impl From<&str> for Advice {
    fn from(help: &str) -> Self {
        help.to_owned().into()
    }
}

/// Returns the candidate nearest to a word, if one is near enough to be meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase();
    let limit = match lower.chars().count() {
        0 | 1 => return None,
        2..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the advice for an unknown word: what another tool's word is called here, else a near one of the candidates.
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<Advice> {
    // Written so often that it is known wherever it stands.
    let near = if word == "bandwith" { Some("bandwidth") } else { None };
    let foreign = foreign(word).map(Advice::from);
    foreign.or_else(|| near.or_else(|| nearest(word, candidates)).map(Advice::meant))
}

/// Returns what there is here for a word that another tool uses.
pub fn foreign(word: &str) -> Option<&'static str> {
    FOREIGN.binary_search_by_key(&word, |(foreign, _)| foreign).ok().map(|i| FOREIGN[i].1)
}

/// Words of Chaos Mesh, Litmus, Chaos Toolkit, Gremlin, k6, Prometheus and YAML, sorted.
const FOREIGN: &[(&str, &str)] = &[
    ("abort_on_fail", "guards are `abort when FORMULA`"),
    ("action", "a fault names its kind: `fault NAME = delay 100ms on TARGET`"),
    ("affected_percentage", "write `pick 50%` after the target"),
    ("apiVersion", "this is not YAML: a file begins with `experiment \"title\" { … }`"),
    ("assert", "expectations stand in `expect { \"name\": formula }`"),
    ("availability", "write `success(PROBE)`"),
    ("avg", "there is no mean: it hides the tail; use `p50`, `p95` or `p99`"),
    ("blackhole", "write `block A to B drop`"),
    ("chaos", "a fault is `fault NAME = KIND … on TARGET`"),
    ("cpu", "there is no CPU fault: the effect of a starved process is `pause process` or `http delay`"),
    ("cron", "schedules are a CronJob or CI; `only weekdays 10:00..16:00` guards when a run may start"),
    ("dnschaos", "write `dns delay`, `dns nxdomain` or `dns answer`"),
    ("else", "there are no branches: write two experiments"),
    ("error_rate", "write `errors(PROBE)`"),
    ("errorrate", "write `errors(PROBE)`"),
    ("experiments", "write `experiment \"title\" { … }`, once for each"),
    ("failures", "write `errors(PROBE)`"),
    ("fixed", "write `pick 2` after the target"),
    ("fixed-percent", "write `pick 50%` after the target"),
    ("function", "there are no functions: share probes, targets and params with `use`"),
    ("if", "there are no branches: a condition on a claim is `given FORMULA: claim`"),
    ("import", "write `use \"file.chaos\"`"),
    ("include", "write `use \"file.chaos\"`"),
    ("interval", "write `rate 10/s`: requests start on time whatever the answers do"),
    ("iochaos", "there is no disk fault"),
    ("kind", "a fault names its kind: `fault NAME = delay 100ms on TARGET`"),
    ("label_selectors", "write `pods where app = \"name\"`"),
    ("latency", "the fault is called `delay`; `PROBE.latency` is what a probe measures"),
    ("let", "write `param NAME = VALUE`"),
    ("mean", "there is no mean: it hides the tail; use `p50`, `p95` or `p99`"),
    ("median", "write `p50(PROBE.latency)`"),
    ("memory", "there is no memory fault"),
    ("method", "the course of a run is `timeline { baseline 1m … }`"),
    ("mode", "how many targets: `pick 1`, `pick 50% up to 3` or `pick all` after the target"),
    ("namespace_selector", "write `namespace \"name\"` in `scope`"),
    ("netem", "write `delay`, `loss`, `duplicate`, `corrupt` or `reorder`"),
    ("networkchaos", "write `delay`, `loss`, `block` or `partition`"),
    ("one", "write `pick 1` after the target"),
    ("packet_loss", "the fault is called `loss`"),
    ("percentile", "write the percentile as the function: `p95(PROBE.latency)`"),
    ("pod-kill", "write `kill pods`"),
    ("podchaos", "write `kill pods`, `evict 1 pod of service \"name\"` or `detach`"),
    ("probes", "write `probe NAME = KIND …`, once for each"),
    ("quantile", "write the percentile as the function: `p95(PROBE.latency)`"),
    ("random-max-percent", "write `pick 50% up to 3` after the target"),
    ("recovers", "write `settles to <= baseline + 10ms within 30s after rollback`"),
    ("resource", "name it by its kind: `deployment \"name\"`, `service \"name\"`"),
    ("rollbacks", "every fault is rolled back automatically; `rollback { … }` adds steps"),
    ("schedule", "schedules are a CronJob or CI; `only weekdays 10:00..16:00` guards when a run may start"),
    ("selector", "write `pods where app = \"name\"`"),
    ("slo", "write a claim in `expect { … }`"),
    ("spec", "this is not YAML: a file begins with `experiment \"title\" { … }`"),
    ("steady-state-hypothesis", "write `steady state over 30s { … }`"),
    ("stress", "there is no CPU or memory stress; `bandwidth`, `delay` and `pause process` slow a target"),
    ("stressors", "there is no CPU or memory stress; `bandwidth`, `delay` and `pause process` slow a target"),
    ("success_rate", "write `success(PROBE)`"),
    ("threshold", "write a claim in `expect { … }`"),
    ("thresholds", "write claims in `expect { … }`"),
    ("throughput", "write `rate(PROBE)`"),
    ("tolerance", "write the comparison itself: `success(probe) >= 99%`"),
    ("toxic", "a fault is `fault NAME = KIND … on TARGET`"),
    ("uptime", "write `success(PROBE)`"),
    ("var", "write `param NAME = VALUE`"),
    ("workflow", "several experiments in order are a `gameday \"title\" { … }`"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_are_sorted() {
        assert!(FOREIGN.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("dealy", ["delay", "loss"]), Some("delay"));
        assert_eq!(nearest("Loss", ["delay", "loss"]), Some("loss"));
        assert_eq!(nearest("bandwidth", ["delay", "loss"]), None);
        assert_eq!(nearest("x", ["a", "b"]), None);
        assert_eq!(did_you_mean("cpu", ["up"]), foreign("cpu").map(Advice::from));
        assert_eq!(did_you_mean("dealy", ["delay"]), Some(Advice::meant("delay")));
    }
}
