//! `fault NAME = …`: the family of what it does, as its first word says, and on what.

mod effect;
mod packets;
mod peer;

use chaos_core::{
    model::{Action, Comparison, Course, Fault, FaultSpec, Selector},
    span::Spanned,
};

use super::{Checker, Names};
use crate::{
    codes::Code,
    syntax::{Cursor, Item, Statement},
};

/// The word for what happens to queries for names.
const DNS: &str = "dns";

/// The word for what an injector of the harness does.
const CUSTOM: &str = "custom";

/// The words for what is done to objects of a cluster's API.
const OBJECTS: [&str; 8] = ["delete", "detach", "drain", "evict", "outage", "patch", "restart", "scale"];

/// The words for what is done to processes.
const PROCESSES: [&str; 2] = ["kill", "pause"];

/// Returns whether a word is the first of a kind of fault.
pub(super) fn is_kind(word: &str) -> bool {
    FaultSpec::KINDS.contains(&word) || word == DNS || OBJECTS.contains(&word) || PROCESSES.contains(&word)
}

/// What a fault or a change does, and to whom.
pub(super) struct Acting {
    pub(super) action: Action,
    pub(super) on: Selector,
    pub(super) proven_by: Option<Comparison>,
}

impl Checker {
    /// Checks one fault.
    pub(super) fn fault(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Fault> {
        let name = statement.name()?;
        let name = Spanned::new(name.text.to_owned(), name.span);
        let Acting { action, on, proven_by } = self.acting(statement, names)?;
        Some(Fault { name, action, on, course: Course::Steady, proven_by, span: statement.span })
    }

    /// Checks what stands behind the `=` of a fault, or of a change that is written as one.
    pub(super) fn acting(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Acting> {
        let family = statement.definition().first().and_then(Item::as_word).map(|word| word.text);
        let acting = match family {
            Some(CUSTOM) => self.custom(statement, names),
            Some(DNS) => self.queries(statement, names),
            Some(word) if OBJECTS.contains(&word) => self.objects(statement, names),
            Some(word) if PROCESSES.contains(&word) => self.processes(statement, names),
            _ => self.packets(statement, names),
        }?;
        self.counted(&acting.on)?;
        Some(acting)
    }

    /// Reads the block behind a fault, which may hold one `proven by`.
    pub(super) fn proven_by(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<Comparison> {
        let mut proven_by = None;
        if let Some(block) = cursor.take_block() {
            for line in &block.statements {
                match (line.keyword(), line.formula()) {
                    ("proven", Some(formula)) => proven_by = self.proof(formula, names),
                    _ => {
                        let message = "a fault's block holds only `proven by`";
                        self.error(Code::UnknownStatement, line.span, message).help =
                            Some("write `proven by p50(probe.latency) >= baseline + 50ms`".into());
                    }
                }
            }
        }
        proven_by
    }

    /// Says that a fault has no `on`.
    pub(super) fn without_target(&mut self, statement: &Statement<'_>) {
        let name = statement.name().map_or("", |word| word.text);
        self.error(Code::MissingLine, statement.span, format!("the fault `{name}` does not say on what"))
            .help = Some("add `on HOST`, or `on here`".into());
    }

    /// Checks what a fault is on where its kind is wrong, so that both mistakes are reported at once.
    pub(super) fn rest_of_fault(&mut self, mut cursor: Cursor<'_, '_>, names: &Names) {
        while let Some(item) = cursor.take() {
            if item.is_word("on") {
                self.selector(&mut cursor, names);
                return;
            }
        }
    }
}
