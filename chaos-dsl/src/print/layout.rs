//! Lines: indentation, blocks, and what is aligned with what.

use super::MAX_WIDTH;
use super::item::{item, items};
use crate::syntax::{Block, Item, ItemKind, Statement, Symbol, Trivia};
use crate::words;

/// Collects the printed text.
#[derive(Default)]
pub(super) struct Printer {
    pub(super) out: String,
}

/// What a line is aligned with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    /// `"name": formula`: the formulas of neighbours stand below each other.
    Label,
    /// `timeout 2s`: the values of neighbours stand below each other.
    Setting,
    /// `host gw { … }`: the blocks of neighbours stand below each other.
    Hosts,
    /// Nothing.
    None,
}

/// A statement that fits on one line, cut where it may be aligned.
struct Row {
    column: Column,
    head: String,
    tail: String,
}

impl Printer {
    /// Prints statements one below the other.
    pub(super) fn statements(&mut self, statements: &[Statement<'_>], trailing: &[Trivia<'_>], depth: usize) {
        let mut from = 0;
        while from < statements.len() {
            // A run of neighbours: no blank line, comment or longer statement between them.
            let rows: Vec<Row> = statements[from..]
                .iter()
                .enumerate()
                .take_while(|(i, statement)| *i == 0 || statement.leading.is_empty())
                .map_while(|(_, statement)| row(statement, depth))
                .collect();
            self.trivia(&statements[from].leading, depth);
            if rows.is_empty() {
                self.long(&statements[from], depth);
                from += 1;
                continue;
            }
            let run = &statements[from..from + rows.len()];
            from += rows.len();
            self.run(run, &rows, depth);
        }
        self.trivia(trailing, depth);
    }

    fn run(&mut self, statements: &[Statement<'_>], rows: &[Row], depth: usize) {
        let width = |column: Column| {
            let heads = rows.iter().filter(|row| row.column == column && !row.tail.is_empty());
            heads.map(|row| row.head.chars().count()).max().unwrap_or(0)
        };
        let widths = [Column::Label, Column::Setting, Column::Hosts].map(|column| (column, width(column)));
        let lines: Vec<String> = rows
            .iter()
            .map(|row| {
                let width =
                    widths.iter().find(|(column, _)| *column == row.column).map_or(0, |(_, width)| *width);
                if row.tail.is_empty() {
                    row.head.clone()
                } else {
                    format!("{:width$} {}", row.head, row.tail)
                }
            })
            .collect();
        let mut at = 0;
        while at < lines.len() {
            let commented =
                statements[at..].iter().take_while(|statement| statement.comment.is_some()).count();
            let group = commented.max(1);
            let width = lines[at..at + group].iter().map(|line| line.chars().count()).max().unwrap_or(0);
            for (line, statement) in lines[at..at + group].iter().zip(&statements[at..]) {
                self.indent(depth);
                self.out.push_str(line);
                if let Some(comment) = statement.comment {
                    let pad = width - line.chars().count() + 2;
                    self.out.extend(std::iter::repeat_n(' ', pad));
                    self.out.push_str(comment);
                }
                self.out.push('\n');
            }
            at += group;
        }
    }

    /// Prints a statement with a block over several lines, or a string over several lines.
    fn long(&mut self, statement: &Statement<'_>, depth: usize) {
        self.indent(depth);
        if let Some(label) = &statement.label {
            item(&mut self.out, label);
            self.out.push_str(": ");
        }
        let mut plain = 0;
        for (i, current) in statement.items.iter().enumerate() {
            let ItemKind::Block(block) = &current.kind else { continue };
            items(&mut self.out, &statement.items[plain..i]);
            plain = i + 1;
            if i > 0 {
                self.out.push(' ');
            }
            self.block(block, depth);
            if plain < statement.items.len() && !statement.items[plain].is_symbol(Symbol::Comma) {
                self.out.push(' ');
            }
        }
        items(&mut self.out, &statement.items[plain..]);
        if let Some(comment) = statement.comment {
            self.out.push_str("  ");
            self.out.push_str(comment);
        }
        self.out.push('\n');
    }

    fn block(&mut self, block: &Block<'_>, depth: usize) {
        let line = self.out.len() - self.out.rfind('\n').map_or(0, |i| i + 1);
        if let Some(text) = one_line(block)
            && line + text.chars().count() <= MAX_WIDTH
        {
            self.out.push_str(&text);
            return;
        }
        self.out.push('{');
        if let Some(comment) = block.comment {
            self.out.push_str("  ");
            self.out.push_str(comment);
        }
        self.out.push('\n');
        self.statements(&block.statements, &block.trailing, depth + 1);
        self.indent(depth);
        self.out.push('}');
    }

    fn trivia(&mut self, trivia: &[Trivia<'_>], depth: usize) {
        for line in trivia {
            if let Trivia::Comment(comment) = line {
                self.indent(depth);
                self.out.push_str(comment);
            }
            self.out.push('\n');
        }
    }

    fn indent(&mut self, depth: usize) {
        self.out.extend(std::iter::repeat_n(' ', depth * 2));
    }
}

/// Returns a statement as a line, if it is one that fits.
fn row(statement: &Statement<'_>, depth: usize) -> Option<Row> {
    for current in &statement.items {
        if let ItemKind::Block(block) = &current.kind {
            one_line(block)?;
        }
    }
    let (column, cut) = column(statement);
    let (mut head, mut tail) = (String::new(), String::new());
    match &statement.label {
        Some(label) => {
            item(&mut head, label);
            head.push(':');
            items(&mut tail, &statement.items);
        }
        None => {
            items(&mut head, &statement.items[..cut]);
            items(&mut tail, &statement.items[cut..]);
        }
    }
    if head.contains('\n') || tail.contains('\n') {
        return None;
    }
    let has_block = statement.items.iter().any(|item| matches!(item.kind, ItemKind::Block(_)));
    let width = depth * 2 + head.chars().count() + 1 + tail.chars().count();
    (!has_block || width <= MAX_WIDTH).then_some(Row { column, head, tail })
}

/// Returns what a statement is aligned with, and how many of its items stand before the column.
fn column(statement: &Statement<'_>) -> (Column, usize) {
    let items = &statement.items;
    let keyword = statement.keyword();
    if statement.label.is_some() {
        return (Column::Label, 0);
    }
    if keyword == "host" && statement.block().is_some() {
        return (Column::Hosts, items.len() - 1);
    }
    let second = statement.name().map_or("", |word| word.text);
    let defines = words::DEFINITIONS.contains(&keyword) || keyword == "host";
    let block = items.iter().any(|item| matches!(item.kind, ItemKind::Block(_)));
    let symbol = items.get(1).is_some_and(|item| matches!(item.kind, ItemKind::Symbol(_)));
    if keyword.is_empty() || defines || block || symbol || words::PHRASES.contains(&(keyword, second)) {
        return (Column::None, items.len());
    }
    (Column::Setting, 1)
}

/// Returns a block on one line, if it may stand there.
fn one_line(block: &Block<'_>) -> Option<String> {
    if block.comment.is_some() || !block.trailing.is_empty() {
        return None;
    }
    if block.statements.is_empty() {
        return Some("{}".to_owned());
    }
    let plain = |item: &Item<'_>| match &item.kind {
        ItemKind::Block(inner) => one_line(inner).is_some(),
        _ => true,
    };
    let simple = |s: &Statement<'_>| s.leading.is_empty() && s.comment.is_none() && s.items.iter().all(plain);
    if !block.one_line || !block.statements.iter().all(simple) {
        return None;
    }
    let mut out = String::new();
    inline_block(&mut out, block);
    (!out.contains('\n')).then_some(out)
}

/// Appends a block on one line.
pub(super) fn inline_block(out: &mut String, block: &Block<'_>) {
    if block.statements.is_empty() {
        out.push_str("{}");
        return;
    }
    out.push_str("{ ");
    for (i, statement) in block.statements.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { ", " });
        if let Some(label) = &statement.label {
            item(out, label);
            out.push_str(": ");
        }
        items(out, &statement.items);
    }
    out.push_str(" }");
}
