//! What makes an answer a success.

use chaos_core::{model::probe::Condition, trouble::Trouble};
use http::header::{HeaderMap, HeaderName};

use crate::failure::{Failure, cannot};

const DAY: f64 = 86_400.0;

/// What a condition can look at.
pub(crate) enum Answer<'a> {
    /// An HTTP answer; the body is there as far as it was kept.
    Http { status: u16, headers: &'a HeaderMap, body: &'a [u8] },
    /// The values of DNS records, each in all its forms.
    Dns { values: &'a [String] },
    /// How many seconds the server's certificate is still valid.
    Tls { left: Option<f64> },
    /// The exit code of a command, or `None` if a signal ended it, and what it printed.
    Exec { exit: Option<i32>, output: &'a str },
}

/// What kind of probe is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Dns,
    Tls,
    Exec,
}

/// Fails on conditions that this kind of probe can never meet.
pub(crate) fn check(condition: &Condition, of: Kind) -> Result<(), Trouble> {
    let needs = |what: &str, kind: &str| {
        Err(cannot(
            format!("`{what}` needs {kind} probe"),
            format!("judge {kind} probe by it, or leave it out"),
        ))
    };
    match condition {
        Condition::Status(_) if of != Kind::Http => needs("status", "an http"),
        Condition::BodyContains(_) if of != Kind::Http => needs("body contains", "an http"),
        Condition::Header(..) if of != Kind::Http => needs("header", "an http"),
        Condition::Header(name, _) if HeaderName::from_bytes(name.as_bytes()).is_err() => Err(cannot(
            format!("`{name}` is not the name of a header field"),
            "a header field's name has letters, digits and `-`",
        )),
        Condition::Answer(_) if of != Kind::Dns => needs("answer", "a dns"),
        Condition::DaysLeft(_) if of != Kind::Tls => needs("days_left", "a tls"),
        Condition::Exit(_) if of != Kind::Exec => needs("exit", "an exec"),
        Condition::OutputContains(_) if of != Kind::Exec => needs("output contains", "an exec"),
        Condition::All(parts) | Condition::Any(parts) => parts.iter().try_for_each(|part| check(part, of)),
        Condition::Not(part) => check(part, of),
        Condition::Status(_)
        | Condition::BodyContains(_)
        | Condition::Header(..)
        | Condition::Answer(_)
        | Condition::DaysLeft(_)
        | Condition::Exit(_)
        | Condition::OutputContains(_) => Ok(()),
    }
}

/// Returns whether the body must be kept to judge.
pub(crate) fn reads_body(condition: &Condition) -> bool {
    match condition {
        Condition::BodyContains(_) => true,
        Condition::All(parts) | Condition::Any(parts) => parts.iter().any(reads_body),
        Condition::Not(part) => reads_body(part),
        Condition::Status(_)
        | Condition::Header(..)
        | Condition::Answer(_)
        | Condition::DaysLeft(_)
        | Condition::Exit(_)
        | Condition::OutputContains(_) => false,
    }
}

/// Judges an answer; the error says what did not hold.
pub(crate) fn judge(condition: &Condition, answer: &Answer<'_>) -> Result<(), Failure> {
    match condition {
        Condition::All(parts) => parts.iter().try_for_each(|part| judge(part, answer)),
        Condition::Any(parts) => {
            let mut first = None;
            for part in parts {
                match judge(part, answer) {
                    Ok(()) => return Ok(()),
                    Err(failure) => first = first.or(Some(failure)),
                }
            }
            first.map_or(Ok(()), Err)
        }
        leaf if holds(leaf, answer) => Ok(()),
        leaf @ (Condition::Status(_)
        | Condition::BodyContains(_)
        | Condition::Header(..)
        | Condition::Answer(_)
        | Condition::DaysLeft(_)
        | Condition::Exit(_)
        | Condition::OutputContains(_)
        | Condition::Not(_)) => Err(Failure::failed(describe(leaf, answer, true))),
    }
}

fn holds(condition: &Condition, answer: &Answer<'_>) -> bool {
    match (condition, answer) {
        (Condition::Status(ranges), Answer::Http { status, .. }) => {
            ranges.iter().any(|(low, high)| (low..=high).contains(&status))
        }
        (Condition::BodyContains(text), Answer::Http { body, .. }) => contains(body, text.as_bytes()),
        (Condition::Header(name, value), Answer::Http { headers, .. }) => {
            headers.get_all(name.as_str()).iter().any(|found| found.as_bytes() == value.as_bytes())
        }
        (Condition::Answer(text), Answer::Dns { values }) => {
            let text = text.trim_end_matches('.');
            values.iter().any(|value| value.eq_ignore_ascii_case(text))
        }
        (Condition::DaysLeft(least), Answer::Tls { left }) => left.is_some_and(|left| left >= *least),
        (Condition::Exit(code), Answer::Exec { exit, .. }) => *exit == Some(*code),
        (Condition::OutputContains(text), Answer::Exec { output, .. }) => output.contains(text),
        (Condition::All(parts), _) => parts.iter().all(|part| holds(part, answer)),
        (Condition::Any(parts), _) => parts.is_empty() || parts.iter().any(|part| holds(part, answer)),
        (Condition::Not(part), _) => !holds(part, answer),
        _ => false,
    }
}

/// Says in a few words what was seen instead; `wanted` is false under a `not`.
fn describe(condition: &Condition, answer: &Answer<'_>, wanted: bool) -> String {
    let word = |yes: &str, no: &str| (if wanted { no } else { yes }).to_owned();
    match (condition, answer) {
        (Condition::Status(_), Answer::Http { status, .. }) => format!("status {status}"),
        (Condition::BodyContains(text), _) => {
            format!("body {} `{text}`", word("contains", "does not contain"))
        }
        (Condition::Header(name, value), _) => format!("header `{name}` {} `{value}`", word("is", "is not")),
        (Condition::Answer(text), _) => format!("{} `{text}`", word("answer", "no answer")),
        (Condition::DaysLeft(_), Answer::Tls { left }) => {
            // Whole days, so that the text does not change from one measurement to the next.
            let days = left
                .map_or_else(|| "an unknown number of".to_owned(), |left| (left / DAY).floor().to_string());
            format!("certificate valid for {days} days")
        }
        (Condition::Exit(_), Answer::Exec { exit: Some(code), .. }) => format!("exit {code}"),
        (Condition::Exit(_), _) => "ended by a signal".to_owned(),
        (Condition::OutputContains(text), _) => {
            format!("output {} `{text}`", word("contains", "does not contain"))
        }
        (Condition::Not(part), _) => describe(part, answer, !wanted),
        (Condition::All(parts) | Condition::Any(parts), _) if parts.len() == 1 => {
            describe(&parts[0], answer, wanted)
        }
        _ => "condition not met".to_owned(),
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Condition::{All, Any, BodyContains, Header, Not, Status};

    fn judged(condition: &Condition) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert("x-served-by", "api-1".parse().unwrap());
        judge(condition, &Answer::Http { status: 503, headers: &headers, body: b"try again later" })
    }

    #[test]
    fn conditions_say_what_did_not_hold() {
        let header = |value: &str| Header("X-Served-By".into(), value.into());
        let failed = |text: &'static str| Err(Failure::failed(text));
        assert_eq!(judged(&Status(vec![(200, 299), (500, 599)])), Ok(()));
        assert_eq!(judged(&Status(vec![(200, 399)])), failed("status 503"));
        assert_eq!(judged(&BodyContains("again".into())), Ok(()));
        assert_eq!(judged(&BodyContains("never".into())), failed("body does not contain `never`"));
        assert_eq!(judged(&header("api-1")), Ok(()));
        assert_eq!(judged(&header("api-2")), failed("header `X-Served-By` is not `api-2`"));
        assert_eq!(judged(&Not(Box::new(header("api-1")))), failed("header `X-Served-By` is `api-1`"));
        assert_eq!(judged(&Not(Box::new(Status(vec![(503, 503)])))), failed("status 503"));
        assert_eq!(judged(&All(vec![header("api-1"), Status(vec![(200, 200)])])), failed("status 503"));
        assert_eq!(judged(&Any(vec![header("api-1"), Status(vec![(200, 200)])])), Ok(()));
        assert_eq!(judged(&Any(vec![Status(vec![(200, 200)]), header("x")])), failed("status 503"));
    }

    #[test]
    fn dns_answers_are_compared_without_case_and_final_dot() {
        let answer = Answer::Dns { values: &["mail.example".into(), "10 mail.example".into()] };
        assert_eq!(judge(&Condition::Answer("MAIL.example.".into()), &answer), Ok(()));
        assert_eq!(
            judge(&Condition::Answer("other".into()), &answer),
            Err(Failure::failed("no answer `other`"))
        );
    }

    #[test]
    fn conditions_of_another_kind_are_refused_when_opened() {
        assert_eq!(check(&Status(vec![]), Kind::Dns).unwrap_err().message, "`status` needs an http probe");
        let nested = Not(Box::new(All(vec![Condition::Answer("a".into())])));
        assert_eq!(check(&nested, Kind::Http).unwrap_err().message, "`answer` needs a dns probe");
        assert!(check(&BodyContains("x".into()), Kind::Http).is_ok());
    }
}
