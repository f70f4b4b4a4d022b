//! The command line.

use std::path::PathBuf;

use chaos::dsl::Given;
use chaos_core::report::{FORMATS, Format};
use clap::{
    Args, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

/// Chaos experiments as code: check, plan, run and judge `.chaos` files
#[derive(Debug, Parser)]
#[command(name = "chaos", version, propagate_version = true, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Where running experiments are registered
    #[arg(long, global = true, env = "CHAOS_STATE_DIR", value_name = "DIR", value_hint = ValueHint::DirPath, hide = true)]
    pub(crate) state_dir: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Exit codes, mildest first; for several files the worst one:
  0 passed   3 inconclusive   5 not kept   1 failed   4 aborted   5 refused   2 bad input   6 not permitted
  7 not restored";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find all errors of files without touching anything
    Check(Check),
    /// Write files in the canonical layout
    Fmt(Fmt),
    /// Explain an experiment in plain sentences
    Explain(Explain),
    /// Print the least rights that experiments take in a Kubernetes cluster
    #[cfg(feature = "kube")]
    Rbac(Rbac),
    /// Write the agent's image, for pods, as an archive that container runtimes load
    #[cfg(feature = "kube")]
    Image(Image),
    /// Evaluate a formula on recorded signals
    Eval(Eval),
    /// Show what a run would touch, by which mechanism, and how it is undone; touches nothing
    Plan(Plan),
    /// Run experiments: check the steady state, inject, watch, restore, judge
    Run(Run),
    /// Judge a recorded run again without running anything
    Judge(Judge),
    /// Revert what a killed run left behind
    Restore(Restore),
    /// End a run from another terminal
    Stop(Stop),
    /// Report which faults work for this machine and user, and how to enable the others
    Doctor(Doctor),
    /// Make a lab that you can explore by hand
    #[command(subcommand)]
    Lab(Lab),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages
    Man {
        /// The folder to write them to
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Hold faults on behalf of a runner that talks over standard input and output
    #[command(hide = true)]
    Agent,
    /// Hold a lab on behalf of a runner
    #[command(hide = true)]
    LabInit {
        /// What the runner passes on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run a built-in server of a lab
    #[command(hide = true)]
    Serve {
        /// The server and its settings
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

/// Values for an experiment's parameters.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Set a parameter to another value within its range; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Let the file read from another folder than its own, with `use` and `trust`; may be given several times
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) include: Vec<PathBuf>,
}

impl Settings {
    /// Returns what the file is given.
    pub(crate) fn given(&self) -> Given {
        Given { set: self.set.clone(), include: self.include.clone() }
    }
}

/// How `plan` and `doctor` print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// How `check` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Checks {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// Annotations on the lines of a pull request, by GitHub Actions
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// What `--deny` denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Denied {
    /// Files with warnings
    Warnings,
}

/// `chaos check`
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The files, folders with `.chaos` files, or patterns; `-` is standard input
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Fail where there is a warning
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) deny: Option<Denied>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Checks,
}

/// `chaos fmt`
#[derive(Args, Debug)]
pub(crate) struct Fmt {
    /// The files, folders with `.chaos` files, or patterns; `-` formats standard input to standard output
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// Change nothing; list the files that are not in the canonical layout, and fail if there are any
    #[arg(long)]
    pub(crate) check: bool,
}

/// `chaos explain`
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `chaos rbac`
#[cfg(feature = "kube")]
#[derive(Args, Debug)]
pub(crate) struct Rbac {
    /// The files, folders with `.chaos` files, or patterns
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// The service account that the roles are bound to, and their name
    #[arg(long, value_name = "NAME", default_value = "chaos")]
    pub(crate) account: String,
    /// The namespace of the service account
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `chaos image`
#[cfg(feature = "kube")]
#[derive(Args, Debug)]
pub(crate) struct Image {
    /// The archive to write
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// A static executable of the agent; several, for `amd64` and `arm64`, make one image for both. Without it, the file
    /// `chaos-agent` beside this command
    #[arg(long, value_name = "[ARCH=]FILE")]
    pub(crate) binary: Vec<String>,
    /// What the image is called
    #[arg(long, value_name = "IMAGE", default_value = chaos::AGENT_IMAGE)]
    pub(crate) name: String,
}

/// `chaos eval`
#[derive(Args, Debug)]
#[command(after_help = EVAL_HELP)]
pub(crate) struct Eval {
    /// The formula
    pub(crate) formula: String,
    /// A recording: CSV, JSON, or Prometheus' answer to a range query; `-` is standard input. NAME names its only signal
    #[arg(long, required = true, value_name = "[NAME=]FILE", value_hint = ValueHint::FilePath)]
    pub(crate) signals: Vec<String>,
    /// The physical range of a signal: `0..100`, `0..`, `..1`; without a range, nothing bounds an unknown value
    #[arg(long, value_name = "NAME=LO..HI")]
    pub(crate) range: Vec<String>,
    /// When phases were; events such as `fault starts` and `rollback` follow from them
    #[arg(long, value_name = "NAME=START..END,…")]
    pub(crate) phases: Vec<String>,
    /// When something happened; may be given several times
    #[arg(long, value_name = "NAME=TIME")]
    pub(crate) event: Vec<String>,
    /// The time in the recording that counts as 0: seconds, or a date with its time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) zero: Option<String>,
    /// Print one JSON object, with all steps
    #[arg(long)]
    pub(crate) json: bool,
}

const EVAL_HELP: &str = "\
Examples:
  chaos eval 'always[0s,2s] (latency <= 100ms)' --signals run.csv
  chaos eval 'errors settles to <= 1% within 30s after rollback' --signals run.csv --phases fault=30s..60s,watch=60s..2m
  chaos eval 'never up for 10s' --signals up=answer.json --json

The verdict is the formula's at time 0. Exit codes: 0 passed, 1 failed, 3 inconclusive, 2 bad input.";

/// What planning and running share.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Planning {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// The seed of every random choice; without it, a new one is drawn, printed and recorded
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Allow only these mechanisms, such as `tcx` or `netem`
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) backend: Vec<String>,
    /// The image that agents in pods are started from; without it `localhost/chaos-agent:VERSION`, from the nodes' own stores
    #[arg(long, value_name = "IMAGE", env = "CHAOS_AGENT_IMAGE")]
    pub(crate) agent_image: Option<String>,
    /// Allow the programs that the file names: on the hosts of its lab, and the commands of exec probes, which run with your rights
    #[arg(long)]
    pub(crate) allow_exec: bool,
    /// Allow faults on this machine that would be on its ssh sessions, and may cut you off
    #[arg(long)]
    pub(crate) allow_ssh: bool,
}

/// `chaos plan`
#[derive(Args, Debug)]
pub(crate) struct Plan {
    /// The file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) planning: Planning,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Shape,
}

/// Reads a format of reports by its name: those of the table, each with its help.
fn report_format() -> impl TypedValueParser<Value = &'static Format> {
    let names = FORMATS.iter().map(|format| PossibleValue::new(format.name).help(format.about));
    PossibleValuesParser::new(names).map(|name| {
        Format::named(&name).unwrap_or_else(|| unreachable!("invariant: every name is one of the table"))
    })
}

/// A file that a report of all runs is written to.
#[derive(Clone, Debug)]
pub(crate) struct ReportFile {
    pub(crate) format: &'static Format,
    pub(crate) file: PathBuf,
}

/// Reads `FORMAT=FILE`.
fn report_file(text: &str) -> Result<ReportFile, String> {
    let (name, file) = text.split_once('=').ok_or("write FORMAT=FILE, such as `junit=out/chaos.xml`")?;
    let format = Format::named(name).ok_or_else(|| {
        let known: Vec<_> = FORMATS.iter().map(|format| format!("`{}`", format.name)).collect();
        format!("there is no format `{name}`; there are {}", known.join(", "))
    })?;
    match file {
        "" => Err(format!("`{text}` names no file")),
        "-" => Err(format!("standard output has one document: write `--format {name}`")),
        file => Ok(ReportFile { format, file: file.into() }),
    }
}

/// Which experiments of the files are run.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Only experiments that have one of these tags
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    pub(crate) tags: Vec<String>,
    /// Only experiments with this text in their title or in the name of their file
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
}

/// `chaos run`
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The files, folders with `.chaos` files, or patterns; their experiments are run one after another
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) planning: Planning,
    /// Continue the search in this folder, where it was stopped or killed
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) resume: Option<PathBuf>,
    /// The folder in which each run gets its own folder
    #[arg(long, value_name = "DIR", default_value = ".chaos/runs", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    /// What to print to standard output
    #[arg(long, value_parser = report_format(), default_value = FORMATS[0].name)]
    pub(crate) format: &'static Format,
    /// Write a report of all runs to a file as well, such as `junit=out/chaos.xml`; may be given several times
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report_file)]
    pub(crate) report: Vec<ReportFile>,
    /// Run nothing more behind the first experiment that does not pass
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `chaos judge`
#[derive(Args, Debug)]
pub(crate) struct Judge {
    /// The run: its folder, its id, or `latest`
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) run: String,
    /// Use the expectations and the confidence of this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) with: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// The folder to look up an id or `latest` in
    #[arg(long, value_name = "DIR", default_value = ".chaos/runs", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    /// What to print to standard output
    #[arg(long, value_parser = report_format(), default_value = FORMATS[0].name)]
    pub(crate) format: &'static Format,
}

/// `chaos restore`
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// Runs, or journals; without any, everything that is registered on this machine
    #[arg(value_name = "RUN|JOURNAL")]
    pub(crate) runs: Vec<String>,
    /// Take a run off the list although it cannot be restored; who did so, and what was left, is recorded
    #[arg(long, requires = "runs")]
    pub(crate) forget: bool,
    /// Restore what runs left in the cluster of this context of the kubeconfig, whichever machine they came from
    #[cfg(feature = "kube")]
    #[arg(long, value_name = "CONTEXT", conflicts_with = "forget")]
    pub(crate) cluster: Option<String>,
    /// The image that agents in pods are started from, whatever the runs there used
    #[cfg(feature = "kube")]
    #[arg(long, value_name = "IMAGE", env = "CHAOS_AGENT_IMAGE", default_value = chaos::AGENT_IMAGE)]
    pub(crate) agent_image: String,
    /// Only in this namespace; without it in all of them
    #[cfg(feature = "kube")]
    #[arg(long, value_name = "NAME", requires = "cluster")]
    pub(crate) namespace: Option<String>,
}

/// `chaos stop`
#[derive(Args, Debug)]
pub(crate) struct Stop {
    /// The run, as `chaos run` prints it
    #[arg(required_unless_present_any = ["all", "release"], conflicts_with = "all")]
    pub(crate) run: Option<String>,
    /// Stop every run on this machine and let no new one start until `--release`
    #[arg(long)]
    pub(crate) all: bool,
    /// Let runs start again
    #[arg(long, conflicts_with_all = ["all", "run"])]
    pub(crate) release: bool,
    /// Stop runs in the cluster of this context of the kubeconfig, whichever machine they came from
    #[cfg(feature = "kube")]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) cluster: Option<String>,
    /// Only in this namespace; without it in all of them
    #[cfg(feature = "kube")]
    #[arg(long, value_name = "NAME", requires = "cluster", conflicts_with_all = ["all", "release"])]
    pub(crate) namespace: Option<String>,
}

/// `chaos doctor`
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Look at the cluster of this context of the kubeconfig, not at this machine
    #[cfg(feature = "kube")]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) cluster: Option<String>,
    /// The namespace in which experiments are to run there
    #[cfg(feature = "kube")]
    #[arg(long, value_name = "NAME", default_value = "default", requires = "cluster")]
    pub(crate) namespace: String,
    /// The image that agents in pods are to be started from
    #[cfg(feature = "kube")]
    #[arg(long, value_name = "IMAGE", env = "CHAOS_AGENT_IMAGE", default_value = chaos::AGENT_IMAGE)]
    pub(crate) agent_image: String,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Shape,
}

/// `chaos lab`
#[derive(Debug, Subcommand)]
pub(crate) enum Lab {
    /// Make the lab of a file and keep it until Ctrl-C
    Up {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        #[command(flatten)]
        settings: Settings,
        /// Allow the programs that the file names
        #[arg(long)]
        allow_exec: bool,
    },
    /// Open a shell, or run a command, on a host of a lab that is up
    Shell {
        /// The host
        host: String,
        /// The command; without one, your shell
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}
