//! Files that hold more than one run: `each NAME in […] { … }` and `search NAME in LOW .. HIGH to within T`.

use chaos_core::{
    model::{Experiment, Param, Quantity},
    search::{MOST_TRIALS, Question, QuestionError},
    span::{Span, Spanned},
};

use super::Checker;
use crate::{
    codes::Code,
    diagnostic::{Cause, Diagnostic, Label},
    syntax::{Cursor, Item, ItemKind, Statement, Word},
    words,
};

/// The most runs that the cells of a file may add up to.
pub const MOST_RUNS: usize = 64;
/// The most trials that a file may ask for.
const MOST_ASKED: u32 = 500;

/// Experiments that are run once for each combination of values.
#[derive(Clone, Debug, Default)]
pub(super) struct Group<'t, 'a> {
    /// What is varied, the outermost first; nothing for an experiment that stands alone.
    pub(super) axes: Vec<Axis>,
    /// The experiments.
    pub(super) experiments: Vec<&'t Statement<'a>>,
}

/// One `each`.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// The parameter.
    pub(super) name: Spanned<String>,
    /// Its values, in order.
    pub(super) values: Vec<Spanned<Quantity>>,
}

impl Group<'_, '_> {
    /// Returns every combination of values, the innermost changing fastest.
    pub(super) fn cells(&self) -> Vec<Vec<(String, Quantity)>> {
        self.axes.iter().fold(vec![Vec::new()], |cells, axis| {
            let with = |cell: &Vec<(String, Quantity)>, value: &Spanned<Quantity>| {
                let mut cell = cell.clone();
                cell.push((axis.name.value.clone(), value.value));
                cell
            };
            cells.iter().flat_map(|cell| axis.values.iter().map(move |value| with(cell, value))).collect()
        })
    }
}

/// A search as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    /// Where.
    pub span: Span,
}

impl Checker {
    /// Gathers the experiments of an `each` and of those in it.
    pub(super) fn each<'t, 'a>(
        &mut self,
        statement: &'t Statement<'a>,
        outer: &[Axis],
        groups: &mut Vec<Group<'t, 'a>>,
    ) {
        let mut cursor = statement.cursor();
        cursor.take();
        let Some(name) = self.varied_name(&mut cursor, "write `each extra in [100ms, 500ms] { … }`") else {
            return;
        };
        if let Some(first) = outer.iter().find(|axis| axis.name == name) {
            let first = first.name.span;
            return self.duplicate("param", &name, first);
        }
        let list = match (cursor.take_word("in"), cursor.peek().map(|i| &i.kind)) {
            (Some(_), Some(ItemKind::List(list))) => list,
            _ => {
                self.expected(&cursor, "`in` and the values in brackets").help =
                    Some(format!("write `each {name} in [100ms, 500ms] {{ … }}`"));
                return;
            }
        };
        let whole = cursor.span();
        cursor.take();
        let values = self.each_values(list, whole);
        let Some(block) = cursor.take_block() else {
            self.expected(&cursor, "the experiments in braces")
                .advise(format!("write `each {name} in […] {{ experiment \"…\" {{ … }} }}`"))
                .because(Cause::NoBlock);
            return;
        };
        self.end(&cursor, &[]);
        let Some(values) = values else { return };
        let declared = self.declare_varied(&name, values[0].value, None, &values);
        if !declared {
            return;
        }
        let mut axes = outer.to_vec();
        axes.push(Axis { name, values });
        let mut group = Group { axes: axes.clone(), experiments: Vec::new() };
        let before = groups.len();
        for line in &block.statements {
            match line.keyword() {
                "experiment" => group.experiments.push(line),
                "each" => self.each(line, &axes, groups),
                word => {
                    let message = format!("`{word}` does not belong inside of `each`");
                    self.error(Code::Misplaced, line.span, message).help = Some(
                        "an `each` holds experiments, and `each` once more; move the line out of it".into(),
                    );
                }
            }
        }
        if group.experiments.is_empty() && groups.len() == before && !self.reported_within(statement.span) {
            self.error(Code::MissingLine, statement.span, "this `each` holds no experiment").help =
                Some("write `experiment \"title\" { … }` in it".into());
        }
        if !group.experiments.is_empty() {
            groups.push(group);
        }
    }

    /// Reads the values of an `each`: quantities of one unit, each once.
    fn each_values(&mut self, list: &[Item<'_>], whole: Span) -> Option<Vec<Spanned<Quantity>>> {
        let Some(first) = list.first() else {
            self.error(Code::MissingBody, whole, "there is no value to run with").help =
                Some("write the values, such as `[100ms, 500ms]`".into());
            return None;
        };
        let unit = match &first.kind {
            ItemKind::Quantity(written) => super::value::quantity(written).unit,
            _ => {
                let message = format!("expected a quantity with its unit, found {}", first.describe());
                self.error(Code::Misplaced, first.span, message).help =
                    Some("write the values themselves, such as `[100ms, 500ms]`".into());
                return None;
            }
        };
        let mut values: Vec<Spanned<Quantity>> = Vec::new();
        let mut good = true;
        for item in list {
            match self.value(item, unit, "a value of this list") {
                Some(value) => match values.iter().find(|v| **v == value) {
                    Some(first) => {
                        let first = first.span;
                        let error =
                            self.error(Code::DuplicateName, item.span, format!("{value} stands twice"));
                        error.secondary.push(Label { span: first, message: "first here".into() });
                        error.help = Some("remove one of them".into());
                        good = false;
                    }
                    None => values.push(value),
                },
                None => good = false,
            }
        }
        good.then_some(values)
    }

    /// Reads `search NAME in LOW .. HIGH to within T [at most N trials]`.
    pub(super) fn search(&mut self, statement: &Statement<'_>) -> Option<Asked> {
        let asked = self.asked(statement);
        // That the parameter is not known is not a mistake of its own: it was meant to be declared here.
        let quantity = statement.items.iter().find_map(|item| match &item.kind {
            ItemKind::Range(ends) => ends.0.as_quantity(),
            _ => item.as_quantity(),
        });
        if let (None, Some(name), Some(quantity)) = (&asked, statement.name(), quantity) {
            let (name, value) =
                (Spanned::new(name.text.to_owned(), name.span), super::value::quantity(quantity));
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
            ItemKind::Quantity(written) => super::value::quantity(written).unit,
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

    /// Takes the name of what is varied.
    fn varied_name(&mut self, cursor: &mut Cursor<'_, '_>, help: &str) -> Option<Spanned<String>> {
        match cursor.peek().and_then(Item::as_word) {
            Some(Word { text, span }) if !words::is_reserved(text) => {
                cursor.take();
                Some(Spanned::new(text.to_owned(), span))
            }
            // A word of the language as a name was reported when the file was read.
            Some(_) => None,
            None => {
                self.expected(cursor, "the name of a param").help = Some(help.to_owned());
                None
            }
        }
    }

    /// Declares the parameter that is varied, unless the file has done so: then its unit and range must allow it.
    fn declare_varied(
        &mut self,
        name: &Spanned<String>,
        value: Quantity,
        range: Option<(Quantity, Quantity)>,
        values: &[Spanned<Quantity>],
    ) -> bool {
        let Some(param) = self.params.get(&name.value) else {
            self.params.declare(Param { name: name.clone(), value, default: value, range });
            return true;
        };
        let (declared, had) = (param.name.span, param.clone());
        let label = Label { span: declared, message: "declared here".into() };
        if had.default.unit != value.unit {
            let message = format!("the param `{name}` is {}, not {}", had.default.unit, value.unit);
            let error = self.error(Code::WrongUnit, name.span, message);
            error.secondary.push(label);
            error.help = Some(format!("write {}, such as `{}`", had.default.unit, had.default));
            return false;
        }
        let Some((low, high)) = had.range else { return true };
        let outside = values.iter().find(|v| v.value.value < low.value || v.value.value > high.value);
        if let Some(outside) = outside {
            let message = format!("{outside} lies outside of the range of `{name}`, {low} .. {high}");
            let error = self.error(Code::OutOfRange, outside.span, message);
            error.secondary.push(label.clone());
            error.help = Some("stay within the reviewed range, or widen it there".into());
            return false;
        }
        true
    }

    /// Limits what is varied to the values that the command line sets, and the number of runs.
    pub(super) fn narrow(&mut self, groups: &mut [Group<'_, '_>], set: &[String]) {
        for axis in groups.iter_mut().flat_map(|group| &mut group.axes).filter(|axis| is_set(set, &axis.name))
        {
            let Some(value) = self.params.get(&axis.name.value).map(|param| param.value) else { continue };
            let all: Vec<String> = axis.values.iter().map(ToString::to_string).collect();
            let message =
                format!("`--set {}={value}`: the file runs `{}` with other values", axis.name, axis.name);
            axis.values.retain(|v| v.value == value);
            if axis.values.is_empty() && !self.out.iter().any(|d| d.message == message) {
                let help = format!("its values are {}", all.join(", "));
                self.out.push(Diagnostic::new(Code::BadSetting, message).help(help));
            }
        }
        let runs = |group: &Group<'_, '_>| {
            group.axes.iter().map(|axis| axis.values.len()).product::<usize>() * group.experiments.len()
        };
        let all: usize = groups.iter().map(runs).sum();
        let varied = groups.iter().rev().find_map(|group| group.axes.last());
        if let Some(axis) = varied
            && all > MOST_RUNS
        {
            let span = axis.name.span;
            let message = format!("the file would make {all} runs, and {MOST_RUNS} are the most");
            self.error(Code::OutOfRange, span, message).help =
                Some("leave values out, or split the file".into());
            groups.iter_mut().flat_map(|g| &mut g.axes).for_each(|axis| axis.values.truncate(1));
        }
    }

    /// Checks what a search needs of its file: one experiment, and no other way of varying it.
    pub(super) fn searchable(&mut self, asked: &Asked, groups: &[Group<'_, '_>]) {
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

/// Whether the command line sets a parameter.
pub(super) fn is_set(set: &[String], name: &str) -> bool {
    set.iter().any(|setting| setting.split_once('=').is_some_and(|(n, _)| n.trim() == name))
}
