//! All cells of an `each`, and one table of them.

use std::{io, path::Path};

use super::{Carrier, Part, Runs, each};
use crate::{
    bundle,
    model::Experiment,
    outcome::{Ran, Verdict},
    report::{Reported, Subject, matrix::Matrix},
};

/// Carries out every cell, each in a folder of its own below that of the matrix, and keeps the reports of all beside them.
///
/// `folder` is made; its name is the matrix's id. `file` is the scenario's path as reports write it. Returns the table, the runs,
/// and whether the reports could be kept.
pub async fn matrix(
    experiments: &[Experiment],
    folder: &Path,
    seed: u64,
    file: Option<&str>,
    carrier: &dyn Carrier,
) -> (Matrix, Runs, io::Result<()>) {
    let id = folder.file_name().unwrap_or_default().to_string_lossy();
    let runs = each(experiments, folder, seed, Part::Cell, carrier).await;
    let mut matrix = Matrix::of(id, experiments.len(), runs.ran.iter().filter_map(Ran::record));
    let keep = |matrix: &Matrix| {
        let reported = Reported { subject: Subject::Matrix(matrix, &runs.ran), file };
        reported.files().and_then(|files| bundle::keep(folder, &files))
    };
    let kept = keep(&matrix);
    if let Err(error) = &kept {
        matrix.unkept = Some(error.to_string());
        matrix.verdict = matrix.verdict.max(Verdict::NotKept);
        // What can still be written says so as well.
        let _ = keep(&matrix);
    }
    (matrix, runs, kept)
}
