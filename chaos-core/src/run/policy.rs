//! The runner's timeouts and intervals.

use std::time::Duration;

/// The runner's own times; the defaults suit real targets.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How often abort conditions are judged without a measurement.
    pub tick: Duration,
    /// How long the runner may stand still, stopped or starved, while a fault is in place; an agent of its own ends its faults after
    /// as long without a sign of it.
    pub stall: Duration,
    /// How often progress is reported.
    pub progress: Duration,
    /// How long the environment may take to come up.
    pub up: Duration,
    /// How long it may take to go down, each time it is asked.
    pub down: Duration,
    /// How often it is asked to go down before that counts as failed.
    pub down_attempts: u32,
    /// How long opening a probe may take.
    pub open: Duration,
    /// How long finding a place and preparing a fault there may take.
    pub prepare: Duration,
    /// How long injecting a part may take.
    pub inject: Duration,
    /// How many parts are prepared, injected, measured or reverted at once.
    pub at_once: usize,
    /// How long letting go of several parts at once may take, before each is reverted.
    pub release: Duration,
    /// How long one attempt to revert a part may take.
    pub revert: Duration,
    /// How long what was reverted is waited for until it is whole again.
    pub recover: Duration,
    /// The first pause before reverting is tried again; it doubles each time.
    pub retry_first: Duration,
    /// The longest such pause.
    pub retry_longest: Duration,
    /// After which reverting is not tried again.
    pub revert_patience: Duration,
    /// How long an attempt may still take after the second stop request.
    pub hurried_revert: Duration,
    /// After which, from the second stop request on, reverting is not tried again.
    pub hurried_patience: Duration,
    /// How often effects are measured.
    pub effect_every: Duration,
    /// How long one such measurement may take.
    pub effect: Duration,
    /// How long a fault has to be proven by its `proven by`.
    pub proven_within: Duration,
    /// How long reading the kernel's state of a place may take.
    pub evidence: Duration,
    /// How long the end of the journal may take to reach the disk.
    pub journal: Duration,
    /// How many measurements of a probe from one place may be under way at once.
    pub limit: usize,
    /// How much longer than the planned time of the run its background may stay in place on its own.
    pub background_margin: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Policy {
            tick: Duration::from_millis(100),
            stall: seconds(2),
            progress: Duration::from_millis(200),
            up: seconds(120),
            down: seconds(30),
            down_attempts: 3,
            open: seconds(30),
            prepare: seconds(30),
            inject: seconds(30),
            at_once: 64,
            release: Duration::from_millis(500),
            revert: seconds(10),
            recover: seconds(60),
            retry_first: Duration::from_millis(100),
            retry_longest: seconds(5),
            revert_patience: seconds(60),
            hurried_revert: seconds(2),
            hurried_patience: seconds(5),
            effect_every: seconds(1),
            effect: seconds(2),
            proven_within: seconds(30),
            evidence: seconds(5),
            journal: seconds(10),
            limit: 4096,
            background_margin: seconds(10 * 60),
        }
    }
}
