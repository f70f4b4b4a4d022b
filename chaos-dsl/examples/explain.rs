//! Explains a `.chaos` file from a program: `cargo run -p chaos-dsl --example explain -- FILE`.

use std::path::Path;

fn main() -> std::process::ExitCode {
    for file in std::env::args().skip(1) {
        let compiled = chaos_dsl::compile_file(Path::new(&file), &[]);
        if !compiled.is_ok() {
            eprintln!("{file} has errors; see the example `check`");
            return std::process::ExitCode::FAILURE;
        }
        for experiment in &compiled.experiments {
            println!("{}", chaos_dsl::explain(experiment));
        }
    }
    std::process::ExitCode::SUCCESS
}
