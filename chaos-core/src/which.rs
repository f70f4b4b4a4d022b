//! Any, or only these: that nothing is left of a list can never come to mean everything.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::non_empty::{Empty, NonEmpty};

/// Which of all there are: any, or only these.
///
/// It has no iterator on purpose: a loop over "any" would go round zero times, as if nothing were meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", bound(deserialize = "T: Deserialize<'de>"))]
#[schemars(rename = "Which_{T}")]
pub enum Which<T> {
    /// Any of them.
    #[default]
    Any,
    /// Only these.
    These(NonEmpty<T>),
}

impl<T> Which<T> {
    /// Makes one of a list that was asked for; an empty list is refused.
    ///
    /// # Errors
    /// [`Empty`] where the list is: what to do then is for the caller to say, and "any" is hardly it.
    pub fn these(list: impl Into<Vec<T>>) -> Result<Self, Empty> {
        NonEmpty::try_from(list.into()).map(Which::These)
    }

    /// Makes one that lets a single thing pass.
    pub fn one(item: T) -> Self {
        Which::These(NonEmpty::one(item))
    }

    /// Returns whether everything passes.
    pub fn is_any(&self) -> bool {
        matches!(self, Which::Any)
    }

    /// Lets one more pass; the first one ends that everything does.
    pub fn add(&mut self, item: T) {
        match self {
            Which::Any => *self = Which::one(item),
            Which::These(these) => these.push(item),
        }
    }

    /// Returns whether this passes.
    pub fn allows<Q: ?Sized>(&self, item: &Q) -> bool
    where
        T: PartialEq<Q>,
    {
        match self {
            Which::Any => true,
            Which::These(these) => these.iter().any(|one| one == item),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Which<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Any => f.write_str("any"),
            Which::These(these) => {
                let words: Vec<_> = these.iter().map(ToString::to_string).collect();
                f.write_str(&words.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_never_read_as_everything() {
        let read = |text: &str| serde_json::from_str::<Which<u16>>(text).map_err(|e| e.to_string());
        assert_eq!(read(r#""any""#), Ok(Which::Any));
        assert_eq!(read(r#"{"these":[80]}"#), Ok(Which::one(80)));
        assert!(read(r#"{"these":[]}"#).unwrap_err().contains("the list is empty"));
        for unknown in
            ["null", "[]", "{}", r#""""#, r#""all""#, r#"{"these":null}"#, r#"{"none":[]}"#, "[80]"]
        {
            assert!(read(unknown).is_err(), "{unknown}");
        }
        assert!(serde_json::from_str::<NonEmpty<u16>>("[]").is_err());
        assert_eq!(Which::<u16>::these([]), Err(Empty));
    }

    #[test]
    fn a_choice_survives_being_written_and_read() {
        for which in [Which::Any, Which::one(80), Which::these([80, 443]).unwrap()] {
            let text = serde_json::to_string(&which).unwrap();
            assert_eq!(serde_json::from_str::<Which<u16>>(&text).unwrap(), which, "{text}");
        }
    }

    #[test]
    fn these_are_all_that_passes() {
        let mut which = Which::default();
        assert!(which.allows(&80) && which.is_any());
        which.add(443);
        assert!(!which.allows(&80) && which.allows(&443));
        which.add(80);
        assert!(which.allows(&80) && !which.allows(&81));
        assert_eq!(which.to_string(), "443, 80");
    }
}
