//! What the language says of pods, in the terms of the API server.

use chaos_core::model::cluster::{Key, Requirement, Test};
use kube::api::ListParams;

/// How many objects one answer holds at most.
pub(crate) const PAGE: u32 = 500;

/// Returns what to list for these requirements.
pub(crate) fn params(requirements: &[Requirement]) -> ListParams {
    let (mut labels, mut fields) = (Vec::new(), Vec::new());
    for Requirement { of, is } in requirements {
        match of {
            Key::Label(name) => labels.push(label(name, is)),
            Key::Field(path) => fields.extend(field(path, is)),
        }
    }
    let mut params = ListParams::default().limit(PAGE);
    if !labels.is_empty() {
        params = params.labels(&labels.join(","));
    }
    if !fields.is_empty() {
        params = params.fields(&fields.join(","));
    }
    params
}

fn label(name: &str, is: &Test) -> String {
    match is {
        Test::In(values) if values.len() == 1 => format!("{name}={}", values.first()),
        Test::NotIn(values) if values.len() == 1 => format!("{name}!={}", values.first()),
        Test::In(values) => format!("{name} in ({})", values.join(",")),
        Test::NotIn(values) => format!("{name} notin ({})", values.join(",")),
        Test::Exists => name.to_owned(),
        Test::Absent => format!("!{name}"),
    }
}

fn field(path: &str, is: &Test) -> Option<String> {
    match is {
        Test::In(values) => Some(format!("{path}={}", values.first())),
        Test::NotIn(values) => Some(format!("{path}!={}", values.first())),
        // The checker lets no other test of a field through.
        Test::Exists | Test::Absent => None,
    }
}

#[cfg(test)]
mod tests {
    use chaos_core::non_empty::NonEmpty;

    use super::*;

    #[test]
    fn requirements_are_what_kubectl_would_be_given() {
        let values = |all: &[&str]| {
            NonEmpty::try_from(all.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()).unwrap()
        };
        let label = |name: &str, is| Requirement { of: Key::Label(name.into()), is };
        let field = |path: &str, is| Requirement { of: Key::Field(path.into()), is };
        let found = params(&[
            label("app", Test::In(values(&["api"]))),
            label("tier", Test::NotIn(values(&["canary"]))),
            label("zone", Test::In(values(&["a", "b"]))),
            label("size", Test::NotIn(values(&["s", "m"]))),
            label("example.com/x", Test::Exists),
            label("legacy", Test::Absent),
            field("spec.nodeName", Test::In(values(&["n1"]))),
            field("metadata.name", Test::NotIn(values(&["p"]))),
        ]);
        let labels = "app=api,tier!=canary,zone in (a,b),size notin (s,m),example.com/x,!legacy";
        assert_eq!(found.label_selector.as_deref(), Some(labels));
        assert_eq!(found.field_selector.as_deref(), Some("spec.nodeName=n1,metadata.name!=p"));
        assert_eq!(found.limit, Some(PAGE));
        assert_eq!(params(&[]).label_selector, None);
    }
}
