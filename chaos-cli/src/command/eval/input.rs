//! What the command line of `chaos eval` names: recordings, ranges, phases and events.

use std::io::Read;

use chaos_core::recording::{self, Instant, Recording};
use chaos_core::trouble::Trouble;
use chaos_core::verdict::signal::Signal;
use chaos_core::verdict::{Interval, steps::shifted};
use chaos_dsl::eval::{Known, Setting};

use crate::{args::Eval, exit_code::Exit, render};

/// The largest recording that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// A recording with the file it comes from.
pub(super) struct Source {
    file: String,
    recording: Recording,
}

/// Reads all recordings and puts them on one axis.
pub(super) fn recordings(files: &[String], zero: Option<&str>) -> Result<Vec<Source>, Exit> {
    let mut sources: Vec<Source> = Vec::new();
    for argument in files {
        let (name, file) = named(argument);
        let mut recording = recording::read(&bytes(&file)?).map_err(|error| at(&file, &error))?;
        if let Some(name) = name {
            rename(&mut recording, &name);
        }
        for column in &recording.columns {
            if let Some(remark) = column.remark() {
                render::say(&format!("note: {file}: {remark}\n"));
            }
            let before = sources.iter().find(|source| source.recording.column(&column.name).is_some());
            if let Some(before) = before {
                render::error(
                    &format!("`{}` is in {} and in {file}", column.name, before.file),
                    Some("a signal comes from one file: `--signals NAME=FILE` gives it another name"),
                );
                return Err(Exit::BadInput);
            }
        }
        sources.push(Source { file, recording });
    }
    let zero = match zero {
        Some(text) => Some(text.parse::<Instant>().map_err(|error| at("--zero", &error))?),
        None => None,
    };
    let mut recordings: Vec<Recording> = sources.iter().map(|source| source.recording.clone()).collect();
    recording::align(&mut recordings, zero).map_err(|error| at("--zero", &error))?;
    for (source, recording) in sources.iter_mut().zip(recordings) {
        source.recording = recording;
    }
    Ok(sources)
}

/// Splits `NAME=FILE`; a file whose own name has a `=` is written with a `/` before it.
fn named(argument: &str) -> (Option<String>, String) {
    match argument.split_once('=') {
        Some((name, file)) if !name.contains('/') && !name.is_empty() => {
            (Some(name.to_owned()), file.to_owned())
        }
        _ => (None, argument.to_owned()),
    }
}

/// Gives a recording's only signal the name, and several of them the name in front of their labels.
fn rename(recording: &mut Recording, name: &str) {
    if let [only] = recording.columns.as_mut_slice() {
        name.clone_into(&mut only.name);
        return;
    }
    for column in &mut recording.columns {
        column.name = match column.name.find('{') {
            Some(labels) => format!("{name}{}", &column.name[labels..]),
            None => format!("{name}.{}", column.name),
        };
    }
    // An answer without any series: the signal is known by name, and nothing else of it.
    if recording.columns.is_empty() {
        recording.add_unknown(name);
    }
}

fn bytes(file: &str) -> Result<Vec<u8>, Exit> {
    let mut out = Vec::new();
    let read = if file == "-" {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut out)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(MAX_BYTES + 1).read_to_end(&mut out))
    };
    if let Err(error) = read {
        render::error(&format!("cannot read {file}: {error}"), Some("`--signals` names a file, or `-`"));
        return Err(Exit::BadInput);
    }
    if out.len() as u64 > MAX_BYTES {
        render::error(
            &format!("{file} is larger than {MAX_BYTES} bytes"),
            Some("record fewer signals in one file"),
        );
        return Err(Exit::BadInput);
    }
    Ok(out)
}

fn at(file: &str, error: &recording::Error) -> Exit {
    let place = match error.place {
        Some((line, Some(column))) => format!("{file}:{line}:{column}"),
        Some((line, None)) => format!("{file}:{line}"),
        None => file.to_owned(),
    };
    render::error(&format!("{place}: {error}"), error.help.as_deref());
    Exit::BadInput
}

/// Reads `NAME=LO..HI`; an end that is left out is open.
pub(super) fn ranges(arguments: &[String], sources: &[Source]) -> Result<Vec<(String, Interval)>, Exit> {
    let mut ranges = Vec::new();
    for argument in arguments {
        let shape = || {
            render::error(
                &format!("`{argument}` is not a range of a signal"),
                Some("write `--range latency=0..10`; an end may be left out: `0..`"),
            );
            Exit::BadInput
        };
        let (name, range) = argument.rsplit_once('=').ok_or_else(shape)?;
        let (lo, hi) = range.split_once("..").ok_or_else(shape)?;
        let end = |text: &str, open: f64| match text.trim() {
            "" => Some(open),
            text => text.parse::<f64>().ok().filter(|end| !end.is_nan()),
        };
        let lo = end(lo, f64::NEG_INFINITY).ok_or_else(shape)?;
        let hi = end(hi, f64::INFINITY).ok_or_else(shape)?;
        if lo > hi {
            render::error(&format!("the range of `{name}` ends before it starts"), Some("write `LO..HI`"));
            return Err(Exit::BadInput);
        }
        if !sources.iter().any(|source| source.recording.column(name).is_some()) {
            render::error(&format!("`--range` names `{name}`, which was not recorded"), None);
            return Err(Exit::BadInput);
        }
        ranges.push((name.to_owned(), Interval { lo, hi }));
    }
    Ok(ranges)
}

/// Gathers what a formula may speak of.
pub(super) fn setting(args: &Eval, sources: &[Source]) -> Result<Setting, Exit> {
    let columns = sources.iter().flat_map(|source| &source.recording.columns);
    let known = columns.map(|column| Known { name: column.name.clone(), number: column.first_number });
    let last = sources.iter().filter_map(|source| source.recording.last).max();
    let mut setting = Setting::new(known, last.map_or(0, |last| shifted(last, 1)));
    let mistaken = |trouble: Trouble| {
        render::error(&trouble.message, trouble.help.as_deref());
        Exit::BadInput
    };
    args.phases.iter().try_for_each(|text| setting.add_phases(text)).map_err(mistaken)?;
    args.event.iter().try_for_each(|text| setting.add_event(text)).map_err(mistaken)?;
    Ok(setting)
}

/// Returns a signal that a formula speaks of.
pub(super) fn signal(sources: &[Source], name: &str, range: Interval) -> Result<Signal, Exit> {
    let found = sources.iter().find_map(|source| Some((source, source.recording.column(name)?)));
    let (source, column) = found.expect("invariant: a compiled formula speaks of recorded signals only");
    source.recording.signal(column, range).map_err(|error| at(&source.file, &error))
}
