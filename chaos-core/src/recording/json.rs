//! JSON: an object of lists, a list of objects, or an answer of Prometheus.

use serde_json::{Map, Value};

use super::{Axis, Column, Error, Instant, Order, Recording, instant, prometheus};

const SHAPES: &str = r#"write `{"time": [0, 1], "x": [5, null]}` or `[{"time": 0, "x": 5}, {"time": 1}]`"#;

pub(super) fn read(text: &str) -> Result<Recording, Error> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        let mut mistake = Error::new(format!("this is not JSON: {message}"));
        mistake.place = Some((error.line() as u64, Some(error.column() as u64)));
        let rest = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        let near: String = rest.chars().skip(error.column().saturating_sub(3)).take(6).collect();
        if ["NaN", "Inf"].iter().any(|word| near.contains(word)) {
            mistake = mistake.help("JSON has no NaN: write `null` where nothing is known");
        }
        mistake
    })?;
    match value {
        Value::Object(object) if object.contains_key("status") && !object.contains_key("time") => {
            prometheus::read(&object)
        }
        Value::Object(object) => columns(&object),
        Value::Array(rows) => objects(&rows),
        _ => Err(Error::new("neither an object nor a list").help(SHAPES)),
    }
}

/// Reads an object of lists of the same length.
fn columns(object: &Map<String, Value>) -> Result<Recording, Error> {
    let list = |name: &str| -> Result<&Vec<Value>, Error> {
        match object.get(name) {
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(Error::new(format!("`{name}` is not a list")).help(SHAPES)),
            None => Err(Error::new(format!("there is no `{name}`")).help(SHAPES)),
        }
    };
    let times = list("time")?;
    let mut rows = Rows::default();
    for (index, time) in times.iter().enumerate() {
        rows.begin(time, &format!("time[{index}]"))?;
    }
    for name in object.keys().filter(|name| *name != "time") {
        let values = list(name)?;
        if values.len() != times.len() {
            return Err(Error::new(format!(
                "`{name}` has {} values and `time` has {}",
                values.len(),
                times.len()
            ))
            .help("write `null` where nothing is known"));
        }
        let mut column = Column::new(name);
        for (index, value) in values.iter().enumerate() {
            column.push(rows.instants[index], cell(value, &format!("{name}[{index}]"))?, None);
        }
        rows.columns.push(column);
    }
    rows.finish()
}

/// Reads a list of objects; a signal that a row does not name is unknown there.
fn objects(list: &[Value]) -> Result<Recording, Error> {
    let mut rows = Rows::default();
    for (index, row) in list.iter().enumerate() {
        let Value::Object(row) = row else {
            return Err(Error::new(format!("[{index}] is not an object")).help(SHAPES));
        };
        let Some(time) = row.get("time") else {
            return Err(Error::new(format!("[{index}] has no `time`")).help(SHAPES));
        };
        let at = rows.begin(time, &format!("[{index}].time"))?;
        for (name, value) in row.iter().filter(|(name, _)| *name != "time") {
            let value = cell(value, &format!("[{index}].{name}"))?;
            let column = match rows.columns.iter().position(|column| column.name == *name) {
                Some(found) => &mut rows.columns[found],
                None => {
                    rows.columns.push(Column::new(name));
                    rows.columns.last_mut().expect("invariant: just pushed")
                }
            };
            column.push(at, value, None);
        }
        for column in &mut rows.columns {
            if column.points.last().is_none_or(|(latest, _)| *latest < at) {
                column.push(at, None, None);
            }
        }
    }
    rows.finish()
}

#[derive(Default)]
struct Rows {
    axis: Option<Axis>,
    order: Order,
    instants: Vec<i64>,
    columns: Vec<Column>,
}

impl Rows {
    fn begin(&mut self, time: &Value, place: &str) -> Result<i64, Error> {
        let at = |error: Error| Error { message: format!("{place}: {}", error.message), ..error };
        let (instant, written) = match time {
            Value::Number(number) => {
                let seconds = number.as_f64().and_then(instant::from_float);
                let error = || Error::new(format!("{place}: the time `{number}` is too large"));
                (Instant { axis: Axis::Own, at: seconds.ok_or_else(error)? }, number.to_string())
            }
            Value::String(text) => (text.parse::<Instant>().map_err(at)?, text.clone()),
            _ => {
                return Err(
                    Error::new(format!("{place} is not a time")).help("write seconds, or a date as text")
                );
            }
        };
        if *self.axis.get_or_insert(instant.axis) != instant.axis {
            return Err(Error::new(format!(
                "{place}: the time `{written}` is of another kind than those before it"
            ))
            .help("write all times as seconds, or all as dates"));
        }
        self.order.next(instant.at, &written).map_err(at)?;
        self.instants.push(instant.at);
        Ok(instant.at)
    }

    fn finish(self) -> Result<Recording, Error> {
        let Some(axis) = self.axis else {
            return Err(Error::new("there are no rows").help(SHAPES));
        };
        let (first, last) = (self.instants.first().copied(), self.instants.last().copied());
        Ok(Recording { axis, columns: self.columns, first, last, stale_after: None })
    }
}

fn cell(value: &Value, place: &str) -> Result<Option<f64>, Error> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(f64::from(u8::from(*value)))),
        Value::Number(number) => Ok(number.as_f64()),
        // What other programs write where JSON has no number.
        Value::String(text) if matches!(text.as_str(), "NaN" | "Inf" | "+Inf" | "-Inf") => Ok(Some(f64::NAN)),
        Value::String(text) if text.parse::<f64>().is_ok() => {
            Err(Error::new(format!("{place} is text")).help(format!("write `{text}` without quotes")))
        }
        _ => Err(Error::new(format!("{place} is not a number"))
            .help("a value is a number, `true`, `false`, or `null` where nothing is known")),
    }
}
