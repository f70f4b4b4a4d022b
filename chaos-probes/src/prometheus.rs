//! Prometheus: the one number that a query gives.
//!
//! An instant query is evaluated at the server's own present (<https://prometheus.io/docs/prometheus/latest/querying/api/>),
//! so that no clock is compared. A stretch of time is asked for as a subquery of an instant query for the same reason:
//! `query_range` wants its ends as absolute times.

use async_trait::async_trait;
use chaos_core::{
    model::{
        Probe,
        probe::{Scale, Take, Taken},
    },
    place::Place,
    probe::{Observation, Prober},
    trouble::Trouble,
};
use serde::Deserialize;

use crate::{
    api::{Api, unread},
    failure::{Failure, Words, cannot},
    secrets::Secrets,
    socket::Sockets,
};

/// Reads one number.
pub(crate) struct PrometheusProber {
    api: Api,
    query: String,
    scale: Scale,
    default: Option<f64>,
    words: Words,
}

/// The parts of a probe's kind: query, URL, what is taken, scale and default.
pub(crate) type Ask<'a> = (&'a str, &'a str, Option<Take>, Scale, Option<f64>);

impl PrometheusProber {
    /// Prepares a query from a place.
    pub(crate) fn open(
        probe: &Probe,
        (query, url, take, scale, default): Ask<'_>,
        place: &Place,
        sockets: Sockets,
        secrets: &Secrets,
    ) -> Result<PrometheusProber, Trouble> {
        if query.trim().is_empty() {
            return Err(cannot("the query is empty", "write it in PromQL: `sum(queue_depth)`"));
        }
        Ok(PrometheusProber {
            api: Api::open(probe, url, place, sockets, secrets)?,
            query: take.map_or_else(|| query.to_owned(), |take| over_time(query, take)),
            scale,
            default,
            words: Words::default(),
        })
    }

    async fn measure(&self, seen: &mut Observation) -> Result<(), Failure> {
        let answer: Answer = self.api.ask("/api/v1/query", &[("query", &self.query)], seen).await?;
        let data = match answer {
            Answer::Success { data } => data,
            Answer::Error { kind, error } => return Err(unread(format!("{kind}: {error}"))),
        };
        let number = match data.number()? {
            Some(number) => number,
            None => self.default.ok_or_else(|| unread("no series matches the query"))?,
        };
        if number.is_nan() {
            return Err(unread("the query gives NaN"));
        }
        seen.value = Some(number * self.scale.factor);
        Ok(())
    }
}

#[async_trait]
impl Prober for PrometheusProber {
    async fn once(&self) -> Observation {
        let mut seen = Observation::ok();
        if let Err(failure) = self.measure(&mut seen).await {
            failure.mark(&mut seen, &self.words);
        }
        seen
    }
}

/// Returns the query of one number over a stretch: a subquery, so that any expression will do.
fn over_time(query: &str, take: Take) -> String {
    let function = match take.which {
        Taken::Min => "min",
        Taken::Max => "max",
        Taken::Mean => "avg",
    };
    let ms = |duration: std::time::Duration| duration.as_millis().max(1);
    format!("{function}_over_time(({query})[{}ms:{}ms])", ms(take.over), ms(take.step))
}

/// What the server says.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(crate) enum Answer<T = Data> {
    /// It could answer.
    Success {
        /// The answer.
        data: T,
    },
    /// It could not.
    Error {
        /// The kind of error, such as `bad_data`.
        #[serde(rename = "errorType")]
        kind: String,
        /// What it says about it.
        error: String,
    },
}

/// The result of a query.
#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(crate) enum Data {
    Scalar(Point),
    Vector(Vec<Series>),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

/// A time and a value, which JSON writes as text because it knows no `NaN` and `+Inf`.
#[derive(Deserialize)]
pub(crate) struct Point(#[expect(dead_code, reason = "the time of the evaluation")] f64, String);

#[derive(Deserialize)]
pub(crate) struct Series {
    value: Option<Point>,
}

impl Data {
    fn number(&self) -> Result<Option<f64>, Failure> {
        let read = |point: &Point| {
            let text = point.1.trim_start_matches('+');
            text.parse::<f64>().map_err(|_| unread(format!("`{}` is not a number", point.1)))
        };
        match self {
            Data::Scalar(point) => read(point).map(Some),
            Data::Vector(series) => match series.as_slice() {
                [] => Ok(None),
                [Series { value: Some(point) }] => read(point).map(Some),
                [_] => Err(unread("the query gives a histogram: take a quantile of it")),
                many => Err(unread(format!(
                    "the query gives {} series, and one number is wanted: aggregate them, as in `sum(…)`",
                    many.len()
                ))),
            },
            Data::Matrix(_) => {
                Err(unread("the query gives a range: take one number of it, as in `max_over_time(…)`"))
            }
            Data::String(_) => Err(unread("the query gives text, and a number is wanted")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(json: &str) -> Result<Option<f64>, Failure> {
        match serde_json::from_str(json).unwrap() {
            Answer::Success { data } => Data::number(&data),
            Answer::Error { kind, error } => Err(unread(format!("{kind}: {error}"))),
        }
    }

    #[test]
    fn answers_are_read() {
        let vector = |series: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#)
        };
        let one = r#"{"metric":{"job":"a"},"value":[1435781430.781,"1.5"]}"#;
        assert_eq!(read(&vector(one)), Ok(Some(1.5)));
        assert_eq!(read(&vector("")), Ok(None));
        assert_eq!(read(&vector(r#"{"metric":{},"value":[1.0,"+Inf"]}"#)), Ok(Some(f64::INFINITY)));
        assert!(read(&vector(r#"{"metric":{},"value":[1,"NaN"]}"#)).unwrap().unwrap().is_nan());
        assert!(
            matches!(read(&vector(&format!("{one},{one}"))), Err(Failure::NotRun(text)) if text.contains("2 series"))
        );
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1435781430.781,"-4"]},"warnings":["x"]}"#;
        assert_eq!(read(scalar), Ok(Some(-4.0)));
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
        assert!(matches!(read(matrix), Err(Failure::NotRun(text)) if text.contains("max_over_time")));
        let error = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert_eq!(read(error), Err(unread("bad_data: parse error")));
    }

    #[test]
    fn a_stretch_is_a_subquery() {
        let take = Take { which: Taken::Mean, over: Duration::from_secs(300), step: Duration::from_secs(15) };
        assert_eq!(over_time("sum(x) / 2", take), "avg_over_time((sum(x) / 2)[300000ms:15000ms])");
    }
}
