//! What comes out: lines as `sha256sum` writes them, and a table of the runtimes.

use crate::digest::Digest;
use crate::job::{Line, Survey};
use crate::stop::Stop;
use anyscope::CancelToken;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::time::Duration;

/// Prints the lines. A reader that has seen enough, `head` for one, ends that quietly.
pub(crate) fn print(lines: &[Line], token: &CancelToken) -> Result<(), Stop> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in lines {
        if let Some(reason) = token.reason() {
            return Err(Stop::Interrupted(reason));
        }
        match line.write_to(&mut out) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(Stop::Unwritable)?,
        }
    }
    match out.flush() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        flushed => flushed.map_err(Stop::Unwritable),
    }
}

impl Line {
    /// Writes the digest, two spaces, and the bytes of the name, whatever they are.
    ///
    /// A name that would break the line, or be taken for one that was escaped, is escaped; a backslash in front of the
    /// digest says so.
    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let name = escape(self.path.as_os_str().as_encoded_bytes());
        if let Cow::Owned(_) = name {
            out.write_all(b"\\")?;
        }
        write!(out, "{:x}  ", self.digest)?;
        out.write_all(&name)?;
        out.write_all(b"\n")
    }
}

fn escape(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r')) {
        return Cow::Borrowed(name);
    }
    let mut escaped = Vec::with_capacity(name.len() + 1);
    for byte in name {
        match byte {
            b'\\' => escaped.extend(br"\\"),
            b'\n' => escaped.extend(br"\n"),
            b'\r' => escaped.extend(br"\r"),
            _ => escaped.push(*byte),
        }
    }
    Cow::Owned(escaped)
}

/// How each runtime did, and whether they agree.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    difference: Option<Difference>,
}

#[derive(Debug)]
struct Row {
    runtime: &'static str,
    files: usize,
    bytes: u64,
    took: Duration,
    digest: Digest,
}

#[derive(Debug)]
struct Difference {
    runtime: &'static str,
    path: PathBuf,
}

impl Table {
    pub(crate) fn add(&mut self, runtime: &'static str, survey: &Survey, took: Duration) {
        let Survey { lines, bytes } = survey;
        self.rows.push(Row { runtime, files: lines.len(), bytes: *bytes, took, digest: digest_of(lines) });
    }

    /// Compares what a runtime found with what the first one did, and keeps where they part, if nothing did before.
    pub(crate) fn compare(&mut self, runtime: &'static str, first: &Survey, survey: &Survey) {
        if self.difference.is_none() {
            let path = first.first_difference(survey);
            self.difference = path.map(|path| Difference { runtime, path: path.to_owned() });
        }
    }

    pub(crate) fn all_equal(&self) -> bool {
        self.difference.is_none()
    }
}

/// The digest of the lines as they are printed.
fn digest_of(lines: &[Line]) -> Digest {
    let mut hasher = Sha256::new();
    for line in lines {
        // A hasher takes whatever is written to it.
        let _ = line.write_to(&mut hasher);
    }
    hasher.finalize()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20} {:>9} {:>14} {:>9}  digest of digests", "runtime", "files", "bytes", "seconds")?;
        for Row { runtime, files, bytes, took, digest } in &self.rows {
            writeln!(f, "{runtime:<20} {files:>9} {bytes:>14} {:>9.3}  {digest:x}", took.as_secs_f64())?;
        }
        match (&self.difference, &*self.rows) {
            (Some(Difference { runtime, path }), [first, ..]) => {
                write!(f, "not equal: {} and {runtime} differ, first at {path:?}", first.runtime)
            }
            (_, [_]) => write!(f, "one runtime, nothing to compare"),
            (_, rows) => write!(f, "all equal: {} runtimes, the same lines", rows.len()),
        }
    }
}
