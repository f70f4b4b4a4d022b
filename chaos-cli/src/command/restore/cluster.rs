//! `chaos restore --cluster`

use chaos::{Restorers, kube::Runs};
use chaos_core::{restore::RestorePolicy, trouble::Trouble};

use super::report;
use crate::{args::Restore, exit_code::Exit, render};

/// Reverts what runs left in a cluster, whichever machine they came from.
pub(super) async fn all(context: &str, args: &Restore, restorers: &Restorers) -> Exit {
    match restored(context, args, restorers).await {
        Ok(exit) => exit,
        Err(trouble) => {
            render::error(&trouble.message, trouble.help.as_deref());
            if trouble.is_denied() { Exit::NotPermitted } else { Exit::BadInput }
        }
    }
}

async fn restored(context: &str, args: &Restore, restorers: &Restorers) -> Result<Exit, Trouble> {
    let runs = Runs::of(context, args.namespace.as_deref()).await?;
    restorers.reach(&runs);
    let policy = RestorePolicy::default();
    let asked: Vec<Option<&str>> = if args.runs.is_empty() {
        vec![None]
    } else {
        args.runs.iter().map(|run| Some(run.as_str())).collect()
    };
    let (at, mut exit, mut any) = (format!(" --cluster {context}"), Exit::Passed, false);
    for run in asked {
        for (known, outcome) in runs.restore(run, restorers.injectors(), &policy).await? {
            any = true;
            exit = exit.max(report(&known.id, &at, &outcome, run.is_some()));
        }
    }
    if !any {
        render::print("nothing to do\n");
    }
    Ok(exit)
}
