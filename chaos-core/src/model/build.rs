//! Building an experiment in code: shorthands for what a harness writes most, and the defaults of the language.
//!
//! Every field stays public, so whatever has no shorthand is set on the finished part. An experiment that was built in code
//! was not checked: [`plan`](crate::plan::plan) refuses names that lead nowhere.
//!
//! ```
//! use std::time::Duration;
//! use chaos_core::model::{
//!     Event, Experiment, Fault, FaultSpec, Metric, Phase, Probe, Quantity, Selector, SteadyState, Step,
//! };
//!
//! let seconds = Duration::from_secs;
//! let share = Quantity::ratio;
//! let success = || Metric::success("shop");
//! let experiment = Experiment::new("the shop loses packets", "users lose no order")
//!     .owned_by("team-shop")
//!     .at_most_hosts(1)
//!     .with_probe(Probe::http_get("shop", "http://10.0.0.2/").at_rate(50.0))
//!     .with_steady_state(SteadyState::of(seconds(5), [success().at_least(share(0.99))]))
//!     .with_fault(Fault::new("lossy", FaultSpec::loss(0.05), Selector::netns("shop")))
//!     .with_timeline([
//!         Step::Baseline(seconds(10)),
//!         Step::inject("lossy"),
//!         Step::Hold(seconds(20)),
//!         Step::Rollback(None),
//!         Step::Watch(seconds(10)),
//!     ])
//!     .abort_when(success().over(seconds(5)).below(share(0.5)).lasting(seconds(2)))
//!     .expect("no order is lost", success().at_least(share(0.99)).during(Phase::Fault(None)))
//!     .expect(
//!         "it is fast again",
//!         Metric::latency("shop", 0.95)
//!             .over(seconds(2))
//!             .at_most(Duration::from_millis(50))
//!             .settles(seconds(5), Event::Rollback),
//!     );
//! assert_eq!(experiment.timeline.held("lossy"), seconds(20));
//! assert_eq!(experiment.expectations[0].claim.to_string(), "success(shop) >= 99% during fault");
//! assert_eq!(
//!     experiment.expectations[1].claim.to_string(),
//!     "p95(shop.latency, over 2s) settles to <= 50ms within 5s after rollback"
//! );
//! ```

mod action;
mod claim;
mod experiment;
mod place;
mod probe;
