//! Explains a `.chaos` file from a program: `cargo run -p chaos-dsl --example explain -- FILE`.

use std::path::Path;

use chaos_core::{explain::explain, run::Policy};

fn main() -> std::process::ExitCode {
    for file in std::env::args().skip(1) {
        let compiled = chaos_dsl::compile_file(Path::new(&file), &chaos_dsl::Given::default());
        if !compiled.is_ok() {
            eprintln!("{file} has errors; see the example `check`");
            return std::process::ExitCode::FAILURE;
        }
        for experiment in &compiled.experiments {
            println!("{}", explain(experiment, &Policy::default()));
        }
    }
    std::process::ExitCode::SUCCESS
}
