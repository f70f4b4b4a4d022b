//! Files that hold more than one run: `each NAME in […] { … }`, and what it shares with a search.

use chaos_core::{
    model::{Param, Quantity},
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

    /// Takes the name of what is varied.
    pub(super) fn varied_name(&mut self, cursor: &mut Cursor<'_, '_>, help: &str) -> Option<Spanned<String>> {
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
    pub(super) fn declare_varied(
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
}

/// Whether the command line sets a parameter.
pub(super) fn is_set(set: &[String], name: &str) -> bool {
    set.iter().any(|setting| setting.split_once('=').is_some_and(|(n, _)| n.trim() == name))
}
