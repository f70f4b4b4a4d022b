//! What a run says afterwards: folds of its [`Record`](crate::run::Record), for people and for machines.
//!
//! 1. What came of a run is ranked by [`outcome`](crate::outcome); every report begins with it.
//! 2. [`text`] is what a person reads in five seconds; [`plan`] is what they read before.
//! 3. [`json`] is everything, with a schema; [`junit`] is for continuous integration; [`markdown`] is for a pull request.
//! 4. [`mod@line`] are styled lines: text and colour are folds of the same pieces.
//! 5. [`search`] and [`matrix`] report the results of many runs of one file.
//! 6. [`format`](mod@format) is the table of all formats; whoever writes reports picks from it.
//! 7. [`harmless`] makes text of any origin into text that does nothing but be read.
//! 8. [`underline`] is what a renderer of the scenario underlines, and [`mod@excerpt`] such a place in plain text.
//!
//! Nothing here prints.

pub mod excerpt;
pub mod format;
pub mod harmless;
pub mod html;
pub mod json;
pub mod junit;
pub mod line;
pub mod markdown;
pub mod matrix;
pub mod plan;
pub mod search;
pub mod shell;
pub mod summary;
pub mod text;
pub mod underline;

mod fault;

pub use excerpt::excerpt;
pub use format::{FORMATS, Format, Reported, Reports, Subject};
pub use line::{Line, Piece, Style};
pub use underline::underlines;

#[cfg(test)]
mod tests;
