//! The steps from the texts of a file, and of those that it uses, to its experiments.

use std::path::Path;

use chaos_core::{
    model::Experiment,
    span::{FileId, Span, Spanned},
};

use super::{
    Checker, Compiled, echo, inherited,
    params::Params,
    report::join_words,
    search::Asked,
    series::{self, Group},
};
use crate::{
    codes::Code,
    confined::Confined,
    diagnostic::{Cause, Diagnostic, MAX_DIAGNOSTICS},
    source::SourceMap,
    suggest,
    syntax::{File, Statement},
};

/// The first words of what may stand outside of experiments.
const BESIDE: &[&str] = &[
    "use",
    "param",
    "target",
    "probe",
    "fault",
    "change",
    "lab",
    "scope",
    "steady state",
    "timeline",
    "duration",
    "expect",
    "experiment",
    "each",
    "search",
];

/// What a file holds, sorted; experiments are in the order of the text.
#[derive(Default)]
struct Contents<'t, 'a> {
    /// Statements that every experiment has.
    shared: Vec<&'t Statement<'a>>,
    /// The experiments, those of an `each` together.
    groups: Vec<Vec<Group<'t, 'a>>>,
    /// Each `each`, with the place of its groups.
    eaches: Vec<(usize, &'t Statement<'a>)>,
    searches: Vec<&'t Statement<'a>>,
}

/// Checks texts that were read: those that are used, and last the file itself.
pub(super) fn compile(
    sources: SourceMap,
    files: &[FileId],
    mut out: Vec<Diagnostic>,
    set: &[String],
    confined: Option<Confined>,
) -> Compiled {
    let (mut experiments, mut search, mut only_parts) = (Vec::new(), None, false);
    let mut trees = Vec::new();
    for id in files {
        let text = sources.file(*id).map_or("", |f| f.text.as_str());
        let parsed = crate::parse(*id, text);
        out.extend(parsed.diagnostics);
        trees.push(parsed.tree);
    }
    if let Some((own, used)) = trees.split_last() {
        let mut checker = Checker::new(&sources, files, confined);
        let stray = out.iter().any(|d| d.code == Code::StrayBracket);
        let Contents { shared, groups, eaches, searches } = checker.sorted(own, used, stray);
        checker.parameters(own);
        let mut groups = checker.split(groups, &eaches);
        search = checker.searches(&searches, &groups);
        checker.apply_settings(set);
        checker.narrow(&mut groups, set);
        let named = search.as_ref().map(|asked| asked.question.param().to_owned());
        if named.as_ref().is_some_and(|name| series::is_set(set, name)) {
            search = None;
        }
        experiments = checker.experiments(&groups, &shared, named.as_deref());
        if let Some(asked) = &search {
            checker.harshest(asked, &groups, &experiments, &shared);
        }
        if groups.is_empty() && !out.iter().chain(&checker.out).any(Diagnostic::is_error) {
            let message = "the file holds no experiment";
            only_parts = !own.statements.is_empty();
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
    arrange(&mut out, &sources);
    if out.iter().any(Diagnostic::is_error) {
        experiments.clear();
        search = None;
    }
    Compiled { sources, experiments, search, diagnostics: out, only_parts }
}

/// Brings diagnostics into the order of the text, each once, without those that only follow from others, and not too many.
fn arrange(out: &mut Vec<Diagnostic>, sources: &SourceMap) {
    // At one place errors stand before warnings.
    out.sort_by_key(|d| (d.place().map(|span| (span.file, span.start)), !d.is_error()));
    out.dedup();
    echo::silence(out, sources);
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

impl Checker {
    fn new(sources: &SourceMap, files: &[FileId], confined: Option<Confined>) -> Self {
        let folder = |id: &FileId| {
            let path = sources.file(*id).and_then(|file| Path::new(&file.name).parent());
            (*id, path.unwrap_or(Path::new("")).to_owned())
        };
        Checker {
            out: Vec::new(),
            params: Params::default(),
            strange: Vec::new(),
            targets: Vec::new(),
            in_cluster: false,
            probing: false,
            variables: Vec::new(),
            folders: files.iter().map(folder).collect(),
            confined,
            experiment: Span::NONE,
        }
    }

    /// Sorts the statements of a file and of those that it uses; `stray` where a brace ends an experiment too early.
    fn sorted<'t, 'a>(&mut self, own: &'t File<'a>, used: &'t [File<'a>], stray: bool) -> Contents<'t, 'a> {
        let mut contents = Contents::default();
        for statement in used.iter().flat_map(|t| &t.statements) {
            self.shared(statement, true, &mut contents.shared);
        }
        for statement in &own.statements {
            match statement.keyword() {
                "experiment" => {
                    contents.groups.push(vec![Group { axes: Vec::new(), experiments: vec![statement] }]);
                }
                "each" => {
                    contents.eaches.push((contents.groups.len(), statement));
                    contents.groups.push(Vec::new());
                }
                "search" => contents.searches.push(statement),
                // It was written into the experiment, and stands outside by mistake.
                word if stray && inherited::LINES.contains(&word) => self.outside(statement),
                _ => self.shared(statement, false, &mut contents.shared),
            }
        }
        contents
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
            "probe" | "target" | "fault" | "change" => shared.push(statement),
            word if inherited::LINES.contains(&word) => shared.push(statement),
            "experiment" if used => {}
            // What is varied is decided by the file that is run.
            "each" | "search" if used => {}
            "gameday" | "drill" => {
                let word = format!("`{}`", statement.keyword());
                self.not_yet(statement.span, &word).help =
                    Some("write one `experiment` for each case".into());
            }
            word @ ("abort" | "blast" | "cluster") => {
                self.error(
                    Code::NotShared,
                    statement.span,
                    format!("`{word}` must stand inside of an experiment"),
                )
                .help = Some("what limits an experiment is read where it is run: move the line there".into());
            }
            _ => self.outside(statement),
        }
    }

    /// Reports a statement that stands outside of an experiment and does not belong there.
    fn outside(&mut self, statement: &Statement<'_>) {
        let word = statement.keyword();
        let known = BESIDE.contains(&word) || inherited::LINES.contains(&word);
        let near = suggest::did_you_mean(word, BESIDE.iter().copied()).filter(|_| !known);
        let advice = near.unwrap_or_else(|| format!("a file holds {}", join_words(BESIDE)).into());
        let message = format!("`{word}` cannot stand outside of an experiment");
        let misspelt = advice.misspelt;
        let error = self.error(Code::UnknownStatement, statement.span, message);
        error.advise_on(statement.head(), advice);
        if !misspelt {
            error.because(Cause::OutsideExperiment);
        }
    }

    /// Reads the parameters of all experiments before anything else in them, so that the command line can set them.
    fn parameters(&mut self, own: &File<'_>) {
        for experiment in own.statements.iter().flat_map(experiments_in) {
            for line in experiment.block().into_iter().flat_map(|b| &b.statements) {
                if line.keyword() == "param" {
                    self.param(line);
                }
            }
        }
    }

    /// Puts the groups of each `each` where it stands.
    fn split<'t, 'a>(
        &mut self,
        mut groups: Vec<Vec<Group<'t, 'a>>>,
        eaches: &[(usize, &'t Statement<'a>)],
    ) -> Vec<Group<'t, 'a>> {
        for (place, statement) in eaches {
            self.each(statement, &[], &mut groups[*place]);
        }
        groups.into_iter().flatten().collect()
    }

    /// Checks every experiment with each combination of its values; `searched` is the parameter that a search varies.
    fn experiments(
        &mut self,
        groups: &[Group<'_, '_>],
        shared: &[&Statement<'_>],
        searched: Option<&str>,
    ) -> Vec<Experiment> {
        let mut experiments = Vec::new();
        let mut titles: Vec<(Spanned<String>, Span)> = Vec::new();
        for group in groups {
            let defaults: Vec<_> = self.params.all();
            for (number, cell) in group.cells().into_iter().enumerate() {
                cell.iter().for_each(|(name, value)| self.params.vary(name, *value));
                let before = self.out.len();
                for statement in &group.experiments {
                    let Some(mut experiment) = self.experiment(statement, shared) else { continue };
                    experiment.varied = group.axes.iter().map(|axis| axis.name.value.clone()).collect();
                    experiment.varied.extend(searched.filter(|_| group.axes.is_empty()).map(str::to_owned));
                    let twice =
                        |t: &&(Spanned<String>, Span)| t.0 == experiment.name && t.1 != statement.span;
                    if let Some((first, _)) = titles.iter().find(twice).filter(|_| number == 0) {
                        let (name, first) = (experiment.name.clone(), first.span);
                        self.duplicate("experiment", &name, first);
                    }
                    titles.push((experiment.name.clone(), statement.span));
                    experiments.push(experiment);
                }
                if number > 0 {
                    self.forget_repeated(before);
                }
            }
            defaults.iter().for_each(|param| self.params.vary(&param.name, param.value));
        }
        experiments
    }

    /// Checks the one experiment of a search at its harshest level: what goes wrong only there is reported before anything runs.
    fn harshest(
        &mut self,
        asked: &Asked,
        groups: &[Group<'_, '_>],
        experiments: &[Experiment],
        shared: &[&Statement<'_>],
    ) {
        let mut statements = groups.iter().flat_map(|group| &group.experiments);
        let ((Some(statement), None), [mildest]) = ((statements.next(), statements.next()), experiments)
        else {
            return;
        };
        let before = self.out.len();
        self.params.vary(asked.question.param(), asked.question.high());
        if let Some(mut harshest) = self.experiment(statement, shared) {
            harshest.varied = mildest.varied.clone();
            self.depends(asked, mildest, &harshest);
        }
        self.params.vary(asked.question.param(), asked.question.start());
        self.forget_repeated(before);
    }
}
