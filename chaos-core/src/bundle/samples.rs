//! The measurements of one probe as CSV (RFC 4180): for spreadsheets, and exact to the nanosecond for judging again.
//!
//! The columns are [`COLUMNS`]. Times are decimal fractions with all their digits, so that reading gives back what was written.
//! Labels are `NAME=VALUE` with a space between them; `%`, `=`, spaces and control characters in them are percent-encoded.

use std::{io, sync::Arc, time::Duration};

use crate::{
    probe::{Observation, Outcome, Sample},
    time::Nanos,
};

/// The columns, in their order.
pub const COLUMNS: [&str; 14] = [
    "intended_s",
    "late_ms",
    "latency_ms",
    "outcome",
    "from",
    "status",
    "wait_ms",
    "dns_ms",
    "connect_ms",
    "tls_ms",
    "ttfb_ms",
    "value",
    "labels",
    "error",
];

/// Writes samples.
pub fn write(samples: &[Sample], out: impl io::Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for sample in samples {
        let seen = &sample.observation;
        csv.write_record([
            decimal(i128::from(sample.intended), 9),
            millis(Some(sample.late)),
            millis(Some(sample.latency)),
            seen.outcome.word().to_owned(),
            sample.from.to_string(),
            seen.status.map_or_else(String::new, |status| status.to_string()),
            millis(seen.wait),
            millis(seen.dns),
            millis(seen.connect),
            millis(seen.tls),
            millis(seen.ttfb),
            // With as many digits as it takes to read the same number again.
            seen.value.map_or_else(String::new, |value| value.to_string()),
            labels(&seen.labels),
            seen.error.as_deref().unwrap_or_default().to_owned(),
        ])?;
    }
    csv.flush()
}

/// Why a file of samples cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// It is not CSV, or cannot be read at all.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// Its columns are others.
    #[error("its columns are `{found}`, and not those of this version: `{}`", COLUMNS.join(","))]
    Columns {
        /// What its first line says.
        found: String,
    },
    /// A field means nothing.
    #[error("line {line}: `{text}` is not valid in the column `{column}`")]
    Field {
        /// The line, from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// What stands there.
        text: String,
    },
}

/// Reads what [`write()`] has written.
pub fn read(input: impl io::Read) -> Result<Vec<Sample>, SampleError> {
    let mut csv = csv::Reader::from_reader(input);
    let found = csv.headers()?.iter().collect::<Vec<_>>().join(",");
    if found != COLUMNS.join(",") {
        return Err(SampleError::Columns { found });
    }
    let mut names = Interned::default();
    let mut samples = Vec::new();
    for row in csv.records() {
        let row = row?;
        let line = row.position().map_or(0, csv::Position::line);
        let wrong = |column: usize| SampleError::Field {
            line,
            column: COLUMNS[column],
            text: row[column].to_owned(),
        };
        let time = |column: usize| match &row[column] {
            "" => Ok(None),
            text => duration(text).map(Some).ok_or_else(|| wrong(column)),
        };
        let needed = |column: usize| time(column)?.ok_or_else(|| wrong(column));
        let intended = undecimal(&row[0], 9).and_then(|n| Nanos::try_from(n).ok()).ok_or_else(|| wrong(0))?;
        let status = match &row[5] {
            "" => None,
            text => Some(text.parse().map_err(|_| wrong(5))?),
        };
        let value = match &row[11] {
            "" => None,
            text => Some(text.parse().map_err(|_| wrong(11))?),
        };
        samples.push(Sample {
            intended,
            late: needed(1)?,
            latency: needed(2)?,
            from: names.of(&row[4]),
            observation: Observation {
                outcome: Outcome::of_word(&row[3]).ok_or_else(|| wrong(3))?,
                wait: time(6)?,
                dns: time(7)?,
                connect: time(8)?,
                tls: time(9)?,
                ttfb: time(10)?,
                status,
                value,
                labels: unlabel(&row[12], &mut names).ok_or_else(|| wrong(12))?,
                error: (!row[13].is_empty()).then(|| names.of(&row[13])),
            },
        });
    }
    Ok(samples)
}

/// Texts of which a few come again and again.
#[derive(Default)]
struct Interned(std::collections::BTreeSet<Arc<str>>);

impl Interned {
    fn of(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.0.insert(new.clone());
        new
    }
}

fn millis(time: Option<Duration>) -> String {
    time.map_or_else(String::new, |time| decimal(i128::try_from(time.as_nanos()).unwrap_or(i128::MAX), 6))
}

fn duration(text: &str) -> Option<Duration> {
    let nanos = u128::try_from(undecimal(text, 6)?).ok()?;
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(rest).ok()?))
}

/// Writes `n` × 10^-`digits`, without the zeros at its end but with one digit at least.
fn decimal(n: i128, digits: usize) -> String {
    let sign = if n < 0 { "-" } else { "" };
    let text = format!("{:0>width$}", n.unsigned_abs(), width = digits + 1);
    let (whole, rest) = text.split_at(text.len() - digits);
    let rest = rest.trim_end_matches('0');
    format!("{sign}{whole}.{}", if rest.is_empty() { "0" } else { rest })
}

/// Reads what [`decimal`] has written.
fn undecimal(text: &str, digits: usize) -> Option<i128> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digit = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || rest.len() > digits || !digit(whole) || !digit(rest) {
        return None;
    }
    format!("{whole}{rest:0<digits$}").parse::<i128>().ok().map(|n| sign * n)
}

fn labels(labels: &[(Arc<str>, Arc<str>)]) -> String {
    let all: Vec<String> =
        labels.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    all.join(" ")
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '%' || c == '=' || c == ' ' || c.is_ascii_control() {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

fn unlabel(text: &str, names: &mut Interned) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    text.split(' ')
        .filter(|label| !label.is_empty())
        .map(|label| {
            let (name, value) = label.split_once('=')?;
            Some((names.of(&decoded(name)?), names.of(&decoded(value)?)))
        })
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        out.push(char::from(u8::from_str_radix(code, 16).ok()?));
        out.push_str(rest);
    }
    Some(out)
}
