//! Standard error: how far it is, and what went wrong on the way.

use crate::stop::Failure;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::collections::HashSet;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often the progress is drawn anew.
const REFRESH: Duration = Duration::from_millis(100);

/// A progress bar where standard error is a terminal, and the messages beside it. A clone is the same console.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    bar: ProgressBar,
    bytes: Arc<AtomicU64>,
    failures: Arc<Mutex<HashSet<String>>>,
}

impl Console {
    /// Makes a console that shows nothing yet.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::no_length();
        let template = "{spinner} {prefix} [{bar:30}] {human_pos}/{human_len} files, {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, bytes: Arc::default(), failures: Arc::default() }
    }

    /// Starts anew for the next runtime.
    pub(crate) fn begin(&self, runtime: &'static str) {
        // Ordering: Relaxed, here and below; it is a number to look at and orders nothing.
        self.bytes.store(0, Ordering::Relaxed);
        self.bar.unset_length();
        self.bar.reset();
        self.bar.set_prefix(runtime);
    }

    /// Sets how many files there are.
    pub(crate) fn found(&self, files: usize) {
        self.bar.set_length(files as u64);
    }

    /// Counts what was read of a file.
    pub(crate) fn read(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a file that was dealt with.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }

    /// Draws how much was read, again and again, until it is cancelled; a single large file moves too.
    pub(crate) async fn refresh(self) {
        if self.bar.is_hidden() {
            return;
        }
        let mut ticks = anyscope::interval(REFRESH);
        loop {
            ticks.tick().await;
            self.bar.set_message(HumanBytes(self.bytes.load(Ordering::Relaxed)).to_string());
            self.bar.tick();
        }
    }

    /// Tells of a failure once, though every runtime meets it.
    pub(crate) fn fail(&self, failure: &Failure) {
        let message = failure.to_string();
        let is_new = self.failures.lock().unwrap_or_else(PoisonError::into_inner).insert(message.clone());
        if is_new {
            self.say(message);
        }
    }

    /// Returns whether anything failed.
    pub(crate) fn has_failures(&self) -> bool {
        !self.failures.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Says something, above the bar.
    pub(crate) fn say(&self, message: impl Display) {
        self.bar.suspend(|| write(format_args!("checksum: {message}")));
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Writes a line to standard error. Where that is closed there is nobody left to tell.
pub(crate) fn write(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
