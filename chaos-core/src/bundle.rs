//! The folder of a run: everything that is kept of it.
//!
//! | file | what |
//! |---|---|
//! | `scenario/` | the file that was run, and all that it uses |
//! | `plan.json` | what was planned |
//! | `journal.jsonl` | what was owed, written before anything was touched |
//! | `events.jsonl` | everything that happened, a line each |
//! | `samples/PROBE.csv` | every measurement, as [`crate::bundle::samples`] writes it |
//! | `record.json` | the whole record |
//! | `verdict.txt`, `report.md`, `junit.xml`, `report.html` | reports |
//! | `kernel.txt` | what the kernel said before, during and after |
//! | `logs/HOST.txt` | what the programs of a host wrote |

//!
//! 1. [`Folder`] writes it, while the run goes on and when it is over.
//! 2. [`load`] reads it back, and makes sure that nothing is missing.
//! 3. [`samples`] is how measurements are kept: nothing of them is lost on the way to the file and back.
//!
//! The folder is handed in; nothing here chooses where it stands.

mod read;
pub mod samples;
mod write;

pub(crate) use read::MOST_RECORD;
pub use read::{LoadError, load};
pub use write::{Folder, keep};
