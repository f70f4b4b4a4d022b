//! What an experiment takes from outside of it: parts that it names, and lines that it does not write itself.

use super::Checker;
use crate::{codes::Code, diagnostic::Label, syntax::Statement};

/// The first words of lines that an experiment has from outside, unless it has its own.
///
/// What limits an experiment, `abort` and `blast radius`, is not among them: it is read where it is run.
pub(super) const LINES: &[&str] = &["lab", "scope", "steady", "timeline", "duration", "expect"];

/// What an experiment takes from outside.
pub(super) struct Inherited<'t, 'a> {
    /// Probes, targets, faults and changes, which it uses by their names.
    pub(super) parts: Vec<&'t Statement<'a>>,
    /// Lines that it does not have itself.
    pub(super) lines: Vec<&'t Statement<'a>>,
}

/// Returns the word for what a line settles: of the lines that settle the same an experiment has one.
fn settles(word: &str) -> &str {
    match word {
        "scope" => "lab",
        "duration" => "timeline",
        word => word,
    }
}

impl Checker {
    /// Sorts what stands outside of an experiment.
    ///
    /// The experiment's own line comes before that of its file, and this before that of a file it uses; of several used files
    /// the last one that is named.
    pub(super) fn inherited<'t, 'a>(
        &mut self,
        shared: &[&'t Statement<'a>],
        own: &[&Statement<'_>],
    ) -> Inherited<'t, 'a> {
        let (candidates, parts): (Vec<_>, Vec<_>) =
            shared.iter().copied().partition(|statement| LINES.contains(&statement.keyword()));
        let mut lines: Vec<&'t Statement<'a>> = Vec::new();
        for line in candidates {
            let same = |other: &&Statement<'_>| settles(other.keyword()) == settles(line.keyword());
            if let Some(at) = lines.iter().position(same) {
                let earlier = lines.remove(at);
                if earlier.span.file == line.span.file {
                    let message = format!("`{}` stands twice outside of experiments", line.keyword());
                    let error = self.error(Code::DuplicateLine, line.span, message);
                    error.secondary.push(Label { span: earlier.span, message: "first here".into() });
                    error.help = Some("remove one of them, or move it into its experiment".into());
                }
            }
            lines.push(line);
        }
        lines.retain(|line| !own.iter().any(|other| settles(other.keyword()) == settles(line.keyword())));
        Inherited { parts, lines }
    }
}
