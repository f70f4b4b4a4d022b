//! The `chaos` command from end to end: the real executable on the real kernel.
//!
//! Every test starts from a snapshot of the world and ends with the same one. What a machine or a user cannot do is
//! skipped with a line that begins with `skipped: `.

mod bad_input;
mod bad_luck;
mod changes;
mod commands;
mod container;
mod dns;
mod documentation;
mod eval;
mod forms;
mod guards;
mod hostile_echoes;
mod hostile_files;
mod hostile_network;
mod hostile_output;
mod hostile_state;
mod image;
mod judging;
mod kills;
mod machine;
mod many;
mod monitoring;
mod names;
mod old_kernel;
mod oracle;
mod outcomes;
mod probes;
mod processes;
mod reach;
mod replaced;
mod requests;
mod restored;
mod scenarios;
mod series;
mod stopping;
mod user;
mod vacuous;
mod watched;
