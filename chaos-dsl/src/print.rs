//! The one canonical layout of a file.
//!
//! Blocks indent by two spaces. A block that was written on one line stays there if it fits; any other has one statement
//! on each line. What follows the keywords of neighbouring settings is aligned, and so are their comments. Comments stay
//! where they were; several blank lines become one.

mod formula;
mod item;
mod layout;
pub(crate) mod temporal;

use chaos_core::span::FileId;

use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::parse::parse;
use crate::syntax::File;

/// The width beyond which a block does not stay on one line.
pub const MAX_WIDTH: usize = 120;

/// Prints a tree in the canonical layout.
pub fn print(file: &File<'_>) -> String {
    let mut printer = layout::Printer::default();
    printer.statements(&file.statements, &file.trailing, 0);
    printer.out
}

/// Brings a text into the canonical layout.
///
/// The result is parsed again and compared with what was read before it is returned: formatting loses nothing.
///
/// # Errors
///
/// All diagnostics of the text, when one of them is an error: a broken file is left alone.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(FileId::default(), text);
    if !parsed.is_ok() {
        return Err(parsed.diagnostics);
    }
    let printed = print(&parsed.tree);
    let again = parse(FileId::default(), &printed);
    if again.is_ok() && again.tree == parsed.tree {
        return Ok(printed);
    }
    let message = "the formatter would have changed what this file says, and left it alone";
    Err(vec![
        Diagnostic::new(Code::FormatterDiffers, message)
            .help("this is a fault of the formatter: please report the file"),
    ])
}
