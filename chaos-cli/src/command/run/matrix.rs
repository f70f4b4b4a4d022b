//! All cells of an `each`, and one report for them.

use chaos_core::{
    report::{self, shell::quoted},
    run::new_id,
    series::{Series, matrix},
};

use super::{Over, Session, carry::kept_in, in_command};
use crate::render;

/// Runs every cell of a file, each in a folder of its own below that of the matrix.
pub(super) async fn run(session: &Session<'_>) -> Over {
    let folder = session.args.out.join(new_id());
    let experiments = &session.scenario.compiled.experiments;
    let file = session.file();
    if !session.args.quiet {
        let planned = experiments.len();
        render::say(&format!("{file}: {planned} runs, kept in {}\n", folder.display()));
    }
    let (matrix, runs, kept) = matrix(experiments, &folder, session.seed, Some(&file), session).await;
    if let Err(error) = &kept {
        session.lost("the folder of the runs", error);
    }
    if session.args.format.live {
        render::lines(&report::matrix::lines(&matrix));
        let kept = kept_in(&folder, kept.is_ok(), ", each run in a folder of its own");
        render::print(&format!("\n{kept}\n"));
        render::print(&format!(
            "again:   chaos run {}{} --seed {}\n",
            quoted(&file),
            session.set(),
            session.seed
        ));
        if let Some(worst) = matrix.cells.iter().max_by_key(|cell| cell.verdict) {
            let run = folder.join(&worst.run).join("verdict.txt");
            render::print(&format!("next:    less {}\n", in_command(&run)));
        }
    }
    Over {
        exit: session.exit(),
        series: Some(Series::Matrix(Box::new(matrix), runs.ran)),
        ended_early: runs.ended_early,
    }
}
