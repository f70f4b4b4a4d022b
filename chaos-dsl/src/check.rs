//! Tree to model: names, units, and what makes sense.
//!
//! The order of work: [`load`] reads the file and all that it uses, [`params`] gives every parameter its value, then each
//! experiment is checked line by line: [`lab`], [`target`], [`probe`] with [`service`], [`reading`] and [`alert`], [`fault`] with [`custom`], [`timeline`], [`formula`], and at last
//! what only shows in the whole ([`experiment`]). Every check goes on after a mistake, so one run tells all of them.

mod address;
mod alert;
mod answer;
mod bounds;
mod change;
mod clause;
mod cluster;
mod comparison;
mod custom;
mod each;
mod echo;
mod experiment;
mod fault;
mod filter;
mod formula;
mod lab;
mod load;
mod metric;
mod names;
mod params;
mod predicate;
mod probe;
mod query;
mod reading;
mod series;
mod service;
mod soundness;
mod target;
mod timeline;
mod value;

use std::path::{Path, PathBuf};

use chaos_core::{
    model::{Experiment, Target},
    span::{Span, Spanned},
};

use crate::{
    codes::Code,
    confined::{Confined, Given},
    diagnostic::{Cause, Diagnostic, MAX_DIAGNOSTICS},
    source::SourceMap,
    suggest,
    syntax::{Cursor, Item, ItemKind, Statement, Text, Word},
};

pub use experiment::LINES;
pub use metric::FUNCTIONS;
use names::Names;
pub use probe::SETTINGS as PROBE_SETTINGS;
pub use series::{Asked, MOST_RUNS};

use params::Params;
use series::Group;

/// A checked file: its experiments, and everything there is to say about it.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The file and all that it uses.
    pub sources: SourceMap,
    /// The experiments, one for each cell of an `each`; empty when there is an error anywhere.
    pub experiments: Vec<Experiment>,
    /// What is searched for; the experiment then stands at the level of the first trial. None where the command line sets the
    /// parameter.
    pub search: Option<Asked>,
    /// Errors and warnings, in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compiled {
    /// Returns whether the file can be used.
    pub fn is_ok(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Returns what should be known before running, each once: what the experiments can hardly show as they are written.
    ///
    /// Planning tells the same; this is for those who only read the file, as a reviewer does.
    pub fn remarks(&self) -> Vec<Diagnostic> {
        let mut out: Vec<Diagnostic> = Vec::new();
        for finding in self.experiments.iter().flat_map(chaos_core::soundness::remarks) {
            let remark = Diagnostic::of(Code::Unsound, finding.remark);
            if !out.contains(&remark) {
                out.push(remark);
            }
        }
        out
    }
}

/// Checks a file and all that it uses.
///
/// What it names (other scenarios, certificates) must be below its own folder, or one that is [given](Given::include).
pub fn compile_file(path: &Path, given: &Given) -> Compiled {
    let mut sources = SourceMap::new();
    let confined = Confined::to(path, &given.include);
    let (files, out) = load::from_path(path, &confined, &mut sources);
    check(sources, &files, out, &given.set, Some(confined))
}

/// Checks a text that uses no other file; `name` is what messages call it.
pub fn compile(name: &str, text: &str, set: &[String]) -> Compiled {
    let mut sources = SourceMap::new();
    let (files, out) = load::from_text(name, text, &mut sources);
    check(sources, &files, out, set, None)
}

fn check(
    sources: SourceMap,
    files: &[chaos_core::span::FileId],
    mut out: Vec<Diagnostic>,
    set: &[String],
    confined: Option<Confined>,
) -> Compiled {
    let (mut experiments, mut search) = (Vec::new(), None);
    let mut trees = Vec::new();
    for id in files {
        let text = sources.file(*id).map_or("", |f| f.text.as_str());
        let parsed = crate::parse(*id, text);
        out.extend(parsed.diagnostics);
        trees.push(parsed.tree);
    }
    // The file itself comes last, after what it uses.
    if let Some((own, used)) = trees.split_last() {
        let folder = |id: &chaos_core::span::FileId| {
            let path = sources.file(*id).and_then(|file| Path::new(&file.name).parent());
            (*id, path.unwrap_or(Path::new("")).to_owned())
        };
        let folders = files.iter().map(folder).collect();
        let mut checker = Checker {
            out: Vec::new(),
            params: Params::default(),
            strange: Vec::new(),
            targets: Vec::new(),
            in_cluster: false,
            probing: false,
            variables: Vec::new(),
            folders,
            confined,
        };
        let mut shared = Vec::new();
        for statement in used.iter().flat_map(|t| &t.statements) {
            checker.shared(statement, true, &mut shared);
        }
        let mut groups: Vec<Group<'_, '_>> = Vec::new();
        let (mut eaches, mut searches) = (Vec::new(), Vec::new());
        for statement in &own.statements {
            match statement.keyword() {
                "experiment" => {
                    groups.push(Group { axes: Vec::new(), experiments: vec![statement] });
                }
                "each" => {
                    eaches.push((groups.len(), statement));
                    groups.push(Group::default());
                }
                "search" => searches.push(statement),
                _ => checker.shared(statement, false, &mut shared),
            }
        }
        // Parameters first, those of experiments too, so that the command line can set them.
        for experiment in own.statements.iter().flat_map(experiments_in) {
            for line in experiment.block().into_iter().flat_map(|b| &b.statements) {
                if line.keyword() == "param" {
                    checker.param(line);
                }
            }
        }
        let mut split: Vec<Vec<Group<'_, '_>>> = groups.into_iter().map(|group| vec![group]).collect();
        for (place, statement) in eaches {
            split[place].clear();
            checker.each(statement, &[], &mut split[place]);
        }
        let mut groups: Vec<Group<'_, '_>> = split.into_iter().flatten().collect();
        search = checker.searches(&searches, &groups);
        checker.apply_settings(set);
        checker.narrow(&mut groups, set);
        let named = search.as_ref().map(|asked| asked.question.param().to_owned());
        if named.as_ref().is_some_and(|name| series::is_set(set, name)) {
            search = None;
        }
        let mut titles: Vec<(Spanned<String>, Span)> = Vec::new();
        for group in &groups {
            let defaults: Vec<_> = checker.params.all();
            for (number, cell) in group.cells().into_iter().enumerate() {
                cell.iter().for_each(|(name, value)| checker.params.vary(name, *value));
                let before = checker.out.len();
                for statement in &group.experiments {
                    let Some(mut experiment) = checker.experiment(statement, &shared) else { continue };
                    experiment.varied = group.axes.iter().map(|axis| axis.name.value.clone()).collect();
                    experiment.varied.extend(named.clone().filter(|_| group.axes.is_empty()));
                    let twice =
                        |t: &&(Spanned<String>, Span)| t.0 == experiment.name && t.1 != statement.span;
                    if let Some((first, _)) = titles.iter().find(twice).filter(|_| number == 0) {
                        let (name, first) = (experiment.name.clone(), first.span);
                        checker.duplicate("experiment", &name, first);
                    }
                    titles.push((experiment.name.clone(), statement.span));
                    experiments.push(experiment);
                }
                if number > 0 {
                    checker.forget_repeated(before);
                }
            }
            defaults.iter().for_each(|param| checker.params.vary(&param.name, param.value));
        }
        if let (Some(asked), [statement], [mildest]) = (
            &search,
            groups.iter().flat_map(|g| &g.experiments).collect::<Vec<_>>().as_slice(),
            experiments.as_slice(),
        ) {
            // What goes wrong at the harshest level only is reported before anything runs.
            let before = checker.out.len();
            checker.params.vary(asked.question.param(), asked.question.high());
            if let Some(mut harshest) = checker.experiment(statement, &shared) {
                harshest.varied = mildest.varied.clone();
                checker.depends(asked, mildest, &harshest);
            }
            checker.params.vary(asked.question.param(), asked.question.start());
            checker.forget_repeated(before);
        }
        let written = &groups;
        if written.is_empty() && !out.iter().chain(&checker.out).any(Diagnostic::is_error) {
            let message = "the file holds no experiment";
            let end = own.statements.last().map_or(Span::new(own.id, 0, 0), |s| s.span);
            checker.error(Code::MissingLine, end, message).help =
                Some("write `experiment \"title\" { … }`".into());
        }
        // A statement that could not be read may have been what is missed.
        if out.iter().any(Diagnostic::is_error) {
            checker.out.retain(|d| !echo::follows(d));
        }
        // What stands in a statement that means nothing was read as if it meant something else.
        out.retain(|d| !d.place().is_some_and(|place| checker.strange.iter().any(|s| s.covers(place))));
        out.append(&mut checker.out);
    }
    // In the order of the text, at one place errors before warnings; a place is reported once.
    out.sort_by_key(|d| (d.place().map(|span| (span.file, span.start)), !d.is_error()));
    out.dedup();
    echo::silence(&mut out, &sources);
    // Warnings give way: an error behind many of them would go unreported, and its statement unread.
    let mut warnings = MAX_DIAGNOSTICS.saturating_sub(out.iter().filter(|d| d.is_error()).count());
    out.retain(|d| {
        let room = warnings > 0;
        if !d.is_error() {
            warnings = warnings.saturating_sub(1);
        }
        d.is_error() || room
    });
    out.truncate(MAX_DIAGNOSTICS);
    if out.iter().any(Diagnostic::is_error) {
        experiments.clear();
        search = None;
    }
    Compiled { sources, experiments, search, diagnostics: out }
}

/// Returns the experiments that a statement is or holds.
fn experiments_in<'t, 'a>(statement: &'t Statement<'a>) -> Vec<&'t Statement<'a>> {
    match statement.keyword() {
        "experiment" => vec![statement],
        "each" => {
            statement.block().into_iter().flat_map(|b| &b.statements).flat_map(experiments_in).collect()
        }
        _ => Vec::new(),
    }
}

/// What checking carries along.
struct Checker {
    out: Vec<Diagnostic>,
    params: Params,
    /// Statements that are not known where they stand.
    strange: Vec<Span>,
    /// The named targets that the experiment has declared so far.
    targets: Vec<Target>,
    /// Whether the experiment takes place in a cluster.
    in_cluster: bool,
    /// Whether the place of a probe is being read.
    probing: bool,
    /// What the claim under way goes over, the innermost last.
    variables: Vec<each::Variable>,
    /// The folder of each file, which paths in it are relative to.
    folders: Vec<(chaos_core::span::FileId, PathBuf)>,
    /// Where files may be that it names; none where it stands in no file.
    confined: Option<Confined>,
}

impl Checker {
    /// Reports a mistake at a place and returns it, so that help can be added.
    fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.out.push(Diagnostic::new(code, message).at(span, ""));
        let last = self.out.len() - 1;
        &mut self.out[last]
    }

    /// Reports what was expected where something else, or nothing, stands.
    fn expected(&mut self, cursor: &Cursor<'_, '_>, what: &str) -> &mut Diagnostic {
        let found = cursor.peek().map_or_else(|| "the end of the line".to_owned(), Item::describe);
        self.error(Code::Misplaced, cursor.span(), format!("expected {what}, found {found}"))
    }

    /// Reports a name that nothing declares.
    fn unknown<'c>(&mut self, what: &str, name: Word<'_>, known: impl IntoIterator<Item = &'c str>) {
        let known: Vec<&str> = known.into_iter().collect();
        // The distance to every known name is only worth its time where somebody will read it.
        let read = self.out.len() < 4 * MAX_DIAGNOSTICS;
        let near = read.then(|| suggest::did_you_mean(name.text, known.iter().copied())).flatten();
        let advice = near.unwrap_or_else(|| match known.len() {
            1..=12 => {
                let known: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
                format!("there is {}", known.join(", ")).into()
            }
            _ => format!("declare a {what} of that name first").into(),
        });
        let cause = Cause::Undeclared { name: name.text.to_owned(), misspelt: advice.misspelt };
        let message = format!("unknown {what} `{}`", name.text);
        self.error(Code::UnknownName, name.span, message).advise(advice).because(cause);
    }

    /// Reports a name declared twice.
    fn duplicate(&mut self, what: &str, name: &Spanned<String>, first: Span) {
        let error =
            self.error(Code::DuplicateName, name.span, format!("the {what} `{name}` is declared twice"));
        error.secondary.push(crate::diagnostic::Label { span: first, message: "first declared here".into() });
        error.help = Some("rename one of them".into());
    }

    /// Reads the searches of a file, of which there may be one.
    fn searches(&mut self, statements: &[&Statement<'_>], groups: &[Group<'_, '_>]) -> Option<Asked> {
        let (first, more) = statements.split_first()?;
        for second in more {
            let error = self.error(Code::DuplicateLine, second.span, "`search` stands twice");
            error.secondary.push(crate::diagnostic::Label { span: first.span, message: "first here".into() });
            error.help = Some("move one of them to a file of its own".into());
        }
        let asked = self.search(first)?;
        self.searchable(&asked, groups);
        Some(asked)
    }

    /// Forgets what was reported after `before` and had been reported earlier of the same place: it is the same mistake, seen again with
    /// other values.
    fn forget_repeated(&mut self, before: usize) {
        let key = |d: &Diagnostic| (d.code, d.place());
        let again = self.out.split_off(before);
        for diagnostic in again {
            if !self.out.iter().any(|d| key(d) == key(&diagnostic)) {
                self.out.push(diagnostic);
            }
        }
    }

    /// Returns whether a mistake was already reported within a place.
    fn reported_within(&self, place: Span) -> bool {
        let errors = self.out.iter().filter(|d| d.is_error());
        errors
            .filter_map(|d| d.place())
            .any(|s| s.file == place.file && place.start <= s.start && s.end <= place.end)
    }

    /// Reports what is left of a statement that should have ended; behind another mistake it says nothing new.
    fn end(&mut self, cursor: &Cursor<'_, '_>, known: &[&str]) {
        let whole = cursor.whole();
        let last = self.out.iter().rfind(|d| d.is_error()).and_then(|d| d.place());
        if last.is_some_and(|s| s.file == whole.file && whole.start <= s.start && s.end <= whole.end) {
            return;
        }
        if let Some(item) = cursor.peek() {
            let near = item.as_word().and_then(|w| suggest::did_you_mean(w.text, known.iter().copied()));
            let advice = near.or_else(|| {
                (!known.is_empty()).then(|| format!("here may stand {}", join_words(known)).into())
            });
            let message = format!("{} does not belong here", item.describe());
            let error = self.error(Code::Misplaced, item.span, message);
            if let Some(advice) = advice {
                error.advise(advice);
            }
            if matches!(item.kind, ItemKind::Block(_)) {
                error.because(Cause::StrayBlock);
            }
        }
    }

    /// Reports something that only a cluster has, and that is not done even there.
    fn needs_cluster(&mut self, span: Span, what: &str) {
        if self.in_cluster {
            self.not_yet(span, what);
            return;
        }
        self.error(
            Code::NeedsCluster,
            span,
            format!("{what} belongs to a cluster, and this experiment takes place in none"),
        )
        .help =
            Some("give the experiment `scope { cluster \"CONTEXT\" uid \"UID\" namespace \"NAME\" }`".into());
    }

    /// Reports something of the language that this version does not do.
    fn not_yet(&mut self, span: Span, what: &str) -> &mut Diagnostic {
        let message = format!("{what} is part of the language, but this version cannot do it yet");
        let error = self.error(Code::NotYet, span, message);
        error.help = Some("leave it out for now".into());
        error
    }

    /// Fills the holes of a string with the values of parameters.
    fn text(&mut self, text: &Text<'_>) -> String {
        use crate::syntax::Part;
        let mut filled = String::new();
        for part in &text.parts {
            match part {
                Part::Literal(literal) => filled.push_str(literal),
                Part::Hole(name) => match self.params.get(name.text) {
                    Some(param) => filled.push_str(&param.value.to_string()),
                    None => {
                        let known = self.params.names();
                        self.unknown("param", *name, known.iter().map(String::as_str));
                    }
                },
            }
        }
        filled
    }

    /// Takes a string and fills its holes.
    fn take_string(&mut self, cursor: &mut Cursor<'_, '_>, what: &str) -> Option<Spanned<String>> {
        match cursor.take_text() {
            Some((text, span)) => Some(Spanned::new(self.text(text), span)),
            None => {
                self.expected(cursor, what).help = Some("write it in double quotes: `\"…\"`".into());
                None
            }
        }
    }

    /// Sorts a statement outside of experiments: parameters are read at once, the rest is kept for every experiment.
    fn shared<'t, 'a>(
        &mut self,
        statement: &'t Statement<'a>,
        used: bool,
        shared: &mut Vec<&'t Statement<'a>>,
    ) {
        match statement.keyword() {
            "use" => {}
            "param" => self.param(statement),
            "probe" | "target" | "fault" => shared.push(statement),
            "experiment" if used => {}
            // What is varied is decided by the file that is run.
            "each" | "search" if used => {}
            "gameday" | "drill" => {
                let word = format!("`{}`", statement.keyword());
                self.not_yet(statement.span, &word).help =
                    Some("write one `experiment` for each case".into());
            }
            word @ ("abort" | "blast" | "cluster" | "scope" | "lab") => {
                self.error(
                    Code::NotShared,
                    statement.span,
                    format!("`{word}` must stand inside of an experiment"),
                )
                .help = Some("what limits an experiment is read where it is run: move the line there".into());
            }
            word => {
                let known = ["use", "param", "probe", "target", "fault", "experiment", "each", "search"];
                let near = suggest::did_you_mean(word, known);
                let advice = near.unwrap_or_else(|| format!("a file holds {}", join_words(&known)).into());
                let message = format!("`{word}` cannot stand outside of an experiment");
                let misspelt = advice.misspelt;
                let error = self.error(Code::UnknownStatement, statement.span, message);
                error.advise_on(statement.head(), advice);
                if !misspelt {
                    error.because(Cause::OutsideExperiment);
                }
            }
        }
    }
}

/// Lists words for people: `a`, `b` or `c`.
fn join_words(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            format!("{} or `{last}`", most.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))
        }
    }
}
