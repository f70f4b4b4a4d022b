//! What must hold for every input: nothing panics, printing loses nothing, and formatting settles at once.

use std::borrow::Cow;
use std::fmt::Write;

use chaos_core::span::{FileId, Span};
use chaos_dsl::diagnostic::{MAX_DIAGNOSTICS, Report};
use chaos_dsl::syntax::*;
use chaos_dsl::{SourceMap, format, parse, print};
use proptest::collection::vec;
use proptest::prelude::*;

const NAMES: &[&str] = &["api", "api-1", "get", "slow_dns", "checkout.latency", "zone"];
const KEYWORDS: &[&str] =
    &["owner", "timeout", "rate", "run", "evidence", "connections", "body", "link", "scope"];
const QUANTITIES: &[(&str, u64, u8, Unit)] = &[
    ("5", 5, 0, Unit::Count),
    ("1m30s", 90_000_000_000, 0, Unit::Duration),
    ("0.2pp", 2, 1, Unit::Points),
    ("99.9%", 999, 1, Unit::Percentage),
    ("50/s", 50, 0, Unit::Rate { per: 1_000_000_000 }),
    ("10mbit", 10_000_000, 0, Unit::Bandwidth),
    ("64kb", 65_536, 0, Unit::Size),
];

fn at<'a>(kind: ItemKind<'a>) -> Item<'a> {
    Item::new(kind, Span::NONE)
}

fn word(text: &'static str) -> Word<'static> {
    Word { text, span: Span::NONE }
}

fn quantity() -> impl Strategy<Value = Item<'static>> {
    prop::sample::select(QUANTITIES).prop_map(|(text, mantissa, scale, unit)| {
        at(ItemKind::Quantity(Quantity { text, value: Decimal::new(mantissa, scale), unit }))
    })
}

fn name() -> impl Strategy<Value = Item<'static>> {
    prop::sample::select(NAMES).prop_map(|name| at(ItemKind::Word(name)))
}

fn text(quote: Quote) -> impl Strategy<Value = Item<'static>> {
    let literal = prop_oneof!["[ -~\n\té{}\"\\\\\r\u{202e}]{1,12}", "\"{1,5}"]
        .prop_map(|s| Part::Literal(Cow::Owned(s)));
    let hole = prop::sample::select(&["extra", "a-b"]).prop_map(|name| Part::Hole(word(name)));
    (proptest::option::of(literal.clone()), vec((hole, literal), 0..3)).prop_map(move |(first, rest)| {
        let parts = first.into_iter().chain(rest.into_iter().flat_map(|(a, b)| [a, b])).collect();
        at(ItemKind::Text(Text { quote, parts }))
    })
}

fn value() -> impl Strategy<Value = Item<'static>> {
    let leaf = prop_oneof![
        quantity(),
        name(),
        text(Quote::Line),
        (0..1440u16).prop_map(|m| at(ItemKind::Clock(m))),
        any::<[u8; 4]>().prop_map(|a| at(ItemKind::Address(std::net::IpAddr::from(a), Some(a[0] % 33)))),
        (quantity(), quantity()).prop_map(|pair| at(ItemKind::Range(Box::new(pair)))),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| vec(inner, 0..4).prop_map(|items| at(ItemKind::List(items))))
}

fn condition() -> impl Strategy<Value = Condition<'static>> {
    use Relation::*;
    let relation =
        prop::sample::select(&[Equal, NotEqual, Less, AtMost, Greater, AtLeast, In, Contains, Matches]);
    let of = proptest::option::of(text(Quote::Line));
    let test = (any::<bool>(), prop::sample::select(NAMES), of, relation, quantity()).prop_map(
        |(negated, key, of, relation, value)| {
            Condition::Test(Test {
                negated,
                key: word(key),
                of,
                relation,
                value: Some(value),
                span: Span::NONE,
            })
        },
    );
    test.prop_recursive(3, 12, 3, |inner| {
        (logic(), vec(inner, 2..4))
            .prop_map(|(logic, parts)| Condition::Group(Box::new(Condition::Join(logic, parts))))
    })
}

fn logic() -> impl Strategy<Value = Logic> {
    prop::sample::select(&[Logic::And, Logic::Or])
}

fn term() -> impl Strategy<Value = Term<'static>> {
    let filter = proptest::option::of(condition());
    let call = (prop::sample::select(&["p95", "p99.9", "success", "count"]), name(), filter, any::<bool>())
        .prop_map(|(function, metric, filter, window)| {
            let mut items = vec![metric];
            if let Some(filter) = filter {
                items.extend([at(ItemKind::Word("where")), at(ItemKind::Condition(Box::new(filter)))]);
            }
            let mut arguments = vec![Argument { items, span: Span::NONE }];
            if window {
                let length = at(ItemKind::Quantity(Quantity {
                    text: "10s",
                    value: Decimal::new(10_000_000_000, 0),
                    unit: Unit::Duration,
                }));
                arguments
                    .push(Argument { items: vec![at(ItemKind::Word("over")), length], span: Span::NONE });
            }
            Term::Call(Box::new(Call { function: word(function), arguments, span: Span::NONE }))
        });
    prop_oneof![call, name().prop_map(Term::Item)]
}

fn baseline() -> impl Strategy<Value = Term<'static>> {
    let sign = prop::sample::select(&[Sign::Plus, Sign::Minus]);
    let offset = proptest::option::of((sign, quantity()));
    offset.prop_map(|offset| Term::Baseline(Box::new(Baseline { factor: None, offset, span: Span::NONE })))
}

fn scaled() -> impl Strategy<Value = Term<'static>> {
    let sign = prop::sample::select(&[Sign::Plus, Sign::Minus]);
    let factor =
        at(ItemKind::Quantity(Quantity { text: "1.2", value: Decimal::new(12, 1), unit: Unit::Count }));
    (term(), any::<bool>(), sign, quantity()).prop_map(move |(term, multiple, sign, offset)| match term {
        Term::Call(call) => Term::Scaled(Box::new(Scaled {
            call: *call,
            factor: multiple.then(|| factor.clone()),
            offset: Some((sign, offset)),
            span: Span::NONE,
        })),
        other => other,
    })
}

fn formula() -> impl Strategy<Value = Formula<'static>> {
    use CompareOp::*;
    let plain = |kind| Formula { kind, clauses: Vec::new(), span: Span::NONE };
    let op = prop::sample::select(&[Less, AtMost, Greater, AtLeast, Equal, NotEqual]);
    let right = prop_oneof![baseline(), quantity().prop_map(Term::Item), term(), scaled()];
    let compare = (term(), any::<bool>(), op, right).prop_map(move |(left, settles, op, right)| {
        plain(FormulaKind::Compare(Box::new(Compare {
            left,
            settles: settles.then(|| ().into()),
            op: op.into(),
            right,
        })))
    });
    compare.prop_recursive(4, 16, 3, move |inner| {
        let prefix =
            prop::sample::select(&[Prefix::Not, Prefix::Always, Prefix::Never, Prefix::Stops, Prefix::Stays]);
        let group = (inner.clone(), clauses()).prop_map(move |(inner, clauses)| Formula {
            kind: FormulaKind::Group(Box::new(inner)),
            clauses,
            span: Span::NONE,
        });
        let group = group.boxed();
        prop_oneof![
            (prefix, group.clone()).prop_map(move |(prefix, mut inner)| {
                inner.clauses.clear();
                plain(FormulaKind::Prefix(prefix.into(), Box::new(inner)))
            }),
            (logic(), vec(group.clone(), 2..4)).prop_map(move |(logic, mut parts)| {
                parts
                    .iter_mut()
                    .for_each(|part| part.clauses.retain(|c| !matches!(c.kind, ClauseKind::For(_))));
                let join = plain(FormulaKind::Join(logic, parts));
                plain(FormulaKind::Group(Box::new(join)))
            }),
            group,
            (inner.clone(), inner).prop_map(move |(a, b)| {
                // A condition that holds a `given` itself would need parentheses.
                let group = plain(FormulaKind::Group(Box::new(a)));
                plain(FormulaKind::Given(Box::new((group, plain(FormulaKind::Group(Box::new(b)))))))
            }),
        ]
    })
}

fn clauses() -> impl Strategy<Value = Vec<Clause<'static>>> {
    let clause = |kind| Clause { kind, span: Span::NONE };
    (any::<[bool; 6]>(), name(), name(), name(), prop::sample::select(NAMES)).prop_map(
        move |(has, a, b, c, phase)| {
            let all = [
                ClauseKind::For(a),
                ClauseKind::Within(b),
                ClauseKind::During(vec![word(phase)]),
                ClauseKind::Observed,
                ClauseKind::With(c.clone()),
                ClauseKind::Unless(Box::new(Formula {
                    kind: FormulaKind::Group(Box::new(Formula {
                        kind: FormulaKind::Holds(Term::Item(c)),
                        clauses: Vec::new(),
                        span: Span::NONE,
                    })),
                    clauses: Vec::new(),
                    span: Span::NONE,
                })),
            ];
            all.into_iter().zip(has).filter(|(_, has)| *has).map(|(kind, _)| clause(kind)).collect()
        },
    )
}

fn comment() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(&[None, Some("# why"), Some("#")])
}

fn leading() -> impl Strategy<Value = Vec<Trivia<'static>>> {
    let comments = [Trivia::Comment("# a"), Trivia::Blank, Trivia::Comment("# b")];
    prop::sample::select(vec![0, 1, 3]).prop_map(move |count| comments[..count].to_vec())
}

fn statement() -> impl Strategy<Value = Statement<'static>> {
    let plain =
        (prop::sample::select(KEYWORDS), vec(prop_oneof![4 => value(), 1 => text(Quote::Block)], 0..5))
            .prop_map(|(keyword, mut items)| {
                items.insert(0, at(ItemKind::Word(keyword)));
                // A number is followed by `=`, lest a word behind it be taken for its unit.
                (0..items.len()).rev().for_each(|i| {
                    if items[i].as_quantity().is_some() && i + 1 < items.len() {
                        items.insert(i + 1, at(ItemKind::Symbol(Symbol::Equals)));
                    }
                });
                items
            });
    let fault = (name_word(), vec(value(), 1..4)).prop_map(|(name, mut rest)| {
        let mut items = vec![at(ItemKind::Word("fault")), name, at(ItemKind::Symbol(Symbol::Equals))];
        items.append(&mut rest);
        items
    });
    let guard = formula().prop_map(|f| {
        vec![at(ItemKind::Word("abort")), at(ItemKind::Word("when")), at(ItemKind::Formula(Box::new(f)))]
    });
    let target = condition().prop_map(|c| {
        vec![at(ItemKind::Word("pods")), at(ItemKind::Word("where")), at(ItemKind::Condition(Box::new(c)))]
    });
    let items = prop_oneof![plain, fault, guard, target];
    let flat = (items, leading(), comment()).prop_map(|(items, leading, comment)| Statement {
        leading,
        label: None,
        items,
        comment,
        span: Span::NONE,
    });
    flat.prop_recursive(3, 24, 4, |inner| {
        let block = (vec(inner, 0..4), comment(), any::<bool>());
        (prop::sample::select(KEYWORDS), block, leading(), comment()).prop_map(
            |(keyword, (statements, inner_comment, one_line), leading, comment)| {
                let block = Block {
                    comment: inner_comment,
                    statements,
                    trailing: Vec::new(),
                    one_line,
                    span: Span::NONE,
                };
                let items = vec![at(ItemKind::Word(keyword)), at(ItemKind::Block(Box::new(block)))];
                Statement { leading, label: None, items, comment, span: Span::NONE }
            },
        )
    })
}

fn name_word() -> impl Strategy<Value = Item<'static>> {
    prop::sample::select(&["lossy", "slow_dns", "a-1"]).prop_map(|name| at(ItemKind::Word(name)))
}

fn tree() -> impl Strategy<Value = File<'static>> {
    vec(statement(), 0..6).prop_map(|statements| File { statements, ..File::default() })
}

/// Words and signs of the language in any order: far more of the parser is reached than by arbitrary bytes.
fn soup() -> impl Strategy<Value = String> {
    let pieces = &[
        "experiment",
        "fault",
        "expect",
        "steady state over",
        "abort when",
        "ok when",
        "where",
        "and",
        "or",
        "not",
        "always",
        "for",
        "within",
        "after",
        "during",
        "baseline",
        "x",
        "of",
        "given",
        "for each",
        "when",
        "settles to",
        "p95(",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "=",
        "==",
        "<=",
        "..",
        "->",
        "<->",
        "+",
        "-",
        "%",
        "/",
        "\n",
        "\n\n",
        "\"a\"",
        "\"{b}\"",
        "\"{",
        "\"\"\"",
        "5s",
        "10mms",
        "99.9%",
        "10:00",
        "1.2.3.4",
        "#c\n",
        "'",
        ";",
        "é",
        "\t",
        "\u{202e}",
        "in",
        "x.y",
        "api-*",
        "tags",
        "hold",
        "at most",
        "host",
        "use",
    ];
    vec((prop::sample::select(pieces), prop::sample::select(&["", " "])), 0..60)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(a, b)| [a, b]).collect())
}

/// Parses, renders every diagnostic, and formats what is without error.
fn survive(text: &str) -> Result<(), TestCaseError> {
    let mut sources = SourceMap::new();
    let file = sources.add("soup.chaos", text);
    let parsed = parse(file, text);
    prop_assert!(parsed.diagnostics.len() <= MAX_DIAGNOSTICS);
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
    for diagnostic in &parsed.diagnostics {
        let span = diagnostic.place().expect("a parse error has a place");
        prop_assert!(span.start <= span.end && span.end as usize <= text.len());
        prop_assert!(text.is_char_boundary(span.start as usize), "{diagnostic:?}");
        let mut out = String::new();
        handler.render_report(&mut out, &Report::new(diagnostic, &sources)).expect("a diagnostic renders");
        write!(out, "{:?}", diagnostic.record(&sources)).expect("a string takes everything");
    }
    if parsed.is_ok() {
        let once = format(text).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
        prop_assert_eq!(&format(&once).map_err(|e| TestCaseError::fail(format!("{e:?}")))?, &once);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printed_trees_parse_back(tree in tree()) {
        let printed = print(&tree);
        let parsed = parse(FileId(0), &printed);
        prop_assert_eq!(&parsed.diagnostics, &[], "{}", printed);
        prop_assert_eq!(&parsed.tree.statements, &tree.statements, "{}", printed);
        prop_assert_eq!(print(&parsed.tree), printed);
    }

    #[test]
    fn arbitrary_text_is_survived(text in "\\PC{0,200}") {
        survive(&text)?;
    }

    #[test]
    fn arbitrary_bytes_are_survived(bytes in vec(any::<u8>(), 0..300)) {
        survive(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn words_in_any_order_are_survived(text in soup()) {
        survive(&text)?;
    }
}
