//! `search NAME in LOW .. HIGH to within T`: the level at which an experiment stops holding.

use chaos_core::{
    model::{Experiment, Param},
    search::{MOST_TRIALS, Question, QuestionError},
    span::{Span, Spanned},
};

use super::{Checker, series::Group, value};
use crate::{
    codes::Code,
    diagnostic::Label,
    syntax::{ItemKind, Statement},
};

/// The most trials that a file may ask for.
const MOST_ASKED: u32 = 500;

/// A search as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    /// Where.
    pub span: Span,
}

impl Checker {
    /// Reads the searches of a file, of which there may be one.
    pub(super) fn searches(
        &mut self,
        statements: &[&Statement<'_>],
        groups: &[Group<'_, '_>],
    ) -> Option<Asked> {
        let (first, more) = statements.split_first()?;
        for second in more {
            let error = self.error(Code::DuplicateLine, second.span, "`search` stands twice");
            error.secondary.push(Label { span: first.span, message: "first here".into() });
            error.help = Some("move one of them to a file of its own".into());
        }
        let asked = self.search(first)?;
        self.searchable(&asked, groups);
        Some(asked)
    }

    /// Reads `search NAME in LOW .. HIGH to within T [at most N trials]`.
    fn search(&mut self, statement: &Statement<'_>) -> Option<Asked> {
        let asked = self.asked(statement);
        // That the parameter is not known is not a mistake of its own: it was meant to be declared here.
        let quantity = statement.items.iter().find_map(|item| match &item.kind {
            ItemKind::Range(ends) => ends.0.as_quantity(),
            _ => item.as_quantity(),
        });
        if let (None, Some(name), Some(quantity)) = (&asked, statement.name(), quantity) {
            let (name, value) = (Spanned::new(name.text.to_owned(), name.span), value::quantity(quantity));
            self.params.declare(Param { name, value, default: value, range: None });
        }
        asked
    }

    fn asked(&mut self, statement: &Statement<'_>) -> Option<Asked> {
        const HELP: &str = "write `search extra in 0ms .. 2s to within 25ms`";
        let mut cursor = statement.cursor();
        cursor.take();
        let name = self.varied_name(&mut cursor, HELP)?;
        let (low, high) = match (cursor.take_word("in"), cursor.peek().map(|i| &i.kind)) {
            (Some(_), Some(ItemKind::Range(ends))) => (&ends.0, &ends.1),
            _ => {
                self.expected(&cursor, "`in` and the range").help = Some(HELP.into());
                return None;
            }
        };
        cursor.take();
        let unit = match &low.kind {
            ItemKind::Quantity(written) => value::quantity(written).unit,
            _ => {
                let message = format!("expected a quantity with its unit, found {}", low.describe());
                self.error(Code::Misplaced, low.span, message).help = Some(HELP.into());
                return None;
            }
        };
        let ends = (self.value(low, unit, "the mildest level"), self.value(high, unit, "the harshest level"));
        if cursor.take_words(&["to", "within"]).is_none() {
            self.expected(&cursor, "`to within` and how exactly").help = Some(HELP.into());
            return None;
        }
        let tolerance = self.take_value(&mut cursor, unit, "the tolerance");
        let mut most = MOST_TRIALS;
        if cursor.take_words(&["at", "most"]).is_some() {
            most = self.take_count(&mut cursor, "the number of trials", 2, MOST_ASKED)?;
            if cursor.take_word("trials").is_none() {
                self.expected(&cursor, "`trials`").help = Some(format!("write `at most {most} trials`"));
                return None;
            }
        }
        self.end(&cursor, &["at most"]);
        let ((Some(low), Some(high)), Some(tolerance)) = (ends, tolerance) else { return None };
        let question = match Question::new(name.value.clone(), low.value, high.value, tolerance.value) {
            Ok(question) => question.at_most(most),
            Err(error) => {
                let (span, help) = match &error {
                    QuestionError::Units => (statement.span, HELP.to_owned()),
                    QuestionError::Empty { .. } => (
                        low.span.to(high.span),
                        "write the mildest level first; what grows milder with its number cannot be searched"
                            .into(),
                    ),
                    QuestionError::Digits { written, .. } => (statement.span, format!("write `{written}`")),
                    QuestionError::Tolerance { least, most, asked, .. } => {
                        let better = if asked.value < least.value { least } else { most };
                        (tolerance.span, format!("write `to within {better}`, or change the range"))
                    }
                };
                self.error(Code::OutOfRange, span, error.to_string()).help = Some(help);
                return None;
            }
        };
        let range = Some((low.value, high.value));
        self.declare_varied(&name, question.start(), range, &[low, high])
            .then_some(Asked { question, span: statement.span })
    }

    /// Checks what a search needs of its file: one experiment, and no other way of varying it.
    fn searchable(&mut self, asked: &Asked, groups: &[Group<'_, '_>]) {
        if let Some(axis) = groups.iter().find_map(|group| group.axes.first()) {
            let span = axis.name.span;
            let error = self.error(Code::Misplaced, asked.span, "a file has `search` or `each`, not both");
            error.secondary.push(Label { span, message: "the `each`".into() });
            error.help = Some("move one of them to a file of its own".into());
            return;
        }
        let experiments: Vec<_> = groups.iter().flat_map(|g| &g.experiments).collect();
        if experiments.len() > 1 {
            let span = experiments[1].items.first().map_or(experiments[1].span, |i| i.span);
            let message = format!("a search is of one experiment, and the file holds {}", experiments.len());
            let error = self.error(Code::Misplaced, asked.span, message);
            error.secondary.push(Label { span, message: "the second".into() });
            error.help = Some("move the others to files of their own".into());
        }
    }

    /// Reports a search of something that nothing in the experiment depends on.
    pub(super) fn depends(&mut self, asked: &Asked, mildest: &Experiment, harshest: &Experiment) {
        let bare = |experiment: &Experiment| {
            let mut bare = experiment.clone();
            bare.params.clear();
            bare.hypothesis = String::new().into();
            bare.impact = None;
            bare
        };
        if bare(mildest) == bare(harshest) {
            let name = asked.question.param();
            let message = format!("nothing in the experiment depends on `{name}`");
            self.error(Code::Undecidable, asked.span, message).help =
                Some(format!("use it in the fault, such as `delay {name}`"));
        }
    }
}
