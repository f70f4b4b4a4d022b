//! Checks a `.chaos` file from a program: `cargo run -p chaos-dsl --example check -- FILE`.

use std::path::Path;

fn main() -> std::process::ExitCode {
    let mut good = true;
    for file in std::env::args().skip(1) {
        let compiled = chaos_dsl::compile_file(Path::new(&file), &chaos_dsl::Given::default());
        for diagnostic in &compiled.diagnostics {
            let mut text = String::new();
            let report = chaos_dsl::diagnostic::Report::new(diagnostic, &compiled.sources);
            if miette::NarratableReportHandler::new().render_report(&mut text, &report).is_ok() {
                print!("{text}");
            }
        }
        for experiment in &compiled.experiments {
            println!("{}: {} expectations", experiment.name, experiment.expectations.len());
        }
        good &= compiled.is_ok();
    }
    if good { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
