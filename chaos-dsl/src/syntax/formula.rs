//! Formulas: what expectations, guards and the steady state claim.

use chaos_core::span::{Span, Spanned};

use super::{Condition, Item, ItemKind, Word};

/// A claim with the clauses that stand behind it.
#[derive(Clone, Debug)]
pub struct Formula<'a> {
    /// What is claimed.
    pub kind: FormulaKind<'a>,
    /// `for 10s`, `within 30s after rollback`, `during slow_dns`, `observed`, in the order in which they were written.
    pub clauses: Vec<Clause<'a>>,
    /// The whole, clauses included.
    pub span: Span,
}

impl PartialEq for Formula<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.clauses == other.clauses
    }
}

/// What is claimed.
#[derive(Clone, Debug, PartialEq)]
pub enum FormulaKind<'a> {
    /// Something that is true or false on its own: `alert "x" fires`, `accepted("canary")`.
    Holds(Term<'a>),
    /// A comparison.
    Compare(Box<Compare<'a>>),
    /// `always p`
    Prefix(Spanned<Prefix>, Box<Formula<'a>>),
    /// `p and q`; two or more, joined by the same word.
    Join(Logic, Vec<Formula<'a>>),
    /// `( … )`; its clauses speak of the whole.
    Group(Box<Formula<'a>>),
    /// `given p: q`
    Given(Box<(Formula<'a>, Formula<'a>)>),
    /// `for each h in api: p`, `for each pod web when terminating: p`
    ForEach(Box<ForEach<'a>>),
}

/// `for each BINDER [when EVENT]: claim`
#[derive(Clone, Debug, PartialEq)]
pub struct ForEach<'a> {
    /// `h in api`, `pod web`, `request of get open`: what is bound and which of them.
    pub binder: Vec<Item<'a>>,
    /// What has to happen, to it or at all.
    pub event: Option<Term<'a>>,
    /// What is claimed each time.
    pub claim: Formula<'a>,
}

/// A word that joins claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    /// `and`
    And,
    /// `or`
    Or,
}

impl Logic {
    /// Returns how it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Logic::And => "and",
            Logic::Or => "or",
        }
    }
}

/// An operator before a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// `not`
    Not,
    /// `always`
    Always,
    /// `never`
    Never,
    /// `eventually`
    Eventually,
    /// `stops`
    Stops,
    /// `stays`
    Stays,
    /// `confident`
    Confident,
}

impl Prefix {
    /// Returns how it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Prefix::Not => "not",
            Prefix::Always => "always",
            Prefix::Never => "never",
            Prefix::Eventually => "eventually",
            Prefix::Stops => "stops",
            Prefix::Stays => "stays",
            Prefix::Confident => "confident",
        }
    }
}

/// `left op right`, or `left settles to op right`.
#[derive(Clone, Debug, PartialEq)]
pub struct Compare<'a> {
    /// The left side.
    pub left: Term<'a>,
    /// Where `settles to` stands, if it does.
    pub settles: Option<Spanned<()>>,
    /// The sign.
    pub op: Spanned<CompareOp>,
    /// The right side.
    pub right: Term<'a>,
}

/// A sign of comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl CompareOp {
    /// Returns how it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            CompareOp::Less => "<",
            CompareOp::AtMost => "<=",
            CompareOp::Greater => ">",
            CompareOp::AtLeast => ">=",
            CompareOp::Equal => "==",
            CompareOp::NotEqual => "!=",
        }
    }

    /// Returns the sign that says the same with the sides exchanged.
    #[must_use]
    pub fn mirrored(self) -> Self {
        match self {
            CompareOp::Less => CompareOp::Greater,
            CompareOp::AtMost => CompareOp::AtLeast,
            CompareOp::Greater => CompareOp::Less,
            CompareOp::AtLeast => CompareOp::AtMost,
            CompareOp::Equal | CompareOp::NotEqual => self,
        }
    }
}

/// One side of a comparison, or a claim on its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Term<'a> {
    /// `p95(checkout.latency, over 10s)`
    Call(Box<Call<'a>>),
    /// A single word, string or quantity.
    Item(Item<'a>),
    /// `baseline`, `baseline + 5ms`, `1.5 x baseline`, `120% of baseline`.
    Baseline(Box<Baseline<'a>>),
    /// `1.2 x rate(shop)`, `rate(shop) + 5/s`.
    Scaled(Box<Scaled<'a>>),
    /// Several words and values: `alert "CheckoutErrors" fires`.
    Phrase(Vec<Item<'a>>),
}

impl Term<'_> {
    /// Returns where it stands.
    pub fn span(&self) -> Span {
        match self {
            Term::Call(call) => call.span,
            Term::Item(item) => item.span,
            Term::Baseline(baseline) => baseline.span,
            Term::Scaled(scaled) => scaled.span,
            Term::Phrase(items) => match items.as_slice() {
                [first, .., last] => first.span.to(last.span),
                [only] => only.span,
                [] => Span::NONE,
            },
        }
    }
}

/// A function applied to a metric.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The function: `success`, `p95`, `p99.9`.
    pub function: Word<'a>,
    /// The arguments, in order.
    pub arguments: Vec<Argument<'a>>,
    /// From the function's name to the closing parenthesis.
    pub span: Span,
}

impl PartialEq for Call<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function && self.arguments == other.arguments
    }
}

impl<'a> Call<'a> {
    /// Returns the first argument if it is a word: the metric.
    pub fn metric(&self) -> Option<Word<'a>> {
        self.arguments.first()?.items.first()?.as_word()
    }

    /// Returns the condition behind `where` in the first argument.
    pub fn filter(&self) -> Option<&Condition<'a>> {
        self.arguments.first()?.items.iter().find_map(|item| match &item.kind {
            ItemKind::Condition(condition) => Some(&**condition),
            _ => None,
        })
    }

    /// Returns the length behind `over`.
    pub fn window(&self) -> Option<&Item<'a>> {
        self.arguments.iter().find_map(|argument| match argument.items.as_slice() {
            [over, length] if over.is_word("over") => Some(length),
            _ => None,
        })
    }
}

/// One argument of a call: `checkout.latency where backend in api`, or `over 10s`.
#[derive(Clone, Debug)]
pub struct Argument<'a> {
    /// What it consists of; `where` is followed by one condition.
    pub items: Vec<Item<'a>>,
    /// From its first item to its last.
    pub span: Span,
}

impl PartialEq for Argument<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

/// A value relative to the baseline.
#[derive(Clone, Debug)]
pub struct Baseline<'a> {
    /// `1.5` of `1.5 x baseline`, or `120%` of `120% of baseline`.
    pub factor: Option<Item<'a>>,
    /// `+ 5ms`
    pub offset: Option<(Sign, Item<'a>)>,
    /// The whole.
    pub span: Span,
}

impl PartialEq for Baseline<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.factor == other.factor && self.offset == other.offset
    }
}

/// A value relative to another metric.
#[derive(Clone, Debug)]
pub struct Scaled<'a> {
    /// The other metric.
    pub call: Call<'a>,
    /// `1.2` of `1.2 x rate(shop)`, or `120%` of `120% of rate(shop)`.
    pub factor: Option<Item<'a>>,
    /// `+ 5/s`
    pub offset: Option<(Sign, Item<'a>)>,
    /// The whole.
    pub span: Span,
}

impl PartialEq for Scaled<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.call == other.call && self.factor == other.factor && self.offset == other.offset
    }
}

/// Plus or minus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

impl Sign {
    /// Returns how it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Sign::Plus => "+",
            Sign::Minus => "-",
        }
    }
}

/// A clause behind a claim.
#[derive(Clone, Debug)]
pub struct Clause<'a> {
    /// What it says.
    pub kind: ClauseKind<'a>,
    /// From its keyword to its end.
    pub span: Span,
}

impl PartialEq for Clause<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// What a clause says.
#[derive(Clone, Debug, PartialEq)]
pub enum ClauseKind<'a> {
    /// `for 10s`: a quantity or the name of a param.
    For(Item<'a>),
    /// `within 30s`: a quantity or the name of a param.
    Within(Item<'a>),
    /// `after rollback`, `after slow_dns starts`, `after terminating(pod)`.
    After(Box<Term<'a>>),
    /// `during slow_dns`, `during whole run`.
    During(Vec<Word<'a>>),
    /// `unless q`: what releases from the claim.
    Unless(Box<Formula<'a>>),
    /// `with 99% confidence`: a quantity or the name of a param.
    With(Item<'a>),
    /// `observed`
    Observed,
}

impl ClauseKind<'_> {
    /// Returns its first word.
    pub fn keyword(&self) -> &'static str {
        match self {
            ClauseKind::For(_) => "for",
            ClauseKind::Within(_) => "within",
            ClauseKind::After(_) => "after",
            ClauseKind::During(_) => "during",
            ClauseKind::Unless(_) => "unless",
            ClauseKind::With(_) => "with",
            ClauseKind::Observed => "observed",
        }
    }
}
