//! What happened, or is to happen: a line for each part that began.

use super::{Place, Time};
use std::collections::BTreeMap;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    pub(super) lines: BTreeMap<Place, Line>,
    /// What came of the root; `None` where it panicked.
    pub(super) result: Option<Result<String, String>>,
    /// When nothing was left.
    pub(super) end: Time,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) began: Time,
    pub(super) deadline: Deadline,
    pub(super) ended: Time,
    pub(super) end: End,
}

/// The deadline around a part.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    At(Time),
    None,
    /// Any will do: behind a shield it depends on what has struck.
    Unknown,
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::At(one), Self::At(other)) => one == other,
            (Self::At(_), Self::None) | (Self::None, Self::At(_)) => false,
            _ => true,
        }
    }
}

impl Eq for Deadline {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Value(String),
    Error(String),
    /// Dropped, or panicked.
    Gone,
}

impl End {
    pub(super) fn of(result: &Result<String, String>) -> Self {
        match result {
            Ok(value) => Self::Value(value.clone()),
            Err(error) => Self::Error(error.clone()),
        }
    }
}

/// What the body of a group says of a child.
pub(super) fn outcome(result: &Result<String, String>) -> String {
    match result {
        Ok(value) => value.clone(),
        Err(error) => format!("!{error}"),
    }
}

/// One text of many.
pub(super) fn list(texts: &[String]) -> String {
    format!("[{}]", texts.join(" "))
}
