//! `chaos stop --cluster`

use chaos::kube::{Run, Runs};
use chaos_core::trouble::Trouble;

use crate::{args::Stop, command, exit_code::Exit, person, render};

/// Ends runs in a cluster, from whichever machine.
pub(super) fn run(context: &str, args: &Stop) -> Exit {
    let runtime = match command::runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    match runtime.block_on(stopped(context, args)) {
        Ok(text) => {
            render::print(&text);
            Exit::Passed
        }
        Err(trouble) => {
            render::error(&trouble.message, trouble.help.as_deref());
            if trouble.is_denied() { Exit::NotPermitted } else { Exit::BadInput }
        }
    }
}

async fn stopped(context: &str, args: &Stop) -> Result<String, Trouble> {
    let runs = Runs::of(context, args.namespace.as_deref()).await?;
    if args.release {
        let blocked = runs.release().await?;
        return Ok(if blocked { "new runs may start again\n" } else { "nothing was blocked\n" }.to_owned());
    }
    let by = person::at_machine();
    if let Some(run) = &args.run {
        return Ok(asked(&runs.stop(run, &by).await?));
    }
    let all = runs.stop_all(&by).await?;
    let mut text: String = all.iter().map(asked).collect();
    if all.is_empty() {
        text.push_str("no run is known\n");
    }
    text.push_str(&format!("new runs are blocked until `chaos stop --release --cluster {context}`\n"));
    Ok(text)
}

fn asked(run: &Run) -> String {
    let what = run.header.as_ref().map(|header| {
        let owner = header.owner.as_ref().map(|owner| format!(" of {owner}")).unwrap_or_default();
        format!(" (\"{}\"{owner})", header.experiment)
    });
    format!("asked `{}`{} to put everything back and end\n", run.id, what.unwrap_or_default())
}
