//! `custom "NAME" on TARGET { KEY VALUE … }`: what an injector of the embedding harness does.
//!
//! Which settings there are, and what they mean, only that injector knows: it says so when the run is planned.

use chaos_core::{
    model::{
        Action, Custom,
        action::{Setting, SettingValue},
    },
    span::Spanned,
};

use super::{Checker, Names, fault::Acting, value::quantity};
use crate::{
    codes::Code,
    diagnostic::Label,
    syntax::{Cursor, Item, ItemKind, Statement},
};

/// The words that may follow the injector's name.
const CLAUSES: &[&str] = &["on"];

impl Checker {
    /// Checks what stands behind `=` where it begins with `custom`.
    pub(super) fn custom(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Acting> {
        let mut cursor = Cursor::new(statement.definition(), statement.span);
        cursor.take();
        let injector = self.injector_name(&mut cursor)?;
        let mut on = None;
        if cursor.take_word("on").is_some() {
            on = Some(self.selector(&mut cursor, names)?);
        }
        let (mut settings, mut proven_by) = (Vec::new(), None);
        if let Some(block) = cursor.take_block() {
            for line in &block.statements {
                match (line.keyword(), line.formula()) {
                    ("proven", Some(formula)) => proven_by = self.proof(formula, names),
                    _ => settings.extend(self.setting(line)),
                }
            }
            self.set_once(&settings);
        }
        let before = self.out.len();
        self.end(&cursor, CLAUSES);
        let Some(on) = on else {
            if self.out.len() == before {
                self.without_target(statement);
            }
            return None;
        };
        Some(Acting { action: Action::Custom(Custom { injector, settings }), on, proven_by })
    }

    /// Takes the name of an injector of the harness.
    fn injector_name(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Spanned<String>> {
        let name = self.take_string(cursor, "the name of an injector in quotes")?;
        if name.is_empty() {
            self.error(Code::Misplaced, name.span, "the name of an injector is empty").help =
                Some("write the name that the program which runs this gave it: `custom \"queue\"`".into());
            return None;
        }
        Some(name)
    }

    /// Reads `KEY VALUE`.
    fn setting(&mut self, line: &Statement<'_>) -> Option<Setting> {
        let mut cursor = line.cursor();
        let Some(key) = cursor.take_any_word() else {
            self.expected(&cursor, "the name of a setting").help = Some("write `depth 3`".into());
            return None;
        };
        let key = Spanned::new(key.text.to_owned(), key.span);
        let value = match cursor.take() {
            Some(item) => self.setting_value(item)?,
            None => {
                self.error(Code::MissingLine, line.span, format!("the setting `{key}` has no value")).help =
                    Some(format!("write a number, a string or a word behind it: `{key} 3`"));
                return None;
            }
        };
        if let Some(item) = cursor.peek() {
            let message = format!("the setting `{key}` already has its value");
            self.error(Code::Misplaced, item.span, message).help =
                Some(format!("write several values in double quotes: `{key} \"…\"`"));
            return None;
        }
        Some(Setting { key, value, span: line.span })
    }

    /// Reads a number, the name of a parameter, a string or another word.
    fn setting_value(&mut self, item: &Item<'_>) -> Option<SettingValue> {
        Some(match &item.kind {
            ItemKind::Quantity(written) => SettingValue::Quantity(quantity(written)),
            ItemKind::Text(text) => SettingValue::Text(self.text(text)),
            ItemKind::Word(word) => match self.params.get(word) {
                Some(param) => SettingValue::Quantity(param.value),
                None => SettingValue::Text((*word).to_owned()),
            },
            ItemKind::Ports(ports) => SettingValue::Text(ports.to_string()),
            ItemKind::Address(address, None) => SettingValue::Text(address.to_string()),
            ItemKind::Address(address, Some(prefix)) => SettingValue::Text(format!("{address}/{prefix}")),
            ItemKind::Clock(_)
            | ItemKind::List(_)
            | ItemKind::Range(_)
            | ItemKind::Symbol(_)
            | ItemKind::Condition(_)
            | ItemKind::Formula(_)
            | ItemKind::Block(_) => {
                let message =
                    format!("a setting's value is a number, a string or a word, not {}", item.describe());
                self.error(Code::Misplaced, item.span, message).help =
                    Some("write it in double quotes: `\"…\"`".into());
                return None;
            }
        })
    }

    /// Refuses a setting that stands twice.
    fn set_once(&mut self, settings: &[Setting]) {
        for (i, setting) in settings.iter().enumerate() {
            let Some(first) = settings.iter().take(i).find(|other| other.key == setting.key) else {
                continue;
            };
            let error =
                self.error(Code::DuplicateLine, setting.span, format!("`{}` stands twice", setting.key));
            error.secondary.push(Label { span: first.span, message: "here first".into() });
            error.help = Some("remove one of them".into());
        }
    }
}
