//! `probe NAME = kube …`: numbers of a cluster's own state.

use chaos_core::{
    model::{
        ProbeKind, Selector,
        cluster::Criterion,
        watched::{ObjectRef, ObjectSays, PodCount, Resource, Watched},
    },
    span::Spanned,
};

use super::{Checker, Names, join_words};
use crate::{
    codes::Code,
    suggest,
    syntax::{Cursor, Item},
};

/// What can be read.
const READINGS: [&str; 7] = ["ready", "count", "restarts", "replicas", "available", "condition", "field"];

const SHAPE: &str = "write `kube ready endpoints of service \"api\"`, `kube count of pods where app = \"api\"`, \
                     `kube available of deployment \"api\"`, or `kube condition \"Programmed\" of gateway \"edge\"`";

/// What is short for a field of a workload.
const REPLICAS: &str = "status.replicas";
const AVAILABLE: &str = "status.availableReplicas";

impl Checker {
    /// Reads what stands behind `kube`.
    pub(super) fn kube(&mut self, cursor: &mut Cursor<'_, '_>, _: &Names) -> Option<ProbeKind> {
        if !self.in_cluster {
            self.needs_cluster(cursor.previous(), "a probe of kind `kube`");
            return None;
        }
        let Some(word) = cursor.take_any_word() else {
            self.expected(cursor, "what is read of the cluster").help = Some(SHAPE.into());
            return None;
        };
        let field = |path: &str| ObjectSays::Field(Spanned::new(path.to_owned(), word.span));
        let watched = match word.text {
            "ready" if cursor.take_word("endpoints").is_some() => {
                self.of(cursor)?;
                if cursor.take_word("service").is_none() {
                    self.expected(cursor, "`service` and its name").help = Some(SHAPE.into());
                    return None;
                }
                let name = self.take_string(cursor, "the Service's name in quotes")?;
                let namespace = self.elsewhere(cursor)?;
                Watched::ReadyEndpoints(chaos_core::model::Service { name, namespace })
            }
            "ready" => self.of_pods(cursor, PodCount::Ready)?,
            "count" => self.of_pods(cursor, PodCount::All)?,
            "restarts" => self.of_pods(cursor, PodCount::Restarts)?,
            "replicas" => self.of_object(cursor, field(REPLICAS))?,
            "available" => self.of_object(cursor, field(AVAILABLE))?,
            "condition" => {
                let name = self.take_string(cursor, "the condition's type in quotes")?;
                self.of_object(cursor, ObjectSays::Condition(name))?
            }
            "field" => {
                let path = self.take_string(cursor, "the field's path in quotes")?;
                if path.is_empty() || path.split('.').any(str::is_empty) {
                    self.error(Code::Misplaced, path.span, format!("`{path}` is not the path of a field"))
                        .help = Some("write names joined by dots: `field \"status.readyReplicas\"`".into());
                    return None;
                }
                self.of_object(cursor, ObjectSays::Field(path))?
            }
            other => {
                let near = suggest::did_you_mean(other, READINGS);
                let known = format!("there is {}", join_words(&READINGS));
                self.error(Code::UnknownKind, word.span, format!("a cluster has no `{other}` to read"))
                    .advise(near.unwrap_or_else(|| known.into()));
                return None;
            }
        };
        Some(ProbeKind::Kube(watched))
    }

    fn of(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<()> {
        if cursor.take_word("of").is_none() {
            self.expected(cursor, "`of`").help = Some(SHAPE.into());
            return None;
        }
        Some(())
    }

    fn of_pods(&mut self, cursor: &mut Cursor<'_, '_>, count: PodCount) -> Option<Watched> {
        self.of(cursor)?;
        let Some(word) = cursor.peek().and_then(Item::as_word).filter(|word| word.text == "pods") else {
            self.expected(cursor, "`pods`").help = Some(SHAPE.into());
            return None;
        };
        cursor.take();
        let Some(Selector::Pods(pods)) = self.of_cluster(word, cursor) else { return None };
        if let Criterion::Of(workload) = &pods.by {
            let message = format!("the pods of a {} cannot be watched as such", workload.kind.word());
            self.error(Code::Misplaced, pods.span, message).help = Some(
                "watch them by their labels, `pods where app = \"api\"`, or read `available` of the workload"
                    .into(),
            );
            return None;
        }
        Some(Watched::Pods { pods, count })
    }

    fn of_object(&mut self, cursor: &mut Cursor<'_, '_>, says: ObjectSays) -> Option<Watched> {
        self.of(cursor)?;
        Some(Watched::Object { object: self.object(cursor)?, says })
    }

    /// Reads `KIND "name"`, with `in "namespace"` where it is not in that of the scope.
    pub(super) fn object(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<ObjectRef> {
        let kind = match cursor.peek().and_then(Item::as_word) {
            Some(word) => {
                cursor.take();
                let Some(kind) = Resource::of_word(word.text) else {
                    let words: Vec<&str> = Resource::words().collect();
                    let near = suggest::did_you_mean(word.text, words.iter().copied());
                    let known = format!(
                        "there is {}; any other by its path: `\"widgets.v1.example.com\"`",
                        join_words(&words)
                    );
                    self.error(
                        Code::UnknownKind,
                        word.span,
                        format!("no kind of object is called `{}`", word.text),
                    )
                    .advise(near.unwrap_or_else(|| known.into()));
                    return None;
                };
                kind
            }
            None => {
                let path = self.take_string(cursor, "a kind of object")?;
                let Some(kind) = Resource::of_path(&path) else {
                    self.error(Code::UnknownKind, path.span, format!("`{path}` is not the path of a kind"))
                        .help = Some(
                        "write the plural, the version and the group: `\"widgets.v1.example.com\"`".into(),
                    );
                    return None;
                };
                kind
            }
        };
        let name = self.take_string(cursor, "the object's name in quotes")?;
        let namespace = self.elsewhere(cursor)?;
        if let Some(within) = namespace.as_ref().filter(|_| kind.is_of_no_namespace()) {
            let message = format!("a {kind} is of no namespace");
            self.error(Code::Misplaced, within.span, message).help =
                Some(format!("write `{kind} \"{name}\"`"));
            return None;
        }
        Some(ObjectRef { kind, name, namespace })
    }
}
