//! A diagnostic with its sources, as miette wants it.

use std::{
    fmt::{self, Display},
    ops::Range,
};

use chaos_core::span::Span;
use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::{Diagnostic, Label, Remark, Severity};
use crate::codes::Code;
use crate::source::{SourceFile, SourceMap};

/// A diagnostic that can be rendered: any miette report handler takes it.
#[derive(Debug)]
pub struct Report<'a> {
    remark: &'a Remark,
    code: Option<Code>,
    source: Option<Excerpt<'a>>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Elsewhere<'a>>,
}

/// A label that stands in another file than the primary one.
#[derive(Debug)]
struct Elsewhere<'a> {
    message: &'a str,
    source: Excerpt<'a>,
    label: LabeledSpan,
}

impl<'a> Report<'a> {
    /// Pairs a diagnostic with the files it speaks of.
    pub fn new(diagnostic: &'a Diagnostic, sources: &'a SourceMap) -> Self {
        Report {
            code: Some(diagnostic.code),
            ..Report::drawn(&diagnostic.remark, &diagnostic.secondary, sources)
        }
    }

    /// Pairs a remark that has no code, such as one of a run, with the file it speaks of.
    pub fn of(remark: &'a Remark, sources: &'a SourceMap) -> Self {
        Report::drawn(remark, &[], sources)
    }

    fn drawn(remark: &'a Remark, secondary: &'a [Label], sources: &'a SourceMap) -> Self {
        let (span, file) = (remark.span, |span: Span| sources.file(span.file));
        let mut report =
            Report { remark, code: None, source: None, labels: Vec::new(), elsewhere: Vec::new() };
        let Some(source) = file(span) else { return report };
        let source = Excerpt { file: source };
        report.source = Some(source);
        let message = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        report.labels.push(LabeledSpan::new_primary_with_span(message(&remark.label), source.clip(span)));
        let cut = source.is_cut(span);
        for label in secondary {
            let Some(other) = file(label.span) else { continue };
            let other = Excerpt { file: other };
            let labelled = LabeledSpan::new_with_span(message(&label.message), other.clip(label.span));
            if label.span.file == span.file && !cut && !other.is_cut(label.span) {
                report.labels.push(labelled);
            } else {
                report.elsewhere.push(Elsewhere { message: &label.message, source: other, label: labelled });
            }
        }
        report
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.remark.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.code.map(|code| Box::new(code) as Box<dyn Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.remark.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.remark.help.as_ref().map(|help| Box::new(help) as Box<dyn Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().cloned()) as _)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        if self.elsewhere.is_empty() {
            return None;
        }
        Some(Box::new(self.elsewhere.iter().map(|e| e as &dyn miette::Diagnostic)))
    }
}

impl Display for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.message.is_empty() { "see also" } else { self.message })
    }
}

impl std::error::Error for Elsewhere<'_> {}

impl miette::Diagnostic for Elsewhere<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(miette::Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(self.label.clone())))
    }
}

/// A file as miette reads it: named, and with overlong lines cut around the label.
#[derive(Clone, Copy, Debug)]
struct Excerpt<'a> {
    file: &'a SourceFile,
}

impl Excerpt<'_> {
    fn is_cut(&self, span: Span) -> bool {
        self.file.is_cut(span.start)
    }

    /// Returns the span as miette takes it.
    fn clip(&self, span: Span) -> SourceSpan {
        let bytes = self.file.clip(span);
        (bytes.start, bytes.len()).into()
    }
}

impl SourceCode for Excerpt<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let text = &self.file.text;
        let name = self.file.name.clone();
        let line = self.file.line_around(span.offset() as u32);
        if self.file.is_cut(line.start as u32) {
            let Range { start, end } = self.file.shown(&(span.offset()..span.offset() + span.len()));
            let position = self.file.position(start as u32);
            return Ok(Box::new(MietteSpanContents::new_named(
                name,
                &text.as_bytes()[start..end],
                (start, end - start).into(),
                position.line as usize - 1,
                position.column as usize - 1,
                1,
            )));
        }
        // A neighbour line may be overlong too: then the label's own line stands alone.
        let long_neighbour = |byte: usize| self.file.is_cut(byte as u32);
        let last = self.file.line_around((span.offset() + span.len()) as u32);
        let near =
            long_neighbour(line.start.saturating_sub(1)) || long_neighbour((last.end + 1).min(text.len()));
        let (before, after) = if near { (0, 0) } else { (before, after) };
        let inner = text.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            name,
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}
