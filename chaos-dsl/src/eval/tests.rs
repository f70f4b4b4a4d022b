use chaos_core::recording;
use chaos_core::verdict::{Interval, Leaning, Outcome, Reason, Truth, monitor::Trace};
use proptest::prelude::*;

use super::*;

const S: i64 = 1_000_000_000;

fn setting() -> Setting {
    let signals = ["x", "y", "p95(api.latency, over 10s)", "odd name"].map(Known::number);
    let mut setting = Setting::new(signals.into_iter().chain([Known::boolean("up")]), 60 * S + 1);
    setting.add_phases("baseline=0s..10s, fault=10s..30s,watch=30s..60s").unwrap();
    setting.add_event("deploy=5s").unwrap();
    setting
}

fn notation(text: &str) -> String {
    let diagnostics = |diagnostics: Vec<Diagnostic>| panic!("{text}: {diagnostics:#?}");
    let question = compile(text, &setting()).unwrap_or_else(diagnostics);
    let written = question.notation();
    let again = compile(&written, &setting())
        .unwrap_or_else(|diagnostics| panic!("{text}: {written}: {diagnostics:#?}"));
    assert_eq!(again.notation(), written, "{text}");
    written
}

#[test]
fn formulas_stand_for_core_notation() {
    for (text, core) in [
        ("always[0s,2s] (x <= 5)", "always[0s,2s] (x <= 5)"),
        ("always[0,2s](x<=5)", "always[0s,2s] (x <= 5)"),
        ("eventually[1s,3s] always[0s,1s) (x < 4)", "eventually[1s,3s] always[0s,1s) (x < 4)"),
        ("historically[0s,1m30s] not (x > 5)", "historically[0s,1m30s] not (x > 5)"),
        ("(x <= 5) until[0s,3s] (y >= 6)", "(x <= 5) until[0s,3s] (y >= 6)"),
        ("x <= 5 until[0s,3s] y >= 6 and up", "((x <= 5) until[0s,3s] (y >= 6)) and (up)"),
        ("not up and x <= 5", "(not (up)) and (x <= 5)"),
        ("not (up and x <= 5)", "not ((up) and (x <= 5))"),
        ("x <= 5 and y <= 5 implies up", "((x <= 5) and (y <= 5)) implies (up)"),
        ("x >= 5 implies eventually[0s,2s] (x <= 2)", "(x >= 5) implies (eventually[0s,2s] (x <= 2))"),
        ("x <= 2 x y + 3", "x <= 2 x y + 3"),
        ("5 >= x", "5 >= x"),
        ("x >= -5", "x >= -5"),
        ("\"odd name\" == 1", "\"odd name\" == 1"),
        ("p95(api.latency,  over 10s) <= 100ms", "p95(api.latency, over 10s) <= 100ms"),
        ("x <= 5 for 10s", "historically[0s,10s] (x <= 5)"),
        ("x <= 5 within 10s", "eventually[0s,10s] (x <= 5)"),
        ("eventually up within 10s", "eventually[0s,10s] (up)"),
        ("always up", "always[0s,end) (up)"),
        ("never (x > 5 for 10s)", "always[10s,end) not historically[0s,10s] (x > 5)"),
        ("never up", "always[0s,end) not (up)"),
        ("eventually[2s,end) (up)", "not always[2s,end) not (up)"),
        ("up unless x > 5", "((up) until[0s,1m) (x > 5)) or (always[0s,end) (up))"),
        ("always up during fault", "always[0s,20s) (up) @ 10s"),
        ("always x <= 5 for 5s during fault", "always[5s,20s) historically[0s,5s] (x <= 5) @ 10s"),
        ("always up during whole run", "always[0s,end) (up) @ 0s"),
        ("always up after rollback", "always[0s,end) (up) @ 30s"),
        ("eventually up within 5s during fault", "eventually[0s,5s] (up) @ 10s"),
        ("up within 5s after fault starts", "eventually[0s,5s] (up) @ 10s"),
        ("up within 5s after deploy", "eventually[0s,5s] (up) @ 5s"),
        ("stops up within 5s after fault ends", "always[5s,end) not (up) @ 30s"),
        ("stays up for 5s after rollback", "always[0s,5s] (up) @ 30s"),
        ("up for 5s after rollback", "always[0s,5s] (up) @ 30s"),
        ("x settles to <= 5 within 20s after rollback", "eventually[0s,20s] always[0s,end) (x <= 5) @ 30s"),
        (
            "x settles to <= 5 within 20s for 5s after rollback starts",
            "eventually[0s,20s] always[0s,5s] (x <= 5) @ 30s",
        ),
        ("up unless x > 5 during fault", "(((up) until[0s,20s) (x > 5)) or (always[0s,20s) (up))) @ 10s"),
        (
            "(always up during fault) and (never up during watch)",
            "(always[0s,20s) (up) @ 10s) and (always[0s,end) not (up) @ 30s)",
        ),
        ("not (always up during fault)", "not (always[0s,20s) (up) @ 10s)"),
        ("always[0s,5s] (up) @ start of fault", "always[0s,5s] (up) @ 10s"),
        ("up @ each deploy", "up @ 5s"),
        ("up @ 12s", "up @ 12s"),
        ("up @ 2s after start of fault", "up @ 12s"),
        ("up @ 2s after rollback", "up @ 32s"),
    ] {
        assert_eq!(notation(text), core, "{text}");
    }
}

#[test]
fn mistakes_have_a_place_and_a_fix() {
    for (text, place, words) in [
        ("", "", "expected a formula"),
        ("xx <= 5", "xx", "no signal is called `xx`"),
        ("upp", "upp", "did you mean `up`"),
        ("x", "x", "compare it"),
        ("x <= 5 and up or up", "or", "mixed without parentheses"),
        ("1 <= x <= 5", "<=", "do not chain"),
        ("up implies up implies up", "implies", "`implies` does not chain"),
        ("up until[0s,1s] up until[0s,1s] up", "until", "`until` does not chain"),
        ("up until[1s,2s] up", "[1s,2s]", "the window of `until` starts at 0s"),
        ("up until up", "", "the window of `until`"),
        ("always[0s,2] (up)", "2", "`2` has no unit"),
        ("always[0s,2parsec] (up)", "parsec", "`parsec` is not a unit"),
        ("always[2s,1s] (up)", "[2s,1s]", "ends before it starts"),
        ("always[1s,1s) (up)", "[1s,1s)", "ends before it starts"),
        ("always[0s,end] (up)", "[0s,end]", "write `[0s,end)`"),
        ("always[0s;2s] (up)", "", "`;`"),
        ("always[0s,5%] (up)", "5%", "a length of time belongs"),
        ("historically (up)", "", "the window of `historically`"),
        ("historically[0s,end) (up)", "[0s,end)", "looks back"),
        ("allways[0s,1s] (up)", "allways", "did you mean `always`"),
        ("G[0s,1s] (up)", "G", "write `always[0s,2s]"),
        ("up since up", "since", "there is no `since`"),
        ("up && up", "&&", "write `and`"),
        ("x <= ", "", "expected a signal or a number"),
        ("x + y <= 5", "", "expected a number"),
        ("2 x y <= 2 x x", "2 x x", "computes on both sides"),
        ("5 >= 2 x x", "2 x x", "that computes"),
        ("5 <= 6", "5 <= 6", "without a signal"),
        ("x <= baseline + 5", "baseline", "has no baseline"),
        ("time <= 5", "time", "a formula speaks of signals"),
        ("(up", "(", "never closed"),
        ("up)", ")", "closes nothing"),
        ("up up", "up", "the end of the formula"),
        ("always up within 5s", "within 5s", "`within` does not belong to `always`"),
        ("eventually up", "eventually up", "does not say until when"),
        ("stops up", "stops up", "does not say since when"),
        ("stays up after rollback", "stays up after rollback", "for how long"),
        ("up during fault", "during fault", "at which of them"),
        ("up after rollback", "after rollback", "at which of them"),
        ("x settles to <= 5", "settles", "does not say"),
        ("always up during faullt", "faullt", "did you mean `fault`"),
        ("up within 5s after rolback", "rolback", "did you mean `rollback`"),
        ("up within 5s after fault", "fault", "write `after fault starts`"),
        ("always[0s,1s] (up within 5s after rollback)", "after rollback", "counts from an event"),
        ("x <= 5 for 5s and up", "for 5s", "`for` beside `and`"),
        ("up within 5s within 6s", "within", "stands twice"),
        ("always (x <= 5 for 30s) during fault", "always", "looks back further"),
        ("x <= 10.0.0.1", "10.0.0.1", "an address is not a number"),
    ] {
        let diagnostics = compile(text, &setting()).expect_err(text);
        let said: Vec<String> = diagnostics
            .iter()
            .map(|d| {
                let label = d.label.as_str();
                format!("{} / {label} / {}", d.message, d.help.as_deref().unwrap_or_default())
            })
            .collect();
        assert!(said.iter().any(|said| said.contains(words)), "{text}: {said:?}");
        let at = diagnostics[0].place().expect(text);
        let found = &text[at.start as usize..at.end as usize];
        assert!(found.contains(place), "{text}: {found:?} is not {place:?}");
        assert!(diagnostics.iter().all(|d| d.help.is_some()), "{text}: {diagnostics:?}");
    }
}

#[test]
fn no_formula_is_too_deep_for_the_stack() {
    for deep in [
        "(".repeat(50_000),
        "not ".repeat(50_000),
        "always[0s,1s] ".repeat(50_000),
        "always ".repeat(50_000) + "up",
    ] {
        assert!(compile(&deep, &setting()).is_err());
    }
    let long = vec!["up"; 900].join(" and ");
    assert!(compile(&long, &setting()).is_ok());
    assert!(compile(&vec!["up"; 5_000].join(" and "), &setting()).is_err());
}

fn judged(text: &str, csv: &str, phases: &str) -> (Outcome, Option<f64>) {
    let recording = recording::read(csv.as_bytes()).unwrap();
    let known = recording.columns.iter().map(|c| Known { name: c.name.clone(), number: c.first_number });
    let mut setting = Setting::new(known, recording.last.unwrap() + 1);
    setting.add_phases(phases).unwrap();
    let question = compile(text, &setting).unwrap_or_else(|diagnostics| panic!("{text}: {diagnostics:#?}"));
    let range = Interval { lo: 0.0, hi: 100.0 };
    let signals =
        question.signals.iter().map(|name| recording.signal(recording.column(name).unwrap(), range).unwrap());
    let decision = question.statement.judge(&Trace::new(signals.collect()));
    (decision.outcome, decision.time_margin.map(|nanos| nanos as f64 / 1e9))
}

#[test]
fn recoveries_are_judged_as_in_the_definition() {
    let recovered = "time,x\n0,6\n5,4\n12,2\n18,.8\n40,.9\n90,.9\n";
    let relapsed = "time,x\n0,6\n5,4\n12,.5\n45,2\n50,.5\n90,.5\n";
    let (settles, phases) = ("x settles to <= 1 within 30s after rollback", "watch=0s..90s");
    assert_eq!(judged(settles, recovered, phases), (Outcome::Passed, Some(12.0)));
    assert_eq!(judged(settles, relapsed, phases), (Outcome::Failed, Some(-20.0)));
    let lasting = "x settles to <= 1 within 30s for 10s after rollback";
    assert_eq!(judged(lasting, relapsed, phases), (Outcome::Passed, Some(18.0)));
}

#[test]
fn a_horizon_beyond_the_recording_is_inconclusive() {
    let csv = "time,x\n0,1\n5,2\n";
    let open = Outcome::inconclusive(Leaning::Passed, Reason::HorizonNotReached, None);
    assert_eq!(judged("always[0s,12s] (x <= 5)", csv, "").0, open);
    assert_eq!(judged("always[0s,5s] (x <= 5)", csv, "").0, Outcome::Passed);
    assert_eq!(judged("always x <= 5", csv, "").0, Outcome::Passed, "up to the end of the recording");
    assert_eq!(judged("always[0s,12s] (x <= 1)", csv, "").0, Outcome::Failed, "decided early");
    assert_eq!(judged("always x <= 5 during fault", csv, "fault=0s..9s").0, open);
}

/// Any formula of the core, in its notation.
fn any_core() -> impl Strategy<Value = String> {
    let number =
        prop_oneof![(0u32..100).prop_map(|n| n.to_string()), Just("0.25".into()), Just("250ms".into())];
    let leaf = prop_oneof![
        Just("up".to_owned()),
        (
            prop::sample::select(vec!["x", "y", "\"odd name\""]),
            prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]),
            number
        )
            .prop_map(|(signal, op, number)| format!("{signal} {op} {number}")),
        (1u32..9, 0u32..9).prop_map(|(factor, offset)| format!("x <= {factor} x y + {offset}")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let window = (0i64..5_000_000_000, 0i64..7_000_000_000);
        let length = |nanos| chaos_core::time::exact(nanos);
        prop_oneof![
            inner.clone().prop_map(|p| format!("not ({p})")),
            (prop::collection::vec(inner.clone(), 2..4), prop::bool::ANY).prop_map(|(parts, and)| {
                let parts: Vec<String> = parts.iter().map(|part| format!("({part})")).collect();
                parts.join(if and { " and " } else { " or " })
            }),
            (inner.clone(), inner.clone()).prop_map(|(p, q)| format!("({p}) implies ({q})")),
            (
                inner.clone(),
                window,
                prop::sample::select(vec!["always", "eventually", "historically", "once"])
            )
                .prop_map(move |(p, (from, by), word)| format!(
                    "{word}[{},{}] ({p})",
                    length(from),
                    length(from + by)
                )),
            (inner.clone(), inner.clone(), 0i64..9_000_000_000)
                .prop_map(move |(p, q, to)| format!("({p}) until[0s,{}] ({q})", length(to))),
            (inner, 0i64..9_000_000_000)
                .prop_map(move |(p, from)| format!("always[{},end) ({p})", length(from))),
        ]
    })
}

proptest! {
    #[test]
    fn the_notation_of_a_formula_is_the_formula(text in any_core()) {
        let question = compile(&text, &setting()).unwrap_or_else(|diagnostics| panic!("{text}: {diagnostics:#?}"));
        let written = question.notation();
        let again = compile(&written, &setting()).unwrap_or_else(|diagnostics| panic!("{written}: {diagnostics:#?}"));
        prop_assert_eq!(&again.statement, &question.statement, "{} / {}", text, written);
        prop_assert_eq!(again.signals, question.signals);
    }

    #[test]
    fn nothing_that_is_typed_breaks_the_reader(text in "[a-z0-9 <>=()\\[\\],@.%\"x]{0,60}|\\PC{0,40}") {
        let _ = compile(&text, &setting());
    }
}

#[test]
fn a_claim_is_the_same_at_all_times() {
    let recording = recording::read(b"time,x\n0,1\n5,9\n8,1\n").unwrap();
    let setting = Setting::new([Known::number("x")], 8 * S + 1);
    let readings = |text: &str| {
        let question = compile(text, &setting).unwrap();
        let signal = recording.signal(&recording.columns[0], Interval::EVERYTHING).unwrap();
        question.statement.readings(&Trace::new(vec![signal]))
    };
    assert_eq!(readings("x <= 5 @ 6s").segment_count(), 1);
    assert_eq!(readings("x <= 5").at(6 * S).truth, Truth::False);
}
