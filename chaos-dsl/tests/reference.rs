//! The documents of the language are true: all of their examples are checked, and the reference leaves nothing out.

use chaos_core::model::FaultSpec;
use chaos_dsl::{Code, check, compile, words};

const REFERENCE: &str = include_str!("../../docs/language.md");

/// Everything that shows examples of the language.
const DOCUMENTS: &[(&str, &str)] = &[
    ("README.md", include_str!("../../README.md")),
    ("tutorial.md", include_str!("../../docs/tutorial.md")),
    ("language.md", REFERENCE),
    ("verdicts.md", include_str!("../../docs/verdicts.md")),
];

/// Returns the blocks of a document: what follows the three ticks, and the text.
fn blocks(document: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut parts = document.split("\n```");
    parts.next();
    let mut blocks = Vec::new();
    while let (Some(block), Some(_)) = (parts.next(), parts.next()) {
        blocks.push(block.split_once('\n').unwrap_or((block, "")));
    }
    blocks
}

/// An experiment in a lab, with lines of its own and expectations of its own.
fn in_lab(lines: &str, claims: &str) -> String {
    format!(
        r#"param extra = 100ms in 0ms .. 1s
experiment "frame" {{
  hypothesis "the example stands in a whole experiment"
  lab {{
    host client
    host gw    {{ run gateway port 80 to api:8080 }}
    host api 3 {{ run http port 8080 }}
    host dns   {{ run dns }}
    host db    {{ run http port 6379 }}
  }}
  probe get = http GET "http://api:8080/" from client {{
    connections reuse 4
    rate 100/s
    label backend = header "x-served-by"
  }}
  steady state over 5s {{ success(get) >= 99% }}
  fault lossy = loss 5% on api to client
  {lines}
  timeline {{
    baseline 60s
    inject lossy
    hold 60s
    rollback
    watch 60s
  }}
  expect {{
    "frame": success(get) >= 90% during lossy
    {claims}
  }}
}}
"#
    )
}

/// An experiment on the machine itself, with lines of its own.
fn on_machine(lines: &str) -> String {
    in_lab(lines, "")
        .replace(" from client", "")
        .replace("on api to client", "on here to 10.0.0.1")
        .lines()
        .filter(|l| !l.trim_start().starts_with("host "))
        .collect::<Vec<_>>()
        .join("\n")
        .replace("  lab {\n  }\n", "  owner \"team\"\n  blast radius { at most 1 host }\n")
        .replace("  timeline {", "  abort when success(get, over 5s) < 50%\n  timeline {")
}

/// An experiment in a cluster, with lines of its own.
fn in_cluster(lines: &str) -> String {
    let radius = if lines.contains("blast radius") { "" } else { "blast radius { at most 1 pod }" };
    let scope = r#"owner "team"
  scope {
    cluster   "staging" uid "3f2a7c1e"
    namespace "shop"
    target client = pods of deployment "client" pick 1
    target web    = pods of service "web" pick 1
  }"#;
    in_lab(lines, "")
        .lines()
        .filter(|line| !line.trim_start().starts_with("host "))
        .collect::<Vec<_>>()
        .join("\n")
        .replace("  lab {\n  }\n", &format!("  {scope}\n  {radius}\n"))
        .replace("on api to client", "on web to service \"web\"")
        .replace("  timeline {", "  abort when success(get, over 5s) < 50%\n  timeline {")
}

#[test]
fn every_example_does_what_the_text_says() {
    let mut examples = 0;
    let all =
        DOCUMENTS.iter().flat_map(|(name, text)| blocks(text).into_iter().map(move |block| (name, block)));
    for (document, (kind, text)) in all {
        let mut words = kind.split_whitespace();
        if words.next() != Some("chaos") {
            continue;
        }
        examples += 1;
        let (frame, expected) = match words.next() {
            Some("error") => (None, words.collect::<Vec<_>>()),
            frame => (frame, Vec::new()),
        };
        let whole = match frame {
            None => text.to_owned(),
            Some("lines") => in_lab(text, ""),
            Some("claims") => in_lab("", text),
            Some("machine") => on_machine(text),
            Some("objects") => in_cluster(text),
            Some(other) => panic!("unknown kind of block `{other}`"),
        };
        let compiled = compile("example.chaos", &whole, &[]);
        let codes: Vec<&str> = compiled.diagnostics.iter().map(|d| d.code.number()).collect();
        assert_eq!(codes, expected, "{document}: {whole}\n{:#?}", compiled.diagnostics);
        if frame.is_none() && expected.is_empty() {
            let canonical = chaos_dsl::format(&whole).unwrap();
            assert_eq!(canonical.trim_end(), whole.trim_end(), "{document}: not canonical");
        }
    }
    assert!(examples >= 24, "{examples} examples");
}

#[test]
fn every_code_is_explained() {
    for code in Code::ALL {
        let row = format!("| {} | {} |", code.number(), code.meaning());
        assert!(REFERENCE.contains(&row), "the table lacks `{row}`");
    }
}

#[test]
fn every_word_stands_in_it() {
    let definitions = words::DEFINITIONS.iter().chain(words::NAMED).chain(words::TITLED);
    let formulas = words::PREFIXES.iter().chain(words::CLAUSES);
    let all = FaultSpec::KINDS
        .iter()
        .chain(definitions)
        .chain(formulas)
        .chain(check::LINES)
        .chain(check::PROBE_SETTINGS)
        .chain(check::FUNCTIONS);
    let missing: Vec<&&str> = all
        .filter(|word| {
            ![format!("`{word}`"), format!("`{word} "), format!("`{word}(")]
                .iter()
                .any(|w| REFERENCE.contains(w))
        })
        .collect();
    assert!(missing.is_empty(), "the reference does not mention {missing:?}");
}
