use super::records;
use crate::{
    report::excerpt,
    source::SourceFile,
    span::{FileId, Span},
};

/// Underlines what stands between two `%` in a file of this text.
fn underlined(marked: &str) -> String {
    let start = marked.find('%').unwrap();
    let end = marked.rfind('%').unwrap() - 1;
    let mut record = records::passed();
    record.scenario = vec![SourceFile::new("a.chaos", marked.replace('%', ""))];
    excerpt(&record, Span::new(FileId(0), start as u32, end as u32)).unwrap()
}

#[test]
fn a_clause_is_underlined_on_its_line() {
    assert_eq!(
        underlined("first\n  %never p%  # why\nlast"),
        " --> a.chaos:2:3\n2 |   never p  # why\n  |   ^^^^^^^"
    );
    // Columns are those of a terminal; a tab and other control characters are one wide.
    assert_eq!(
        underlined("\t\"日本 é\": %p%\r\n"),
        " --> a.chaos:1:10\n1 |  \"日本 é\": p\n  |            ^"
    );
    assert_eq!(underlined("a%%"), " --> a.chaos:1:2\n1 | a\n  |  ^");
}

#[test]
fn a_clause_of_several_lines_is_underlined_on_each() {
    let nine: String = (2..=8).map(|n| format!("    p{n} and\n")).collect();
    let said = underlined(&format!("\n{}%p1 and\n\n{nine}    p9%\n", "\n".repeat(6)));
    assert_eq!(
        said,
        "  --> a.chaos:8:1\n 8 | p1 and\n   | ^^^^^^\n 9 |\n   |\n10 |     p2 and\n   |     ^^^^^^\n11 |     p3 and\n   |     \
         ^^^^^^\n12 |     p4 and\n   |     ^^^^^^\n13 |     p5 and\n   |     ^^^^^^\n   | …"
    );
}

#[test]
fn what_stands_in_no_file_has_no_lines() {
    assert_eq!(excerpt(&records::passed(), Span::NONE), None);
    assert_eq!(excerpt(&records::passed(), Span::new(FileId(7), 0, 1)), None);
}

proptest::proptest! {
    /// Whatever the text and wherever the place, it is shown without a panic and steers no terminal.
    #[test]
    fn any_place_of_any_text(text in "(.|\n|\t|\u{1b}|é|日){0,60}", start in 0_u32..80, length in 0_u32..80) {
        let mut record = records::passed();
        record.scenario = vec![SourceFile::new("a.chaos", text)];
        let said = excerpt(&record, Span::new(FileId(0), start, start + length)).unwrap();
        proptest::prop_assert!(!said.contains(|c: char| c.is_control() && c != '\n'));
        proptest::prop_assert!(said.lines().count() <= 14);
    }
}
