//! Diagnostics as commands that GitHub Actions shows as annotations of the lines that they are about
//! (docs.github.com, "Workflow commands for GitHub Actions").

use chaos_core::{remark::Severity, report::harmless};
use chaos_dsl::diagnostic::Record;

use super::Checked;

/// Writes a line for each diagnostic.
pub(super) fn commands(checked: &[Checked]) -> String {
    let all = checked.iter().flat_map(|file| file.diagnostics.iter().map(|said| command(&file.file, said)));
    all.collect()
}

fn command(file: &str, said: &Record) -> String {
    let word = match said.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = said.primary.as_ref();
    let mut properties =
        vec![("file", place.and_then(|place| place.file.as_deref()).unwrap_or(file).to_owned())];
    if let Some(start) = place.and_then(|place| place.start) {
        properties.extend([("line", start.line.to_string()), ("col", start.column.to_string())]);
        // Columns count only where both are of one line.
        if let Some(end) = place.and_then(|place| place.end) {
            properties.push(("endLine", end.line.to_string()));
            if end.line == start.line {
                properties.push(("endColumn", end.column.to_string()));
            }
        }
    }
    properties.push(("title", said.code.clone()));
    let properties: Vec<String> =
        properties.iter().map(|(key, value)| format!("{key}={}", property(value))).collect();
    let help = said.help.iter().map(|help| format!("\nhelp: {help}"));
    let text: String = std::iter::once(said.message.clone()).chain(help).collect();
    format!("::{word} {}::{}\n", properties.join(","), data(&text))
}

/// Escapes a message: nothing in it begins a line, and so no command.
fn data(text: &str) -> String {
    harmless::lines(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property.
fn property(text: &str) -> String {
    data(&harmless::line(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(file: &str, text: &str) -> Checked {
        let compiled = chaos_dsl::compile(file, text, &[]);
        let diagnostics = compiled.diagnostics.iter().map(|d| d.record(&compiled.sources)).collect();
        Checked { file: file.into(), ok: false, experiments: vec![], diagnostics }
    }

    #[test]
    fn each_diagnostic_is_one_command_at_its_place() {
        let said = commands(&[checked("a,b:c.chaos", "experiment \"x\" {\n  hypothesis 5 %\n}\n")]);
        insta::assert_snapshot!(said);
        assert!(said.lines().all(|line| line.starts_with("::error file=a%2Cb%3Ac.chaos,line=")), "{said}");
    }

    #[test]
    fn nothing_in_a_file_is_a_command_of_its_own() {
        let said = commands(&[checked("x.chaos", "experiment \"x\" {\n  frob \"\n::add-mask::x\n\"\n}\n")]);
        assert!(!said.is_empty() && said.lines().all(|line| line.starts_with("::error ")), "{said}");
    }
}
