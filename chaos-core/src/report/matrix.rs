//! One report for all runs of an `each`: a table of values, verdicts and margins.

use std::{fmt::Write as _, io};

use serde::{Deserialize, Serialize};

use super::{
    line::{Line, WIDTH, plain, wrap},
    markdown::{cell, table},
    text::style,
};
use crate::outcome::{Verdict, result};
use crate::{
    model::{Quantity, Unit, quantity::format_seconds},
    run::Record,
};

/// The version of the document; it grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// All runs of the cells of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(title = "chaos matrix")]
pub struct Matrix {
    /// The version of the format.
    pub version: u32,
    /// Its id.
    pub matrix: String,
    /// What came of all of them: the gravest verdict.
    pub verdict: Verdict,
    /// How many runs were planned; more than there are cells where somebody stopped it.
    pub planned: usize,
    /// Each run, in the order of the file.
    pub cells: Vec<Cell>,
    /// Why not all of its reports could be kept; none where they were, or nobody keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cell {
    /// The title of the experiment.
    pub experiment: String,
    /// What was varied, with its value, the outermost first.
    pub values: Vec<(String, Quantity)>,
    /// The run's id, and the name of its folder.
    pub run: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, a line each.
    pub reasons: Vec<String>,
    /// The expectation that had the least to spare, or missed by the most.
    pub closest: Option<Closest>,
}

/// The expectation of a run that had the least to spare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Closest {
    /// Its name.
    pub expectation: String,
    /// The share of the allowed budget that was left, at most 1; negative where it was missed.
    pub normalised: f64,
    /// By how much it was met (positive) or missed, in the base of its unit.
    pub margin: Option<f64>,
    /// The unit of the margin.
    pub unit: Unit,
}

impl Matrix {
    /// Gathers the runs that were made of those that were planned.
    pub fn of<'a>(
        id: impl Into<String>,
        planned: usize,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Matrix {
        let cells: Vec<Cell> = records.into_iter().map(Cell::of).collect();
        let verdict = cells.iter().map(|cell| cell.verdict).max();
        let verdict = match verdict {
            Some(verdict) if cells.len() == planned => verdict,
            // What was not run is not a pass.
            Some(verdict) => verdict.max(Verdict::Aborted),
            None => Verdict::Refused,
        };
        Matrix { version: SCHEMA_VERSION, matrix: id.into(), verdict, planned, cells, unkept: None }
    }
}

impl Cell {
    fn of(record: &Record) -> Cell {
        let overall = result(record);
        let experiment = &record.plan.experiment;
        Cell {
            experiment: experiment.name.value.clone(),
            values: experiment.varied().map(|p| (p.name.value.clone(), p.value)).collect(),
            run: record.run.clone(),
            verdict: overall.verdict,
            reasons: overall.reasons,
            closest: closest(record),
        }
    }

    /// Says by how much its closest expectation was met or missed.
    pub fn margin(&self) -> String {
        let Some(closest) = &self.closest else { return "–".into() };
        let share = Quantity::ratio((closest.normalised.abs() * 100.0).round() / 100.0);
        let amount = closest.margin.map(|margin| match closest.unit {
            // Shares differ by percentage points.
            Unit::Ratio => Quantity::new(margin.abs(), Unit::Points).to_string(),
            Unit::Seconds => format_seconds(margin.abs()),
            unit => Quantity::new(margin.abs(), unit).to_string(),
        });
        let said = match (closest.normalised < 0.0, amount) {
            (true, Some(amount)) => format!("missed by {amount}"),
            (true, None) => format!("missed by {share} of what was allowed"),
            (false, Some(amount)) => format!("{amount} to spare, {share} headroom left"),
            (false, None) => format!("{share} headroom left"),
        };
        format!("{said} ({})", closest.expectation)
    }

    fn values(&self) -> String {
        let values: Vec<String> =
            self.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        values.join(", ")
    }
}

/// Finds the expectation with the smallest share of its budget left.
fn closest(record: &Record) -> Option<Closest> {
    let all = record.expectations.iter().flat_map(|judged| judged.findings.iter().map(move |f| (judged, f)));
    let with = all.filter_map(|(judged, finding)| {
        let margin = finding.margin.map(|m| if m.lo.is_finite() { m.lo } else { m.hi });
        Some(Closest {
            expectation: judged.name.clone(),
            normalised: finding.normalised?,
            margin: margin.filter(|m| m.is_finite()),
            unit: finding.unit,
        })
    });
    with.min_by(|a, b| a.normalised.total_cmp(&b.normalised))
}

/// Folds a matrix to plain text.
pub fn render(matrix: &Matrix) -> String {
    plain(&lines(matrix))
}

/// Folds a matrix to styled lines, none wider than [`WIDTH`].
pub fn lines(matrix: &Matrix) -> Vec<Line> {
    let count = format!("{} of {} runs", matrix.cells.len(), matrix.planned);
    let mut out = vec![
        Line::at(0)
            .piece(style(matrix.verdict), matrix.verdict.words().to_uppercase())
            .plain("  ")
            .strong(count),
    ];
    out.extend(matrix.unkept.as_ref().map(|lost| Line::at(2).plain(unkept(lost))));
    let wide =
        |of: fn(&Cell) -> String| matrix.cells.iter().map(|c| of(c).chars().count()).max().unwrap_or(0);
    let (values, verdicts) = (wide(Cell::values), wide(|c| c.verdict.words().to_owned()));
    let mut experiment = "";
    for cell in &matrix.cells {
        if cell.experiment != experiment {
            experiment = &cell.experiment;
            out.push(Line::blank());
            out.push(Line::title(experiment));
        }
        let style = style(cell.verdict);
        out.push(
            Line::at(2)
                .hang(4)
                .piece(style, format!("{} ", super::text::sign(style)))
                .strong(format!("{:<values$}  ", cell.values()))
                .piece(style, format!("{:<verdicts$}  ", cell.verdict.words()))
                .plain(cell.margin()),
        );
        if matches!(cell.verdict, Verdict::NotKept) || cell.verdict > Verdict::Failed {
            out.extend(cell.reasons.iter().map(|reason| Line::at(6).plain(reason)));
        }
    }
    wrap(out, WIDTH)
}

/// Folds a matrix to Markdown; `file` is the scenario's path.
pub fn markdown(matrix: &Matrix, file: &str) -> String {
    let sign = match style(matrix.verdict) {
        super::Style::Good => "✅",
        super::Style::Bad => "❌",
        _ => "❔",
    };
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "## {sign} {}: {}, {} of {} runs\n\n",
        matrix.verdict.words().to_uppercase(),
        cell(file),
        matrix.cells.len(),
        matrix.planned
    );
    if let Some(lost) = &matrix.unkept {
        let _ = write!(out, "{}\n\n", super::markdown::prose(&unkept(lost)));
    }
    let rows = matrix.cells.iter().map(|one| {
        [
            cell(&one.experiment),
            cell(&one.values()),
            one.verdict.words().to_owned(),
            cell(&one.margin()),
            one.run.clone(),
        ]
    });
    table(&mut out, ["experiment", "values", "verdict", "margin", "run"], rows);
    out
}

/// Says that its reports are not whole.
pub(super) fn unkept(lost: &str) -> String {
    format!("not all of its reports could be kept: {lost}")
}

/// Writes a matrix as one JSON object, indented.
pub fn json(matrix: &Matrix, out: impl io::Write) -> io::Result<()> {
    super::json::object(matrix, out)
}

/// Returns the JSON schema of what [`json()`] writes (draft 2020-12).
pub fn schema() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Matrix>()
}
