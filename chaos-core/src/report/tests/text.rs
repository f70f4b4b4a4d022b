use unicode_width::UnicodeWidthStr as _;

use super::records;
use crate::report::{Style, line::WIDTH, text};

#[test]
fn as_a_person_reads_it() {
    for (name, record) in records::all() {
        insta::assert_snapshot!(format!("text_{name}"), text::render(&record));
    }
}

#[test]
fn no_line_is_too_wide_and_the_plain_text_is_the_pieces() {
    for (name, record) in records::all() {
        let lines = text::lines(&record);
        for line in &lines {
            assert!(line.to_string().width() <= WIDTH, "{name}: {line}");
        }
        assert_eq!(text::render(&record), lines.iter().map(|l| format!("{l}\n")).collect::<String>());
    }
}

#[test]
fn the_verdict_comes_first_and_has_its_style() {
    for (first, style, record) in [
        ("PASSED  ", Style::Good, records::passed()),
        ("FAILED  ", Style::Bad, records::failed()),
        ("INCONCLUSIVE  ", Style::Unsure, records::inconclusive()),
        ("ABORTED  ", Style::Bad, records::aborted_by_condition()),
        ("REFUSED  ", Style::Unsure, records::refused_by_steady_state()),
        ("NOT PERMITTED  ", Style::Bad, records::refused_by_permission()),
        ("NOT RESTORED  ", Style::Bad, records::not_restored()),
    ] {
        let lines = text::lines(&record);
        assert!(lines[0].to_string().starts_with(first), "{}", lines[0]);
        assert_eq!(lines[0].pieces[0].style, style);
    }
}

#[test]
fn measured_text_cannot_steer_the_terminal() {
    let mut record = records::passed();
    record.probes[0].errors[0].0 = "bad\u{1b}]0;title\u{7}\nPASSED".into();
    let text = text::render(&record);
    assert!(!text.contains(['\u{1b}', '\u{7}']));
    assert!(!text.contains("\nPASSED\n"));
}
