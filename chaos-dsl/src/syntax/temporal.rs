//! Formulas over signals, on their own: the core notation that `explain` prints, and the forms of claims.

use chaos_core::span::{Span, Spanned};
use chaos_core::time::Nanos;

use super::{CompareOp, Logic, Word};

/// A formula with the clauses behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Temporal<'a> {
    /// What is claimed.
    pub kind: TemporalKind<'a>,
    /// `for 10s`, `within 30s`, `after rollback`, `during fault`, `@ start of fault`, each at most once.
    pub clauses: Vec<Spanned<TemporalClause<'a>>>,
    /// The whole, clauses included.
    pub span: Span,
}

/// What is claimed.
#[derive(Clone, Debug, PartialEq)]
pub enum TemporalKind<'a> {
    /// `up`: a signal that is true or false.
    Holds(SignalName),
    /// `x <= 5`, and `x settles to <= 5`.
    Compare {
        /// The left side.
        left: Side,
        /// Where `settles to` stands, if it does.
        settles: Option<Span>,
        /// The sign.
        op: Spanned<CompareOp>,
        /// The right side.
        right: Side,
    },
    /// `not p`
    Not(Box<Temporal<'a>>),
    /// `p and q`; two or more, joined by the same word.
    Join(Logic, Vec<Temporal<'a>>),
    /// `p implies q`
    Implies(Box<(Temporal<'a>, Temporal<'a>)>),
    /// `always[0s,2s] p`
    Windowed(Spanned<Operator>, Window, Box<Temporal<'a>>),
    /// `p until[0s,2s] q`
    Until(Window, Box<(Temporal<'a>, Temporal<'a>)>),
    /// `p unless q`
    Unless(Box<(Temporal<'a>, Temporal<'a>)>),
    /// `always p`, `never p`, `eventually p`, `stops p`, `stays p`
    Prefixed(Word<'a>, Box<Temporal<'a>>),
}

/// An operator that looks through a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `always[a,b]`
    Always,
    /// `eventually[a,b]`
    Eventually,
    /// `historically[a,b]`
    Historically,
    /// `once[a,b]`
    Once,
}

impl Operator {
    /// Returns how it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Always => "always",
            Operator::Eventually => "eventually",
            Operator::Historically => "historically",
            Operator::Once => "once",
        }
    }
}

/// `[from,to]`, or `[from,to)` without its last instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// The nearer end.
    pub from: Nanos,
    /// The farther end.
    pub to: WindowEnd,
    /// Whether the farther end belongs to it.
    pub closed: bool,
    /// From bracket to bracket.
    pub span: Span,
}

/// The farther end of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowEnd {
    /// So long after the instant.
    After(Nanos),
    /// `end`: the end of what was recorded, or of the last phase.
    End,
}

/// The name of a signal: a word, a string, or a metric such as `p95(api.latency, over 10s)`.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalName {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// A number, in the base unit of its kind.
    Number {
        /// The number: seconds, shares from 0 to 1, per second.
        value: f64,
        /// Whether it is a share, written with `%`.
        share: bool,
        /// Where it stands.
        span: Span,
    },
    /// `x`, `2 x y`, `2 x y + 3`
    Signal {
        /// What the signal is multiplied by.
        factor: f64,
        /// The signal.
        signal: SignalName,
        /// What is added.
        offset: f64,
        /// Where it stands.
        span: Span,
    },
}

impl Side {
    /// Returns where it stands.
    pub fn span(&self) -> Span {
        match self {
            Side::Number { span, .. } | Side::Signal { span, .. } => *span,
        }
    }
}

/// A clause behind a formula.
#[derive(Clone, Debug, PartialEq)]
pub enum TemporalClause<'a> {
    /// `for 10s`
    For(Nanos),
    /// `within 30s`
    Within(Nanos),
    /// `after rollback`
    After(Happening<'a>),
    /// `during fault`, `during whole run`
    During(Word<'a>),
    /// `@ start of fault`
    At(Anchor<'a>),
}

impl TemporalClause<'_> {
    /// Returns its first word.
    pub fn keyword(&self) -> &'static str {
        match self {
            TemporalClause::For(_) => "for",
            TemporalClause::Within(_) => "within",
            TemporalClause::After(_) => "after",
            TemporalClause::During(_) => "during",
            TemporalClause::At(_) => "@",
        }
    }
}

/// Something that happens, perhaps several times.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening<'a> {
    /// `rollback`, or the name of an event.
    Named(Word<'a>),
    /// `fault starts`, `rollback starts`
    Starts(Word<'a>),
    /// `fault ends`
    Ends(Word<'a>),
}

/// What a formula is counted from.
#[derive(Clone, Debug, PartialEq)]
pub enum Anchor<'a> {
    /// `@ start of fault`
    StartOf(Word<'a>),
    /// `@ each rollback`
    Each(Happening<'a>),
    /// `@ 30s`
    Instant(Nanos),
    /// `@ 2s after start of fault`
    Later(Nanos, Box<Anchor<'a>>),
}
