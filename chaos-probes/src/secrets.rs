//! The secrets of probes: where they come from, and how text of others is freed of them.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD};

/// What stands in place of a secret.
const CONCEALED: &str = "***";
/// The fewest bytes of a secret that are looked for: fewer stand in ordinary text as well, which would be torn up.
const FEWEST: usize = 4;

/// Finds the value of an environment variable.
type Find = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Finds the values of secrets by the names of their environment variables, and remembers the values that it found: a server may
/// send back what it was sent.
#[derive(Clone)]
pub(crate) struct Secrets {
    find: Arc<Find>,
    /// Every form of every secret that was found, the longest first.
    known: Arc<RwLock<Vec<String>>>,
}

impl fmt::Debug for Secrets {
    /// Leaves out what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// Takes what finds a value by the name of its variable.
    pub(crate) fn new(find: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Secrets {
        Secrets { find: Arc::new(find), known: Arc::default() }
    }

    /// Finds a secret, and conceals it from now on.
    pub(crate) fn find(&self, variable: &str) -> Option<String> {
        let secret = (self.find)(variable)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut all: BTreeSet<String> = known.drain(..).collect();
        all.extend(forms(&secret));
        known.extend(all);
        // Of two forms that begin alike the longer one, so that nothing of it is left.
        known.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Some(secret)
    }

    /// Returns a text without the secrets that were found; none where it holds none of them.
    pub(crate) fn conceal(&self, text: &str) -> Option<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let shortest = known.last()?.len();
        if text.len() < shortest || !known.iter().any(|form| text.contains(form.as_str())) {
            return None;
        }
        Some(known.iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), CONCEALED)))
    }
}

/// Returns the forms in which a secret may come back.
///
/// A value such as `Bearer TOKEN` has its token, and `Basic …` (RFC 7617) the user and password that are in it, and the password
/// alone. Each also as JSON, percent-encoded, and in base64, also as a part of a longer text.
fn forms(secret: &str) -> BTreeSet<String> {
    let mut plain = vec![secret.trim().to_owned()];
    if let Some((scheme, token)) = secret.trim().split_once(' ') {
        plain.push(token.trim().to_owned());
        let decoded =
            BASE64.decode(token.trim().as_bytes()).ok().and_then(|pair| String::from_utf8(pair).ok());
        if let Some(pair) = decoded.filter(|_| scheme.eq_ignore_ascii_case("basic")) {
            plain.extend(pair.split_once(':').map(|(_, password)| password.to_owned()));
            plain.push(pair);
        }
    }
    plain.retain(|form| form.len() >= FEWEST);
    let mut all = BTreeSet::new();
    for form in plain {
        let json = serde_json::Value::from(form.as_str()).to_string();
        all.insert(json[1..json.len() - 1].to_owned());
        let percent = percent(&form);
        all.insert(percent.replace("%20", "+"));
        all.insert(lower(&percent));
        all.insert(percent);
        all.extend(in_base64(form.as_bytes()));
        all.insert(form);
    }
    all
}

/// Encodes all but unreserved characters (RFC 3986, 2.3).
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Writes the digits of percent-encoded bytes in lower case.
fn lower(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (digits, rest) = part.split_at(2);
        format!("{text}%{}{rest}", digits.to_lowercase())
    })
}

/// Returns what base64 makes of bytes wherever they stand in a longer text: of the three ways in which they may fall on groups of
/// three bytes, the characters that hold nothing else.
fn in_base64(bytes: &[u8]) -> Vec<String> {
    let mut all = vec![BASE64.encode(bytes)];
    for before in 0..3 {
        let mut shifted = vec![0; before];
        shifted.extend_from_slice(bytes);
        let bits = shifted.len() * 8;
        for encoded in [BASE64_NOPAD.encode(&shifted), BASE64URL_NOPAD.encode(&shifted)] {
            // The first characters hold bits of what stands before, the last one may hold some of what follows.
            let own = (before * 8).div_ceil(6)..bits / 6;
            all.extend(encoded.get(own).map(str::to_owned));
        }
    }
    all.retain(|form| form.len() >= 2 * FEWEST);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowing(secret: &'static str) -> Secrets {
        let secrets = Secrets::new(move |name| (name == "TOKEN").then(|| secret.to_owned()));
        assert_eq!(secrets.conceal(secret), None, "nobody was sent it yet");
        assert_eq!(secrets.find("TOKEN").as_deref(), Some(secret));
        secrets
    }

    #[test]
    fn a_secret_is_concealed_in_whatever_form_it_comes_back() {
        let secret = "Bearer p@ss/\"word+1 é";
        let token = "p@ss/\"word+1 é";
        let secrets = knowing(secret);
        let encoded =
            |prefix: &str, suffix: &str| BASE64.encode(format!("{prefix}{token}{suffix}").as_bytes());
        for text in [
            secret.to_owned(),
            format!("you sent {token}!"),
            r#"{"authorization": "Bearer p@ss/\"word+1 é"}"#.to_owned(),
            "/login?next=p%40ss%2F%22word%2B1%20%C3%A9&x=1".to_owned(),
            "/login?next=p%40ss%2f%22word%2b1%20%c3%a9&x=1".to_owned(),
            "next=p%40ss%2F%22word%2B1+%C3%A9".to_owned(),
            BASE64.encode(secret.as_bytes()),
            encoded("", ""),
            encoded("u:", ""),
            encoded("me:", " and more"),
            encoded("user:", "x"),
            BASE64URL_NOPAD.encode(format!("user:{token}").as_bytes()),
        ] {
            let concealed = secrets.conceal(&text).unwrap_or_else(|| panic!("it is not seen in `{text}`"));
            assert!(concealed.contains("***") && !concealed.contains("word"), "{text} became {concealed}");
        }
        assert_eq!(secrets.conceal("an ordinary word"), None);
    }

    #[test]
    fn the_password_of_basic_authentication_is_concealed() {
        let secrets = knowing("Basic YWxpY2U6aHVudGVyMjI=");
        for (text, concealed) in [
            ("no user alice with hunter22", "no user alice with ***"),
            ("alice:hunter22@db", "***@db"),
            ("Authorization: Basic YWxpY2U6aHVudGVyMjI=", "Authorization: ***"),
            ("YWxpY2U6aHVudGVyMjI=", "***"),
        ] {
            assert_eq!(secrets.conceal(text).as_deref(), Some(concealed));
        }
    }

    #[test]
    fn what_is_too_short_tears_up_no_text() {
        let secrets = knowing("ok");
        assert_eq!(secrets.conceal("ok, all is ok"), None);
        let secrets = knowing("");
        assert_eq!(secrets.conceal("text"), None);
        assert!(!format!("{secrets:?}").contains("ok"));
    }
}
