//! Stable numbers of everything the language can complain about, listed once and never reused.
//!
//! `E00xx` belong to reading and parsing, `E01xx` and up to checking, `W` marks warnings.

use std::fmt;

use chaos_core::remark::Severity;

macro_rules! codes {
    ($($variant:ident $number:literal $meaning:literal)*) => {
        /// The kind of a diagnostic.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All codes, in order of their numbers.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// Returns the stable number, such as `E0001`.
            pub fn number(self) -> &'static str {
                match self { $(Code::$variant => $number,)* }
            }

            /// Returns one line about what it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    UnreadableFile "E0001" "a file cannot be read"
    FileTooLarge "E0002" "a file is larger than the limit"
    InvalidUtf8 "E0003" "a file is not UTF-8"
    TooMuch "E0004" "a limit on depth, length or count is exceeded"
    ForbiddenCharacter "E0010" "a control or text-direction character that could hide something"
    UnknownCharacter "E0011" "a character that means nothing here"
    ForeignSyntax "E0012" "punctuation of another language"
    ForeignComment "E0013" "a comment sign of another language"
    UnterminatedText "E0014" "a string without its closing quote"
    BadEscape "E0015" "an unknown or broken escape in a string"
    BadHole "E0016" "a broken `{param}` hole in a string"
    SingleQuotes "E0017" "single quotes where double quotes are meant"
    BadNumber "E0020" "a number that cannot be read"
    UnknownUnit "E0021" "an unknown unit"
    SpacedUnit "E0022" "a space between a number and its unit"
    MissingUnit "E0023" "a quantity without its unit"
    UnitOrder "E0024" "the parts of a duration out of order"
    AmbiguousUnit "E0025" "a unit that tools read differently"
    NegativeQuantity "E0026" "a negative quantity"
    Unexpected "E0030" "something else was expected here"
    MissingName "E0031" "a name is missing"
    KeywordAsName "E0032" "a word of the language used as a name"
    MissingEquals "E0033" "a definition without its `=`"
    MissingBody "E0034" "a definition or clause without what it defines"
    UnclosedBracket "E0035" "a bracket without its partner"
    StrayBracket "E0036" "a closing bracket that closes nothing"
    BraceOnOwnLine "E0037" "an opening brace on a line of its own"
    LeadingOperator "E0038" "a line that begins with an operator"
    MissingLabel "E0040" "an expectation without its name"
    MissingColon "E0041" "a `:` is missing"
    WrongEquals "E0042" "`=` for `==` or the other way round"
    MixedLogic "E0043" "`and` and `or` mixed without parentheses"
    AmbiguousClause "E0044" "a clause beside `and` or `or` without parentheses"
    ChainedComparison "E0045" "a chained comparison"
    Arithmetic "E0046" "arithmetic beyond what a formula allows"
    ForeignPhrase "E0047" "a phrase of another notation"
    DuplicateClause "E0048" "a clause that stands twice"
    ChainedLogic "E0049" "`implies` or `until` that chains"
    FormatterDiffers "E0090" "the formatter would have changed what a file says"
    UnknownStatement "E0101" "a statement that is not known here"
    UnknownName "E0102" "a name that nothing declares"
    DuplicateName "E0103" "a name declared twice"
    MissingLine "E0104" "a required line is missing"
    DuplicateLine "E0105" "a line that may stand once stands twice"
    WrongUnit "E0106" "a quantity of the wrong unit"
    OutOfRange "E0107" "a value outside of its range"
    NeedsCluster "E0108" "something that needs a cluster"
    NotYet "E0109" "something that this version does not do"
    UnknownKind "E0110" "an unknown kind of fault, probe or program"
    Misplaced "E0111" "something that does not belong here"
    NotShared "E0112" "a line that may not come from another file"
    CyclicUse "E0113" "files that use each other in a circle"
    BadAddress "E0114" "an address, a port or a URL that cannot be used"
    OutsideScope "E0115" "a target outside of the scope"
    BadSetting "E0116" "a setting of the command line that does not fit"
    NeedsWindow "E0120" "a claim over time on a metric without a window"
    NeedsPhase "E0121" "a phase statistic without `during`"
    ClauseMisfit "E0122" "a clause that does not fit its claim"
    NotAMetric "E0123" "a comparison without a metric on its left"
    NoBaseline "E0124" "a baseline that is not there"
    TooShort "E0125" "a phase too short for its claims"
    ImpossibleOrder "E0126" "timeline steps in an impossible order"
    Undecidable "E0127" "a claim that can never hold or never fail"
    UnknownSignal "E0128" "a signal that was not recorded"
    Tab "W0001" "a tab outside of strings"
    Unsound "W0002" "something that runs, but probably does not test what is meant"
}

impl Code {
    /// Returns whether diagnostics of this code stop a file from being used.
    pub fn severity(self) -> Severity {
        if self.number().starts_with('W') { Severity::Warning } else { Severity::Error }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_ordered() {
        let numbers: Vec<_> = Code::ALL.iter().map(|c| c.number()).collect();
        assert!(numbers.windows(2).all(|w| w[0] < w[1]), "{numbers:?}");
    }
}
