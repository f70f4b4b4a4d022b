//! Judging: from what was measured to passed, failed or inconclusive.
//!
//! Pure and synchronous: numbers in, verdicts out. Two kinds of terms are judged and never mixed.
//!
//! 1. *Signals* over time are judged by temporal claims. [`window`] turns request samples into a [`signal`], whose values
//!    over time are [`steps`] of [`interval`]s; [`monitor`] evaluates formulas over them, online as offline.
//! 2. *Phase statistics* are one number with a confidence interval: [`quantile`]s of a latency, [`proportion`]s of successes
//!    and [`rate`]s, against a limit, the baseline or another metric, one by one or several at once by [`holm`].
//!    [`sequential`] tests may be looked at at any time.
//!
//! Both end in a [`confidence::Outcome`] and say by their [margin](monitor::margin) how close it was. [`binomial`] is the arithmetic
//! underneath; [`judge`](crate::judge) applies all of it to what an experiment claims.

pub mod binomial;
pub mod confidence;
pub mod holm;
pub mod interval;
pub mod monitor;
pub mod proportion;
pub mod quantile;
pub mod rate;
pub mod sequential;
pub mod signal;
pub mod steps;
pub mod window;

pub use confidence::{Confidence, Leaning, Need, Outcome, Reason};
pub use interval::{Comparison, Interval, Truth};
