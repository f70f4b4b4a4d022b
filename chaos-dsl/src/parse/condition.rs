//! Conditions behind `where` and `ok when`.

use super::token::Kind;
use super::{Cursor, Failed, MAX_ITEMS};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::suggest::Advice;
use crate::syntax::{Condition, Item, ItemKind, Logic, Relation, Test, Word};
use crate::words;

impl<'a> Cursor<'a> {
    /// Reads tests joined by `and` or `or`.
    pub(super) fn condition(&mut self) -> Result<Condition<'a>, Failed> {
        let first = self.operand()?;
        let Some(logic) = self.logic() else { return Ok(first) };
        let mut operands = vec![first];
        while self.joins(logic, operands.len())? {
            operands.push(self.operand()?);
        }
        Ok(Condition::Join(logic, operands))
    }

    /// Returns the joining word at the current place.
    pub(super) fn logic(&self) -> Option<Logic> {
        match self.word()? {
            "and" => Some(Logic::And),
            "or" => Some(Logic::Or),
            _ => None,
        }
    }

    /// Takes a joining word, which must be the same as those before it.
    pub(super) fn joins(&mut self, logic: Logic, operands: usize) -> Result<bool, Failed> {
        let Some(found) = self.logic() else { return Ok(false) };
        let token = self.token();
        if operands > MAX_ITEMS {
            return Err(self.too_much(
                token.start,
                token.end,
                &format!("more than {MAX_ITEMS} parts in one formula"),
            ));
        }
        if found != logic {
            let (a, b) = (logic.as_str(), found.as_str());
            self.report(
                Diagnostic::new(Code::MixedLogic, "`and` and `or` are mixed without parentheses")
                    .at(self.span_of(token), format!("`{b}` after `{a}`"))
                    .help(format!("write `(p {a} q) {b} r` or `p {a} (q {b} r)`")),
            );
            return Err(Failed);
        }
        self.advance();
        self.operand_follows(token)?;
        Ok(true)
    }

    fn operand(&mut self) -> Result<Condition<'a>, Failed> {
        if self.kind() != Kind::OpenParen {
            return self.test().map(Condition::Test);
        }
        let open = self.advance();
        self.continue_line();
        let inner = self.deeper(Self::condition)?;
        self.continue_line();
        if self.eat(Kind::CloseParen).is_none() {
            return Err(self.unclosed(open, ")"));
        }
        Ok(Condition::Group(Box::new(inner)))
    }

    fn test(&mut self) -> Result<Test<'a>, Failed> {
        let start = self.token().start;
        let negated = self.eat_word("not").is_some();
        let token = self.token();
        if token.kind != Kind::Word {
            return Err(self
                .expected("what to test", Some("a condition is written `app = \"name\"` or `status 200`")));
        }
        self.advance();
        let key = Word { text: self.token_text(token), span: self.span_of(token) };
        let mut of = None;
        if self.kind() == Kind::Text && self.relation_at(1).is_some() {
            of = Some(self.value("a string")?);
        }
        let (relation, value) = match self.relation_at(0) {
            Some(relation) => {
                let sign = self.advance();
                if sign.kind == Kind::EqualEqual {
                    self.report(
                        Diagnostic::new(Code::WrongEquals, "a condition compares with `=`")
                            .at(self.span_of(sign), "expected `=`")
                            .help(Advice::replace("write `=`; `==` stands in formulas", "=")),
                    );
                }
                self.operand_follows(sign)?;
                (relation, Some(self.tested_value()?))
            }
            None => match self.kind() {
                Kind::Number | Kind::Text | Kind::BlockText | Kind::OpenList => {
                    (Relation::Is, Some(self.value("a value")?))
                }
                Kind::Bad => return Err(Failed),
                _ => (Relation::Exists, None),
            },
        };
        Ok(Test { negated, key, of, relation, value, span: self.span_from(start) })
    }

    fn tested_value(&mut self) -> Result<Item<'a>, Failed> {
        let token = self.token();
        if token.kind == Kind::Word
            && words::is_reserved(self.token_text(token))
            && self.token_text(token) != "here"
        {
            return Err(self.expected("a value", None));
        }
        let value = self.value("a value")?;
        if let ItemKind::Word(_) = value.kind
            && self.kind() == Kind::Minus
        {
            return Err(
                self.expected("the end of the condition", Some("put values with signs in double quotes"))
            );
        }
        Ok(value)
    }

    /// Returns the relation that a coming token stands for.
    fn relation_at(&self, ahead: usize) -> Option<Relation> {
        Some(match self.nth(ahead).kind {
            Kind::Equals | Kind::EqualEqual => Relation::Equal,
            Kind::NotEqual => Relation::NotEqual,
            Kind::Less => Relation::Less,
            Kind::AtMost => Relation::AtMost,
            Kind::Greater => Relation::Greater,
            Kind::AtLeast => Relation::AtLeast,
            Kind::Word => match self.nth_word(ahead)? {
                "in" => Relation::In,
                "contains" => Relation::Contains,
                "matches" => Relation::Matches,
                _ => return None,
            },
            _ => return None,
        })
    }
}
