//! The scenario language, from text to a tree and back.
//!
//! 1. [`read`] reads files within their limits, [`source`] keeps them and knows lines and columns.
//! 2. [`parse()`] turns text into a [`syntax::File`] and goes on after a mistake, so that one run reports all of them.
//! 3. [`print()`] turns a tree into the one canonical layout; [`format()`] does both and proves that nothing was lost.
//!
//! 4. [`check`] gives a tree its meaning: [`compile()`] and [`compile_file()`] go all the way from text to
//!    [`chaos_core::model::Experiment`]s.
//! 5. [`eval`] makes a formula of text that stands alone something that recorded signals can be judged by.
//!
//! The grammar knows shape only: which words a fault or a probe takes is not this phase's business, so a new kind of
//! fault never touches it. [`syntax`] is the whole border to what follows.
//!
//! ```
//! let text = "experiment \"loss\" { fault lossy = loss 5% on api }\n";
//! let parsed = chaos_dsl::parse(Default::default(), text);
//! assert!(parsed.diagnostics.is_empty());
//! let fault = &parsed.tree.statements[0].block().unwrap().statements[0];
//! assert_eq!(fault.keyword(), "fault");
//! assert_eq!(fault.name().unwrap().text, "lossy");
//! assert_eq!(chaos_dsl::format(text).unwrap(), text);
//! ```

pub mod check;
pub mod codes;
mod confined;
pub mod diagnostic;
pub mod eval;
pub mod parse;
pub mod print;
pub mod read;
pub mod source;
pub mod suggest;
pub mod syntax;
pub mod words;

pub use check::{Asked, Compiled, compile, compile_file};
pub use codes::Code;
pub use confined::Given;
pub use diagnostic::{Diagnostic, Severity};
pub use parse::{Parsed, parse};
pub use print::{format, print};
pub use source::SourceMap;
