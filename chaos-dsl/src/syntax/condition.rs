//! Conditions on one answer or object: `app = "api" and tier != "canary"`.

use chaos_core::span::Span;

use super::{Item, Logic, Word};

/// A condition, from `where` or `ok when`.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition<'a> {
    /// One test.
    Test(Test<'a>),
    /// Several, joined by the same word.
    Join(Logic, Vec<Condition<'a>>),
    /// Parentheses.
    Group(Box<Condition<'a>>),
}

/// One test: `status 200`, `app = "api"`, `not body contains "error"`, `header "x-served-by" = "a"`.
#[derive(Clone, Debug)]
pub struct Test<'a> {
    /// Whether it is negated by `not`.
    pub negated: bool,
    /// What is tested.
    pub key: Word<'a>,
    /// Which of several, as in `header "x-served-by" = "a"`.
    pub of: Option<Item<'a>>,
    /// How it relates to the value.
    pub relation: Relation,
    /// The value; none only for [`Relation::Exists`].
    pub value: Option<Item<'a>>,
    /// From key to value.
    pub span: Span,
}

/// How a key relates to its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `status 200`, without a sign.
    Is,
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `in`
    In,
    /// `contains`
    Contains,
    /// `matches`
    Matches,
    /// The key stands alone.
    Exists,
}

impl Relation {
    /// Returns how it is written; nothing for those without a sign.
    pub fn as_str(self) -> &'static str {
        match self {
            Relation::Is | Relation::Exists => "",
            Relation::Equal => "=",
            Relation::NotEqual => "!=",
            Relation::Less => "<",
            Relation::AtMost => "<=",
            Relation::Greater => ">",
            Relation::AtLeast => ">=",
            Relation::In => "in",
            Relation::Contains => "contains",
            Relation::Matches => "matches",
        }
    }
}

impl PartialEq for Test<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.negated == other.negated
            && self.key == other.key
            && self.of == other.of
            && self.relation == other.relation
            && self.value == other.value
    }
}
