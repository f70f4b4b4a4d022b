use super::*;
use crate::syntax::{
    ClauseKind, CompareOp, FormulaKind, ItemKind, Part, Quote, Relation, Statement, Symbol, Term, Text, Unit,
};

fn ok(text: &str) -> File<'_> {
    let parsed = parse(FileId(0), text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    parsed.tree
}

fn one(text: &str) -> Statement<'_> {
    let mut tree = ok(text);
    assert_eq!(tree.statements.len(), 1);
    tree.statements.remove(0)
}

fn codes(text: &str) -> Vec<Code> {
    parse(FileId(0), text).diagnostics.iter().map(|d| d.code).collect()
}

#[test]
fn fault_is_words_and_values() {
    let fault = one("fault slow = delay 100ms jitter 10ms and loss 1% on api-1 to db:5432");
    assert_eq!(fault.keyword(), "fault");
    assert_eq!(fault.name().unwrap().text, "slow");
    let mut cursor = crate::syntax::Cursor::new(fault.definition(), fault.span);
    assert!(cursor.take_word("delay").is_some());
    assert_eq!(cursor.take_quantity().unwrap().0.unit, Unit::Duration);
    assert!(cursor.take_words(&["jitter", "nothing"]).is_none());
    assert!(cursor.take_word("jitter").is_some());
    assert!(cursor.take_quantity().is_some());
    assert!(cursor.take_words(&["and", "loss"]).is_some());
    assert_eq!(cursor.take_quantity().unwrap().0.text, "1%");
    assert!(cursor.take_word("on").is_some());
    assert_eq!(cursor.take_any_word().unwrap().text, "api-1");
    assert!(cursor.take_words(&["to", "db"]).is_some());
    assert!(cursor.take_symbol(Symbol::Colon).is_some());
    assert_eq!(cursor.take_quantity().unwrap().0.value.whole(), Some(5432));
    assert!(cursor.is_empty());
    assert_eq!(cursor.span().start, 68);
}

#[test]
fn claim_is_an_expression() {
    let expect = one(
        "expect { \"a\": p95(get.latency where backend in api, over 5s) settles to <= baseline + 20ms within 30s after rollback }",
    );
    let claim = &expect.block().unwrap().statements[0];
    assert_eq!(claim.label.as_ref().unwrap().as_text().unwrap().plain(), Some("a"));
    let formula = claim.formula().unwrap();
    let FormulaKind::Compare(compare) = &formula.kind else { panic!("{formula:?}") };
    assert!(compare.settles.is_some());
    assert_eq!(compare.op.value, CompareOp::AtMost);
    let Term::Call(call) = &compare.left else { panic!() };
    assert_eq!(call.metric().unwrap().text, "get.latency");
    assert_eq!(call.window().unwrap().as_quantity().unwrap().text, "5s");
    let Some(crate::syntax::Condition::Test(test)) = call.filter() else { panic!() };
    assert_eq!(test.relation, Relation::In);
    let Term::Baseline(baseline) = &compare.right else { panic!() };
    assert!(baseline.factor.is_none() && baseline.offset.is_some());
    assert!(matches!(formula.clauses[0].kind, ClauseKind::Within(_)));
    assert!(matches!(formula.clauses[1].kind, ClauseKind::After(_)));
}

#[test]
fn for_belongs_to_the_nearest_claim() {
    let guard = one("abort when always (success(p, over 10s) < 95% for 10s) during fault");
    let formula = guard.formula().unwrap();
    assert_eq!(formula.clauses.len(), 1);
    let FormulaKind::Prefix(_, inner) = &formula.kind else { panic!() };
    let FormulaKind::Group(inner) = &inner.kind else { panic!() };
    assert_eq!(inner.clauses[0].kind.keyword(), "for");
}

#[test]
fn ranges_arrows_and_units_read_longest_first() {
    let statement =
        one("a 0..1s 10ms..20ms 1m30s 0ms -> 500ms gw <-> db p99.9 api-* 10:00..16:00 10.0.0.0/8 2");
    let kinds: Vec<_> = statement
        .items
        .iter()
        .map(|item| match &item.kind {
            ItemKind::Word(word) => (*word).to_owned(),
            ItemKind::Quantity(quantity) => quantity.text.to_owned(),
            ItemKind::Range(_) => "range".to_owned(),
            ItemKind::Symbol(symbol) => symbol.as_str().to_owned(),
            ItemKind::Address(..) => "address".to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds.join(" "), "a range range 1m30s 0ms -> 500ms gw <-> db p99.9 api-* range address 2");
}

#[test]
fn strings_have_holes_and_escapes() {
    let statement = one(r#"hypothesis "slower by {extra}: {{\"a\": 1}} \u{e9}\n""#);
    let Text { quote: Quote::Line, parts } = statement.items[1].as_text().unwrap() else { panic!() };
    let [Part::Literal(a), Part::Hole(hole), Part::Literal(b)] = parts.as_slice() else {
        panic!("{parts:?}")
    };
    assert_eq!((a.as_ref(), hole.text, b.as_ref()), ("slower by ", "extra", ": {\"a\": 1} é\n"));
    let block = one("body \"\"\"\nline \"one\"\nline two\"\"\"");
    assert_eq!(block.items[1].as_text().unwrap().plain(), Some("line \"one\"\nline two"));
    let crlf = one("body \"\"\"\r\na\r\nb\"\"\"\r\n");
    assert_eq!(crlf.items[1].as_text().unwrap().plain(), Some("a\nb"));
}

#[test]
fn commas_end_statements_but_not_lists_of_tags() {
    let tree =
        ok("probe p = http { rate 5/s, timeout 2s }\ntags dns, latency\nhold until x done, at most 10m\n");
    assert_eq!(tree.statements[0].block().unwrap().statements.len(), 2);
    assert_eq!(tree.statements[1].items.len(), 4);
    assert_eq!(tree.statements.len(), 3);
}

#[test]
fn statements_go_on_after_operators_and_in_brackets() {
    let tree = ok("abort when a(x) <\n  1% and # why\n  b(\n  x,\n over 1s) > 2\nlist [\n 1,\n 2,\n]\n");
    assert_eq!(tree.statements.len(), 2);
    assert_eq!(tree.statements[0].leading.len(), 1);
}

#[test]
fn one_run_tells_every_mistake() {
    let text = "experiment \"x\" {\n  fault = loss 5%\n  probe p = http { timeout 100 ms, rate 5/year }\n  abort when a(x) = 1\n  duration 10mms\n}\n}\n";
    assert_eq!(
        codes(text),
        [
            Code::MissingName,
            Code::SpacedUnit,
            Code::UnknownUnit,
            Code::WrongEquals,
            Code::UnknownUnit,
            Code::StrayBracket
        ]
    );
}

#[test]
fn a_broken_head_does_not_hide_its_block() {
    assert_eq!(codes("experiment title {\n  duration 5sec\n}\n"), [Code::Unexpected, Code::UnknownUnit]);
}

#[test]
fn limits_are_stated_and_kept() {
    let deep = "a { ".repeat(10_000);
    assert_eq!(codes(&deep), [Code::TooMuch]);
    let parens = format!("abort when {}", "(".repeat(100_000));
    assert_eq!(codes(&parens), [Code::TooMuch]);
    assert_eq!(codes(&format!("a {}", "[".repeat(100_000))), [Code::TooMuch]);
    assert_eq!(codes(&format!("abort when {}p", "not ".repeat(100_000))), [Code::TooMuch]);
    assert_eq!(codes(&"a\n".repeat(200_000)), [Code::TooMuch]);
    assert_eq!(codes(&"a ".repeat(2_000)), [Code::TooMuch]);
    assert_eq!(codes(&format!("a [{}]", "1,".repeat(2_000))), [Code::TooMuch]);
    assert_eq!(codes(&" ".repeat(MAX_FILE_BYTES + 1)), [Code::FileTooLarge]);
    assert_eq!(codes(&";\n".repeat(1_000)).len(), MAX_DIAGNOSTICS);
}

#[test]
fn trees_are_equal_wherever_they_stand() {
    assert_eq!(ok("a 1 { b 2 }").statements, ok("\n\n   a   1 {\n b 2\n}").statements);
    assert_ne!(ok("a 1").statements, ok("a 2").statements);
}
