//! The answer of Prometheus to a range query, as `/api/v1/query_range` gives it.
//!
//! See <https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries>. Values stand at the steps of the query;
//! where a series has none, there was none. So a value holds for 2.5 steps at most, as that of any other polled metric.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Axis, Column, Error, Order, Recording, instant};
use crate::time::Nanos;

/// In nanoseconds.
const MILLISECOND: Nanos = 1_000_000;

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: Map<String, Value>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

pub(super) fn read(answer: &Map<String, Value>) -> Result<Recording, Error> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let status = text(answer.get("status"));
    if status != "success" {
        let why = text(answer.get("error"));
        return Err(Error::new(format!("Prometheus answered `{status}`: {why}"))
            .help("ask again: an answer without data shows nothing"));
    }
    let data = answer.get("data").ok_or_else(|| Error::new("the answer has no `data`"))?;
    let kind = text(data.get("resultType"));
    if kind != "matrix" {
        return Err(Error::new(format!("the answer is a `{kind}`, not a range of values"))
            .help("ask `/api/v1/query_range` with `start`, `end` and `step`"));
    }
    let result = data.get("result").cloned().unwrap_or_default();
    let all: Vec<Series> = serde_json::from_value(result)
        .map_err(|error| Error::new(format!("the answer is not as Prometheus writes it: {error}")))?;
    let mut columns = Vec::new();
    let mut step: Option<Nanos> = None;
    for series in &all {
        let mut column = Column::new(name(&series.metric));
        let mut order = Order::default();
        for (seconds, value) in &series.values {
            // The server counts whole milliseconds, which a binary fraction of this many seconds only comes near to.
            let at = instant::from_float(*seconds)
                .map(|at| (at + MILLISECOND / 2).div_euclid(MILLISECOND) * MILLISECOND)
                .ok_or_else(|| Error::new(format!("the time `{seconds}` is too large")))?;
            let place =
                |error: Error| Error { message: format!("`{}`: {}", column.name, error.message), ..error };
            order.next(at, &seconds.to_string()).map_err(place)?;
            let number: f64 = value.parse().map_err(|_| {
                Error::new(format!("`{}` is `{value}` at {seconds}, which is not a number", column.name))
            })?;
            if let Some((before, _)) = column.points.last() {
                let length = at - before;
                step = Some(step.map_or(length, |step| step.min(length)));
            }
            column.push(at, Some(number), None);
        }
        columns.push(column);
    }
    short_names(&mut columns, &all);
    let points = || columns.iter().flat_map(|column| &column.points).map(|(at, _)| *at);
    Ok(Recording {
        axis: Axis::Calendar,
        first: points().min(),
        last: points().max(),
        // Two and a half steps; one that is the only one has no next to wait for.
        stale_after: step.map(|step| step.saturating_mul(5) / 2),
        columns,
    })
}

/// Writes labels as Prometheus does: `up{instance="a:80", job="api"}`.
fn name(metric: &Map<String, Value>) -> String {
    let mut labels: Vec<String> = metric
        .iter()
        .filter(|(label, _)| *label != "__name__")
        .map(|(label, value)| format!("{label}=\"{}\"", value.as_str().unwrap_or_default()))
        .collect();
    labels.sort();
    let name = metric.get("__name__").and_then(Value::as_str).unwrap_or_default();
    match (name, labels.is_empty()) {
        ("", true) => "value".to_owned(),
        (name, true) => name.to_owned(),
        (name, false) => format!("{name}{{{}}}", labels.join(", ")),
    }
}

/// Drops the labels of a name that only one series has.
fn short_names(columns: &mut [Column], all: &[Series]) {
    let plain = |series: &Series| series.metric.get("__name__").and_then(Value::as_str).map(str::to_owned);
    let names: Vec<Option<String>> = all.iter().map(plain).collect();
    for (column, name) in columns.iter_mut().zip(&names) {
        if let Some(name) = name
            && names.iter().filter(|other| *other == &Some(name.clone())).count() == 1
        {
            column.name.clone_from(name);
        }
    }
}
