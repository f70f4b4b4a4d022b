//! The words the grammar itself knows; what a fault or probe calls its settings is not among them.

/// Keywords that introduce a name and `=`: `fault NAME = …`.
pub const DEFINITIONS: &[&str] = &["change", "fault", "param", "probe", "target"];

/// Keywords that introduce a name without `=`: `host NAME`.
pub const NAMED: &[&str] = &["each", "host", "inject", "make", "search"];

/// Keywords that are followed by a string, the title or path.
pub const TITLED: &[&str] = &["drill", "experiment", "gameday", "use"];

/// Two words after which the rest of a statement is a formula.
pub const FORMULA_AFTER: &[(&str, &str)] = &[("abort", "when"), ("stop", "when"), ("proven", "by")];

/// Two words after which the rest of a statement is a condition on a single answer or object.
pub const CONDITION_AFTER: &[(&str, &str)] = &[("ok", "when")];

/// First words of statements that begin with a phrase, so that the formatter does not align what follows.
pub const PHRASES: &[(&str, &str)] = &[
    ("abort", "never"),
    ("abort", "when"),
    ("at", "most"),
    ("blast", "radius"),
    ("hold", "until"),
    ("judge", "at"),
    ("logs", "of"),
    ("ok", "when"),
    ("proven", "by"),
    ("ready", "when"),
    ("steady", "state"),
    ("stop", "when"),
];

/// Operators that stand before a claim: `always p`.
pub const PREFIXES: &[&str] = &["always", "confident", "eventually", "never", "not", "stays", "stops"];

/// Words that begin a clause after a claim: `p within 30s after rollback`.
pub const CLAUSES: &[&str] = &["after", "during", "for", "observed", "unless", "with", "within"];

/// Words that cannot be names, because a statement or a formula could not be read any more.
pub const RESERVED: &[&str] = &[
    "abort",
    "after",
    "all",
    "always",
    "and",
    "baseline",
    "change",
    "confident",
    "during",
    "each",
    "eventually",
    "expect",
    "experiment",
    "fault",
    "for",
    "from",
    "given",
    "here",
    "hold",
    "in",
    "inject",
    "lab",
    "make",
    "never",
    "not",
    "observed",
    "of",
    "on",
    "or",
    "over",
    "param",
    "pick",
    "probe",
    "rollback",
    "scope",
    "settles",
    "starts",
    "stays",
    "ends",
    "made",
    "steady",
    "stops",
    "target",
    "timeline",
    "to",
    "unless",
    "until",
    "watch",
    "when",
    "where",
    "whole",
    "with",
    "within",
];

/// Returns whether a word cannot be a name.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}
