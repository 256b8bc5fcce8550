//! What a program does, as a picture: a file that [Perfetto](https://ui.perfetto.dev) and `chrome://tracing` show.
//!
//! [`to_file`] watches every group that is opened from then on, on any runtime, until what it returns is dropped. Each task has
//! a track below its group, labelled with its name and where it was spawned. On it stand the life of the task, its polls, and
//! between two polls what the first came to wait for; then how the task ended, and why. Arrows lead from where a task was
//! spawned or woken to its next poll. A track is used again by a task of the same name and line, once the one before has
//! ended.
//!
//! The file is one of JSON in the Chrome trace format, with times of the clock on the wall, in microseconds. It is written as
//! the program goes, in pieces that end between two events; memory is for the tasks that live, the tracks, and 64 KiB. So the
//! file of a program that was killed can be opened as it is: what it lacks is the end of the list, which a viewer does without,
//! and the last piece, of 64 KiB at most, which [`Trace::flush`] writes.
//!
//! What goes wrong with the file doesn't disturb the program: the trace ends there, and [`Trace::finish`] tells.
//!
//! # Examples
//!
//! ```
//! use anyscope::task_group;
//!
//! # fn main() -> std::io::Result<()> {
//! let path = std::env::temp_dir().join(format!("trace-{}.json", std::process::id()));
//! let trace = anyscope::trace::to_file(&path)?;
//! # #[cfg(feature = "smol")]
//! anyscope::run(anyscope::smol::Smol::new(), task_group(async |g| {
//!     g.task("greeter").spawn(async { anyscope::yield_now().await });
//! }));
//! let written = trace.finish()?;
//! assert!(!written.is_cut());
//! # #[cfg(feature = "smol")]
//! assert!(std::fs::read_to_string(&path)?.contains("greeter"));
//! # std::fs::remove_file(&path)
//! # }
//! ```

use anyscope_core::observe::chrome::Chrome;
use anyscope_core::observe::{self, Ended, Event, Installed, Observer};
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A piece that is written at once.
const PIECE: usize = 64 << 10;

/// What viewers still open.
const LIMIT: u64 = 256 << 20;

/// How long a piece is kept that isn't full, where something happens.
const KEPT: Duration = Duration::from_millis(100);

/// Writes a trace to the file at `path`, which is made, or emptied, until what this returns is dropped or finished.
///
/// # Errors
///
/// Where the file can't be made.
pub fn to_file(path: impl AsRef<Path>) -> io::Result<Trace> {
    builder().to_file(path)
}

/// Returns what a trace is made with.
pub fn builder() -> TraceBuilder {
    TraceBuilder { limit: LIMIT }
}

/// Says what a trace is to be. Made by [`builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is recorded before `to_file`"]
pub struct TraceBuilder {
    limit: u64,
}

impl TraceBuilder {
    /// Has the file end at about so many bytes; without it, at 256 MiB, which viewers still open.
    ///
    /// Where it is reached, what is open is closed, at 200 bytes or so for each task that lives, a last event says so, and
    /// nothing more is recorded: the file is the beginning of what happened. The program goes on.
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Begins to write to the file at `path`, which is made, or emptied.
    ///
    /// # Errors
    ///
    /// Where the file can't be made.
    pub fn to_file(self, path: impl AsRef<Path>) -> io::Result<Trace> {
        let file = File::create(path)?;
        let (chrome, now) = (Chrome::default(), Instant::now());
        let log = Log {
            chrome,
            file: Some(file),
            start: now,
            written_at: now,
            bytes: 0,
            limit: self.limit,
            is_cut: false,
            error: None,
        };
        let recorder = Arc::new(Recorder(Mutex::new(log)));
        Ok(Trace { installed: Some(observe::install(recorder.clone())), recorder })
    }
}

/// A trace that is being written, until this is dropped or finished. Made by [`to_file`].
///
/// Its drop writes the rest, and says nothing where that fails: [`finish`](Self::finish) does. A program that ends by
/// [`std::process::exit`], or by a signal, drops nothing: [`flush`](Self::flush) before.
#[must_use = "the trace ends where this is dropped"]
pub struct Trace {
    installed: Option<Installed>,
    recorder: Arc<Recorder>,
}

impl Trace {
    /// Ends the trace, and writes the rest of the file.
    ///
    /// Tasks that live go on, and their tracks end here.
    ///
    /// # Errors
    ///
    /// The first that was met in writing, at any time. The trace ended there.
    pub fn finish(mut self) -> io::Result<Written> {
        self.end()
    }

    /// Writes what has been recorded so far, for who is about to kill the process.
    ///
    /// # Errors
    ///
    /// The first that was met in writing, at any time. The trace ended there.
    pub fn flush(&self) -> io::Result<()> {
        let mut log = self.recorder.log();
        log.write();
        match &log.error {
            Some(error) => Err(same(error)),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> io::Result<Written> {
        // Whoever is told of something meanwhile finds no file.
        drop(self.installed.take());
        let mut log = self.recorder.log();
        log.close(None);
        match log.error.take() {
            Some(error) => Err(error),
            None => Ok(Written { bytes: log.bytes, is_cut: log.is_cut }),
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").finish_non_exhaustive()
    }
}

/// What became of a trace. Returned by [`Trace::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    bytes: u64,
    is_cut: bool,
}

impl Written {
    /// Returns how many bytes the file has.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns whether the [limit](TraceBuilder::limit) was reached: then the file has the beginning of what happened.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// One lock, a leaf: nothing is called while it is held but the file, and times are taken under it, so that those of
/// the file are in order.
struct Recorder(Mutex<Log>);

struct Log {
    chrome: Chrome,
    /// Until the trace has ended.
    file: Option<File>,
    start: Instant,
    written_at: Instant,
    bytes: u64,
    limit: u64,
    is_cut: bool,
    error: Option<io::Error>,
}

impl Recorder {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Recorder {
    fn observe(&self, event: &Event<'_>) {
        let mut log = self.log();
        if log.file.is_none() {
            return;
        }
        let now = Instant::now();
        let at = now.saturating_duration_since(log.start);
        record(log.chrome.at(at, None), event);
        let pending = log.chrome.text().len();
        if pending >= PIECE || (pending > 0 && now.saturating_duration_since(log.written_at) >= KEPT) {
            log.write();
            log.written_at = now;
        }
        if log.bytes + log.chrome.text().len() as u64 >= log.limit {
            log.is_cut = true;
            log.close(Some("the trace ends here: its limit is reached"));
        }
    }
}

fn record(chrome: &mut Chrome, event: &Event<'_>) {
    match *event {
        Event::GroupOpened { group, parent, task, name, location } => {
            chrome.group_opened(
                group.get(),
                parent.map(|group| group.get()),
                task.map(|task| task.get()),
                name,
                location,
            );
        }
        Event::GroupEnded { group } => chrome.group_ended(group.get()),
        Event::Spawned { task, group, role, by } => {
            let by = by.map(|by| by.get());
            chrome.spawned(task.id().get(), group.get(), by, task.name(), task.location(), role);
        }
        Event::Woken { task, by } => chrome.woken(task.get(), by.map(|by| by.get())),
        Event::CancelRequested { reason, by } => chrome.cancel_requested(by.map(|by| by.get()), reason),
        Event::Polled { task } => chrome.polled(task.get()),
        Event::Pending { task } => chrome.pending(task.get()),
        Event::Ending { task } => chrome.ending(task.get()),
        Event::Ended { task, how } => {
            let (how, reason): (_, Option<&dyn Display>) = match &how {
                Ended::Completed => ("completed", None),
                Ended::Failed => ("failed", None),
                Ended::Cancelled(reason) => ("cancelled", Some(reason)),
                Ended::Panicked(message) => ("panicked", Some(message)),
                _ => ("runtime gone", None),
            };
            chrome.ended(task.get(), how, reason);
        }
        Event::Waits { task: Some(task), on } => chrome.waits(task.get(), &on, |task| Some(task.get())),
        _ => {}
    }
}

impl Log {
    /// Writes what there is; after an error, the trace has ended.
    fn write(&mut self) {
        let Some(file) = &mut self.file else { return };
        let text = self.chrome.text_mut();
        match file.write_all(text.as_bytes()) {
            Ok(()) => self.bytes += text.len() as u64,
            Err(error) => {
                self.error = Some(error);
                self.file = None;
                self.chrome = Chrome::default();
            }
        }
        self.chrome.text_mut().clear();
    }

    /// Closes what is open, and the file.
    fn close(&mut self, why: Option<&str>) {
        if self.file.is_none() {
            return;
        }
        let at = self.start.elapsed();
        let chrome = self.chrome.at(at, None);
        if let Some(why) = why {
            chrome.noted(why, None, None);
        }
        chrome.close();
        chrome.end();
        self.write();
        self.file = None;
        drop(mem::take(&mut self.chrome));
    }
}

/// An error that is told twice.
fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other(error.to_string()),
    }
}
