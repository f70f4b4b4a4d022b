//! How often claims pass whose limit is exactly what is true, and how often those that hold by far: for requests that do not
//! depend on each other, and for ones that do.
//!
//! `cargo run --release -p chaos-benches -- verdicts [--assert]`
//!
//! Requests follow a latent autoregression of the first order: each fails where it is above a threshold, and its latency grows
//! with it. Nothing is measured by a clock, so the same seed gives the same figures everywhere.

use std::process::ExitCode;

use chaos_core::verdict::{
    Comparison, Confidence, Outcome,
    binomial::normal_upper,
    proportion::{Trials, judge_share, judge_share_against_baseline},
    quantile::{Allowance, Distribution, Method, judge_against_baseline, judge_quantile},
};

use crate::{Claims, Failure};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many runs are simulated for each figure.
    #[arg(long, default_value_t = 4000)]
    runs: u32,
    /// How many requests a phase has.
    #[arg(long, default_value_t = 1000)]
    requests: usize,
}

const CONFIDENT: Confidence = Confidence { alpha: 0.05 };
/// The correlations of neighbouring requests that are looked at.
const CORRELATIONS: [f64; 3] = [0.0, 0.5, 0.9];
/// The share of requests that may fail, or be slower than the limit.
const ALLOWED: f64 = 0.05;
/// How much more may fail than in the baseline.
const MORE: f64 = 0.03;
/// False passes that are aimed at, at most; and the error of so many runs is allowed on top.
const AIM: f64 = 0.055;
/// How many times the samples an independent series may need for being looked at so carefully.
const PRICE: f64 = 1.2;

/// A kind of claim: its words, whether the aim is for it, and whether it passes on a run where `share` of the requests is bad.
type Kind = (&'static str, bool, fn(&mut Random, f64, usize, f64) -> bool);

const KINDS: [Kind; 5] = [
    ("success(get) >= 95%", true, |random, rho, requests, share| {
        passed(
            judge_share(random.trials(rho, requests, share), Comparison::AtLeast, 1.0 - ALLOWED, CONFIDENT)
                .outcome,
        )
    }),
    ("errors(get) <= 5%", true, |random, rho, requests, share| {
        let errors = random.trials(rho, requests, share).inverted();
        passed(judge_share(errors, Comparison::AtMost, ALLOWED, CONFIDENT).outcome)
    }),
    ("errors(get) <= baseline + 3pp", true, |random, rho, requests, share| {
        let before = random.trials(rho, requests, ALLOWED - MORE).inverted();
        let during = random.trials(rho, requests, share).inverted();
        let allowance = Allowance::Plus(MORE);
        passed(judge_share_against_baseline(during, before, Comparison::AtMost, allowance, CONFIDENT).outcome)
    }),
    ("p95(get.latency) <= LIMIT", false, |random, rho, requests, share| {
        let latencies = Distribution::measured(random.latent(rho, requests));
        passed(judge_quantile(&latencies, 0.95, Comparison::AtMost, normal_upper(share), CONFIDENT).outcome)
    }),
    ("p95(get.latency) <= baseline + MORE", false, |random, rho, requests, share| {
        let [before, during] = [(); 2].map(|()| Distribution::measured(random.latent(rho, requests)));
        let allowance = Allowance::Plus(normal_upper(share) - normal_upper(ALLOWED));
        let (to, method) = (Comparison::AtMost, Method::Mover);
        passed(judge_against_baseline(&during, &before, 0.95, to, allowance, method, CONFIDENT).outcome)
    }),
];

pub(crate) fn run(options: &Options, assert: bool) -> ExitCode {
    let mut claims = Claims::new("how often claims pass", assert);
    measure(options, &mut claims);
    claims.finish(Ok::<(), Failure>(()))
}

fn measure(options: &Options, claims: &mut Claims) {
    let Options { runs, requests } = *options;
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    for (title, share) in [
        ("the limit is exactly what is true: these pass falsely", ALLOWED),
        ("a fifth less than allowed is bad: these pass rightly", ALLOWED * 0.8),
        ("half of what is allowed is bad: these pass rightly", ALLOWED * 0.5),
    ] {
        claims.heading(title);
        for (words, aimed, passes) in KINDS {
            let shares = CORRELATIONS.map(|rho| often(runs, |random| passes(random, rho, requests, share)));
            let figures = shares.map(percent).join("  ");
            // Twice the standard error of a share near the aim.
            let error = 2.0 * (AIM * (1.0 - AIM) / f64::from(runs)).sqrt();
            let met = shares.iter().all(|share| *share <= AIM + error);
            let what = format!("{words}, at a correlation of 0, 0.5, 0.9");
            if aimed && share == ALLOWED {
                claims.aim(&what, figures, "at most 5.5 %", met);
            } else {
                claims.figure(&what, figures);
            }
        }
    }
    claims.heading("what the care costs requests that do not depend on each other");
    let share = ALLOWED * 0.6;
    let judge = |random: &mut Random, requests: usize, known: bool| {
        let trials = random.trials(0.0, requests, share);
        let trials = if known { Trials::independent(trials.hits, trials.misses) } else { trials };
        passed(judge_share(trials, Comparison::AtLeast, 1.0 - ALLOWED, CONFIDENT).outcome)
    };
    let found_out = often(runs, |random| judge(random, requests, false));
    let fewer = (requests as f64 / PRICE) as usize;
    let known = often(runs, |random| judge(random, fewer, true));
    claims.aim(
        &format!("passes of {requests} requests, beside {fewer} that are known to be independent"),
        format!("{} and {}", percent(found_out), percent(known)),
        "at least as many",
        found_out >= known,
    );
}

fn passed(outcome: Outcome) -> bool {
    outcome == Outcome::Passed
}

fn often(runs: u32, mut passes: impl FnMut(&mut Random) -> bool) -> f64 {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let count = (0..runs).filter(|_| passes(&mut random)).count();
    count as f64 / f64::from(runs)
}

/// The generator `xorshift64*` of S. Vigna, "An experimental exploration of Marsaglia's xorshift generators" (2016).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn latent(&mut self, rho: f64, requests: usize) -> Vec<f64> {
        let mut value = self.normal();
        let innovation = (1.0 - rho * rho).sqrt();
        let next = |_| {
            let now = value;
            value = rho * now + innovation * self.normal();
            now
        };
        (0..requests).map(next).collect()
    }

    fn trials(&mut self, rho: f64, requests: usize, share: f64) -> Trials {
        let threshold = normal_upper(share);
        Trials::in_order(self.latent(rho, requests).into_iter().map(|value| Some(value <= threshold)))
    }
}
