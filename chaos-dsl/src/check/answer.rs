//! `ok when …`: what makes an answer a success.

use chaos_core::{
    model::{Unit, probe::Condition},
    span::Span,
};

use super::Checker;
use crate::{
    codes::Code,
    suggest,
    syntax::{self, Item, ItemKind, Logic, Relation},
};

impl Checker {
    pub(super) fn condition(&mut self, condition: &syntax::Condition<'_>) -> Option<Condition> {
        match condition {
            syntax::Condition::Group(inner) => self.condition(inner),
            syntax::Condition::Join(logic, all) => {
                let all: Vec<Condition> = all.iter().filter_map(|c| self.condition(c)).collect();
                Some(match logic {
                    Logic::And => Condition::All(all),
                    Logic::Or => Condition::Any(all),
                })
            }
            syntax::Condition::Test(test) => {
                let negated = test.negated != (test.relation == Relation::NotEqual);
                let found = self.test(test)?;
                Some(if negated { Condition::Not(Box::new(found)) } else { found })
            }
        }
    }

    fn test(&mut self, test: &syntax::Test<'_>) -> Option<Condition> {
        let text = |checker: &mut Self| match test.value.as_ref().and_then(Item::as_text) {
            Some(text) => Some(checker.text(text)),
            None => {
                checker
                    .error(
                        Code::Misplaced,
                        test.span,
                        format!("`{}` is compared with a string", test.key.text),
                    )
                    .help = Some("write it in double quotes: `\"…\"`".into());
                None
            }
        };
        match (test.key.text, test.relation) {
            ("status", Relation::Is | Relation::Equal | Relation::NotEqual | Relation::In) => {
                let ranges = self.statuses(test.value.as_ref()?)?;
                Some(Condition::Status(ranges))
            }
            ("status", Relation::Less | Relation::AtMost | Relation::Greater | Relation::AtLeast) => {
                let limit = self.status(test.value.as_ref()?)?;
                Some(Condition::Status(vec![match test.relation {
                    Relation::Less => (0, limit.saturating_sub(1)),
                    Relation::AtMost => (0, limit),
                    Relation::Greater => (limit + 1, u16::MAX),
                    _ => (limit, u16::MAX),
                }]))
            }
            ("body", Relation::Contains) => text(self).map(Condition::BodyContains),
            ("answer", Relation::Is | Relation::Equal | Relation::NotEqual | Relation::Contains) => {
                text(self).map(Condition::Answer)
            }
            ("header", Relation::Equal | Relation::NotEqual | Relation::Is) => {
                let name = test.of.as_ref().and_then(Item::as_text).map(|t| self.text(t));
                let value = text(self);
                Some(Condition::Header(name?, value?))
            }
            ("days_left", Relation::AtLeast) => {
                let least = self.value(test.value.as_ref()?, Unit::Seconds, "how long it is still valid")?;
                Some(Condition::DaysLeft(least.value.value))
            }
            ("exit", Relation::Is | Relation::Equal | Relation::NotEqual) => {
                let item = test.value.as_ref()?;
                let code = self.value(item, Unit::Count, "the exit code")?.value.value;
                if code.fract() != 0.0 || !(0.0..=255.0).contains(&code) {
                    self.error(Code::OutOfRange, item.span, format!("`{code}` is not an exit code")).help =
                        Some("an exit code lies between 0 and 255".into());
                    return None;
                }
                Some(Condition::Exit(code as i32))
            }
            ("output", Relation::Contains) => text(self).map(Condition::OutputContains),
            (key, _) => {
                let near = suggest::did_you_mean(
                    key,
                    ["status", "body", "header", "answer", "days_left", "exit", "output"],
                );
                const SHAPES: &str = "write `status 200`, `status in [200, 204]`, `body contains \"…\"`, `header \"name\" = \"…\"`, `answer \"10.0.0.1\"`, `days_left >= 14d`, `exit 0` or `output contains \"…\"`";
                let at = Span { end: test.span.start + key.len() as u32, ..test.span };
                self.error(Code::Misplaced, test.span, format!("`{key}` cannot be tested like this"))
                    .advise_on(at, near.unwrap_or_else(|| SHAPES.into()));
                None
            }
        }
    }

    fn statuses(&mut self, item: &Item<'_>) -> Option<Vec<(u16, u16)>> {
        match &item.kind {
            ItemKind::List(items) => {
                items.iter().map(|i| self.statuses(i).and_then(|r| r.first().copied())).collect()
            }
            ItemKind::Range(ends) => Some(vec![(self.status(&ends.0)?, self.status(&ends.1)?)]),
            _ => self.status(item).map(|s| vec![(s, s)]),
        }
    }

    fn status(&mut self, item: &Item<'_>) -> Option<u16> {
        let value = self.value(item, Unit::Count, "the status")?;
        let number = value.value.value;
        if number.fract() != 0.0 || !(100.0..=599.0).contains(&number) {
            self.error(Code::OutOfRange, value.span, format!("{value} is not an HTTP status")).help =
                Some("a status lies between 100 and 599".into());
            return None;
        }
        Some(number as u16)
    }
}
