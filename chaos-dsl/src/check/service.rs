//! Probes of TLS and gRPC servers, and those that run a command.

use std::path::Path;

use chaos_core::{
    model::{
        ProbeKind,
        probe::{Scale, Trust},
    },
    span::Spanned,
};

use super::{Checker, Names};
use crate::syntax::Cursor;

impl Checker {
    /// Reads `tls "host:port"`.
    pub(super) fn tls(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<ProbeKind> {
        let address = self.take_string(cursor, "a host and port in quotes")?;
        self.host_and_port(&address, names).then_some(ProbeKind::Tls { address, name: None })
    }

    /// Reads `grpc "host:port"`.
    pub(super) fn grpc(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<ProbeKind> {
        let address = self.take_string(cursor, "a host and port in quotes")?;
        let kind = ProbeKind::Grpc { address: address.clone(), service: String::new(), secure: false };
        self.host_and_port(&address, names).then_some(kind)
    }

    /// Reads `exec "program and arguments"`.
    pub(super) fn exec(&mut self, cursor: &mut Cursor<'_, '_>, _names: &Names) -> Option<ProbeKind> {
        let command = self.take_string(cursor, "the command in quotes")?;
        let words = self.words(&command, "exec", "pg_isready -h db")?;
        Some(ProbeKind::Exec { words, scale: Scale::PLAIN })
    }

    /// Reads `file "ca.pem"` or `system`; a file's path is relative to the scenario.
    pub(super) fn trust(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Trust> {
        if cursor.take_word("system").is_some() {
            return Some(Trust::System);
        }
        if cursor.take_word("file").is_none() {
            self.expected(cursor, "`system`, or `file` and its path").help =
                Some("write `trust file \"ca.pem\"`".into());
            return None;
        }
        let path = self.take_string(cursor, "the file's path in quotes")?;
        let folder = self.folders.iter().find(|(file, _)| *file == path.span.file).map(|(_, folder)| folder);
        let mut beside =
            folder.map_or_else(|| path.value.clone(), |f| f.join(&path.value).display().to_string());
        // A text that stands in no file has no folder to be confined to.
        if let (Some(confined), Some(_)) = (&self.confined, folder) {
            match confined.find(Path::new(&beside)) {
                // Whoever reads it follows no link any more.
                Ok(real) if Path::new(&beside).is_symlink() => beside = real.display().to_string(),
                Ok(_) => {}
                Err(error) => {
                    self.out.push(super::load::elsewhere(&path.value, &error).at(path.span, ""));
                    return None;
                }
            }
        }
        Some(Trust::File(Spanned::new(beside, path.span)))
    }
}
