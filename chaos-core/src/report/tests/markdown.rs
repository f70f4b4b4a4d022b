use super::records;
use crate::{
    model::{Param, Quantity},
    report::markdown,
};

#[test]
fn as_a_pull_request_shows_it() {
    for (name, record) in records::all() {
        insta::assert_snapshot!(
            format!("markdown_{name}"),
            markdown::render(&record, Some("scenarios/quickstart.chaos"))
        );
    }
}

#[test]
fn the_run_can_be_repeated() {
    let mut record = records::passed();
    let param = |name: &str, value, default| Param {
        name: name.into(),
        value: Quantity::duration(std::time::Duration::from_millis(value)),
        default: Quantity::duration(std::time::Duration::from_millis(default)),
        range: None,
    };
    record.plan.experiment.params = vec![param("extra", 200, 100), param("same", 5, 5)];
    let text = markdown::render(&record, Some("my scenario.chaos"));
    assert!(
        text.ends_with("```sh\nchaos run 'my scenario.chaos' --seed 42 --set extra=200ms\n```\n"),
        "{text}"
    );
    assert!(markdown::render(&record, None).contains("chaos run FILE --seed 42"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever a probe has met or a file says, every row keeps its columns and no heading is added.
    #[test]
    fn any_text_keeps_the_tables(any in "(.|[|`\\\\\n#<-]){0,30}") {
        let shape = |text: &str| -> Vec<usize> {
            text.lines().filter(|l| l.starts_with('|')).map(|l| {
                let (mut pipes, mut escaped) = (0, false);
                for c in l.chars() {
                    pipes += usize::from(c == '|' && !escaped);
                    escaped = c == '\\' && !escaped;
                }
                pipes
            }).collect()
        };
        let headings = |text: &str| text.lines().filter(|l| l.starts_with('#')).count();
        let plain = markdown::render(&records::failed(), None);
        let mut record = records::failed();
        record.plan.experiment.name = any.as_str().into();
        record.plan.experiment.hypothesis = any.as_str().into();
        record.expectations[1].measured = any.clone();
        record.expectations[1].claim = any.clone();
        record.expectations[0].name = any.clone();
        record.steady[0].predicates[0].measured = any.clone();
        record.parts[0].backend = any.clone();
        record.probes[0].probe = any.clone();
        record.probes[0].errors[0].0 = any.clone();
        let text = markdown::render(&record, Some(&any));
        proptest::prop_assert_eq!(shape(&text), shape(&plain), "{}", text);
        proptest::prop_assert_eq!(headings(&text), headings(&plain), "{}", text);
    }
}
