//! Differential tests: what `chaos eval` prints against other implementations.

use std::process::Command;

use chaos_tests::{oracle_or_skip, program, repository};

/// Random formulas and traces, each with a seed that is printed; `CHAOS_ORACLE_SEED` repeats one.
#[test]
fn formulas_agree_with_rtamt_and_with_their_definition() {
    let Some(python) = oracle_or_skip() else { return };
    let seed = match std::env::var("CHAOS_ORACLE_SEED") {
        Ok(seed) => seed,
        Err(_) => std::process::id().to_string(),
    };
    let done = Command::new(python)
        .arg(repository().join("tests/oracle/monitors.py"))
        .arg(program())
        .args([seed.as_str(), "60", "6"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "CHAOS_ORACLE_SEED={seed} repeats it:\n{said}\n{complaint}");
    assert!(said.contains("agree with rtamt"), "{said}");
}
