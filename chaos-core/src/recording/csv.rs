//! Comma-separated values: a header with `time` and the names of signals, then rows.

use std::collections::BTreeSet;

use super::{Axis, Column, Error, Instant, Order, Recording};

/// Words that stand for "nothing known" elsewhere.
const MISSING: &[&str] = &["null", "none", "na", "n/a", "-", "?"];

/// What the column of times is called elsewhere.
const TIMES: &[&str] = &["time", "times", "timestamp", "t", "ts", "date", "datetime", "seconds"];

pub(super) fn read(text: &str) -> Result<Recording, Error> {
    let mut reader = ::csv::ReaderBuilder::new().trim(::csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(malformed)?.clone();
    let time = time_column(&header, text)?;
    let mut recording = Recording {
        axis: Axis::Own,
        columns: names(&header, time)?,
        first: None,
        last: None,
        stale_after: None,
    };
    let mut order = Order::default();
    let mut row = ::csv::StringRecord::new();
    while reader.read_record(&mut row).map_err(malformed)? {
        let line = row.position().map_or(0, ::csv::Position::line);
        let written = row.get(time).unwrap_or_default();
        if written.is_empty() {
            return Err(Error::new("a row without its time").line(line).help("each row has a time"));
        }
        let instant: Instant = written.parse().map_err(|error: Error| error.line(line))?;
        if recording.first.is_none() {
            recording.axis = instant.axis;
        } else if recording.axis != instant.axis {
            return Err(Error::new(format!("the time `{written}` is of another kind than those before it"))
                .line(line)
                .help("write all times as seconds, or all as dates"));
        }
        order.next(instant.at, written).map_err(|error| error.line(line))?;
        recording.first.get_or_insert(instant.at);
        recording.last = Some(instant.at);
        let cells = row.iter().enumerate().filter(|(index, _)| *index != time);
        for ((_, cell), column) in cells.zip(&mut recording.columns) {
            let value = value(cell, &column.name).map_err(|error| error.line(line))?;
            column.push(instant.at, value, Some(line));
        }
    }
    if recording.last.is_none() {
        return Err(Error::new("the file has a header and no rows"));
    }
    Ok(recording)
}

fn time_column(header: &::csv::StringRecord, text: &str) -> Result<usize, Error> {
    if let Some(found) = header.iter().position(|name| name == "time") {
        return Ok(found);
    }
    let error = Error::new("the header has no column `time`").line(1);
    let first = text.lines().next().unwrap_or_default();
    if header.len() == 1 && first.contains([';', '\t']) {
        return Err(error.help("columns are separated by commas"));
    }
    let meant = header.iter().find(|name| TIMES.contains(&name.to_lowercase().as_str()));
    Err(error.help(match meant {
        Some(name) => format!("rename `{name}` to `time`"),
        None if first.split(',').any(|cell| cell.trim().parse::<f64>().is_ok()) => {
            "the first line names the columns: `time,latency,up`".to_owned()
        }
        None => "one column is called `time`: seconds, or dates such as `2026-01-31T12:00:00Z`".to_owned(),
    }))
}

fn names(header: &::csv::StringRecord, time: usize) -> Result<Vec<Column>, Error> {
    let mut seen = BTreeSet::from(["time"]);
    let mut columns = Vec::new();
    for (index, name) in header.iter().enumerate().filter(|(index, _)| *index != time) {
        if name.is_empty() {
            return Err(Error::new(format!("column {} has no name", index + 1)).line(1));
        }
        if !seen.insert(name) {
            return Err(Error::new(format!("two columns are called `{name}`")).line(1));
        }
        columns.push(Column::new(name));
    }
    Ok(columns)
}

/// Reads a cell: a number, `true` or `false`, or nothing.
fn value(cell: &str, column: &str) -> Result<Option<f64>, Error> {
    if cell.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = cell.parse::<f64>() {
        return Ok(Some(number));
    }
    if cell.eq_ignore_ascii_case("true") {
        return Ok(Some(1.0));
    }
    if cell.eq_ignore_ascii_case("false") {
        return Ok(Some(0.0));
    }
    let error = Error::new(format!("`{}` in column `{column}` is not a number", shortened(cell)));
    let numeric = cell.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    Err(match cell.to_lowercase() {
        lower if MISSING.contains(&lower.as_str()) => error.help("leave a cell empty where nothing is known"),
        _ if numeric => error.help("write plain numbers: seconds, shares from 0 to 1, counts"),
        _ => error.help("a cell is a number, `true`, `false`, or empty where nothing is known"),
    })
}

fn shortened(cell: &str) -> String {
    match cell.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &cell[..at]),
        None => cell.to_owned(),
    }
}

fn malformed(error: ::csv::Error) -> Error {
    match error.kind() {
        ::csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let error = Error::new(format!("a row of {len} cells where the header has {expected_len}"))
                .help("write a comma for each cell, also for those that are empty");
            match pos {
                Some(pos) => error.line(pos.line()),
                None => error,
            }
        }
        _ => Error::new(error.to_string()),
    }
}
