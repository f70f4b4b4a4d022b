//! Where: a lab with its hosts, and selectors.

use crate::{
    model::{Host, Lab, Program, Selector},
    span::{Span, Spanned},
};

impl Host {
    /// Makes a single host with nothing on it.
    pub fn new(name: impl Into<Spanned<String>>) -> Self {
        Host { name: name.into(), copies: None, programs: Vec::new() }
    }

    /// Makes this number of copies of it: `api-1`, `api-2`, …
    #[must_use]
    pub fn copies(mut self, count: u32) -> Self {
        self.copies = Some(count);
        self
    }

    /// Adds a program.
    #[must_use]
    pub fn running(mut self, program: Program) -> Self {
        self.programs.push(program.into());
        self
    }
}

impl FromIterator<Host> for Lab {
    fn from_iter<I: IntoIterator<Item = Host>>(hosts: I) -> Self {
        Lab { hosts: hosts.into_iter().collect(), ..Lab::default() }
    }
}

impl Selector {
    /// Returns the selector of this machine's own network namespace.
    pub fn here() -> Self {
        Selector::Here(Span::NONE)
    }

    /// Returns the selector of lab hosts by name or glob.
    pub fn hosts(name: impl Into<Spanned<String>>) -> Self {
        Selector::Hosts(name.into())
    }

    /// Returns the selector of a named network namespace.
    pub fn netns(name: impl Into<Spanned<String>>) -> Self {
        Selector::Netns(name.into())
    }
}
