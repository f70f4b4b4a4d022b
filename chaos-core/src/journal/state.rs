//! The table of legal transitions of one part of a fault.

use serde::{Deserialize, Serialize};

/// Where one part of a fault stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing was read or changed yet.
    Planned,
    /// The prior state is in the journal.
    Prepared,
    /// The injection began; how far it got is not known.
    Injecting,
    /// It is in place, confirmed.
    Active,
    /// The revert began; how far it got is not known.
    Reverting,
    /// The prior state is back, confirmed.
    Reverted,
    /// A revert failed; how far it got is not known.
    RevertFailed,
}

/// What happens to one part of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The prior state was written down.
    Prepared,
    /// The injection begins.
    Injecting,
    /// The injection is confirmed.
    Injected,
    /// A revert begins.
    Reverting,
    /// A revert is confirmed.
    Reverted,
    /// A revert failed.
    RevertFailed,
}

/// A step that cannot follow the state it met: the journal was written by two at once, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step `{step:?}` cannot follow state `{state:?}`")]
pub struct IllegalStep {
    /// The state it met.
    pub state: State,
    /// The step.
    pub step: Step,
}

impl State {
    /// Returns the state after a step.
    ///
    /// Reverting may begin again from anywhere but the ends: a runner that died while reverting is followed by a restore.
    pub fn next(self, step: Step) -> Result<State, IllegalStep> {
        match (self, step) {
            (State::Planned, Step::Prepared) => Ok(State::Prepared),
            (State::Prepared, Step::Injecting) => Ok(State::Injecting),
            (State::Injecting, Step::Injected) => Ok(State::Active),
            (
                State::Prepared | State::Injecting | State::Active | State::Reverting | State::RevertFailed,
                Step::Reverting,
            ) => Ok(State::Reverting),
            (State::Reverting, Step::Reverted) => Ok(State::Reverted),
            (State::Reverting, Step::RevertFailed) => Ok(State::RevertFailed),
            (state, step) => Err(IllegalStep { state, step }),
        }
    }

    /// Returns whether a revert is owed.
    pub fn is_owed(self) -> bool {
        !matches!(self, State::Planned | State::Reverted)
    }
}

impl Step {
    /// Returns the state that a step leads to, from wherever it is legal.
    pub fn leads_to(self) -> State {
        match self {
            Step::Prepared => State::Prepared,
            Step::Injecting => State::Injecting,
            Step::Injected => State::Active,
            Step::Reverting => State::Reverting,
            Step::Reverted => State::Reverted,
            Step::RevertFailed => State::RevertFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 7] = [
        State::Planned,
        State::Prepared,
        State::Injecting,
        State::Active,
        State::Reverting,
        State::Reverted,
        State::RevertFailed,
    ];
    const STEPS: [Step; 6] = [
        Step::Prepared,
        Step::Injecting,
        Step::Injected,
        Step::Reverting,
        Step::Reverted,
        Step::RevertFailed,
    ];

    #[test]
    fn everything_but_the_ends_is_owed_and_can_be_reverted() {
        for state in STATES {
            assert_eq!(state.is_owed(), state.next(Step::Reverting).is_ok(), "{state:?}");
        }
    }

    #[test]
    fn only_a_confirmed_revert_pays_the_debt() {
        for state in STATES.into_iter().filter(|s| s.is_owed()) {
            for step in STEPS {
                if let Ok(next) = state.next(step) {
                    assert_eq!(next, step.leads_to());
                    assert_eq!(!next.is_owed(), step == Step::Reverted, "{state:?} {step:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_injected_that_was_not_prepared_and_nothing_twice() {
        assert!(State::Planned.next(Step::Injecting).is_err());
        assert!(State::Active.next(Step::Injecting).is_err());
        assert!(State::Reverted.next(Step::Injecting).is_err());
        assert_eq!(
            State::Planned.next(Step::Injected).unwrap_err().to_string(),
            "step `Injected` cannot follow state `Planned`"
        );
    }
}
