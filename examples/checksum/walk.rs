//! A directory tree, file by file.

use crate::stop::Failure;
use std::fs::{self, DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};

/// The regular files of a tree, in the order of their paths, as they are met.
///
/// It holds the directories on the way down and what is still to come in them, and never a whole tree. What can't be
/// read is an error with its path, and the walk goes on.
#[derive(Debug)]
pub(crate) struct Walk {
    /// What is to come, the next one last.
    pending: Vec<Entry>,
    skip: &'static [&'static str],
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File,
    Directory,
    /// A symbolic link, a pipe, a socket, a device.
    Other,
    Unreadable(io::Error),
}

impl Walk {
    /// Starts at `root`, through a symbolic link too, and doesn't enter the directories of `skip`.
    ///
    /// A root that is no directory counts as a file, whatever it is.
    pub(crate) fn new(root: &Path, skip: &'static [&'static str]) -> Self {
        let kind = match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => Kind::Directory,
            Ok(_) => Kind::File,
            Err(error) => Kind::Unreadable(error),
        };
        Self { pending: vec![Entry { path: root.to_owned(), kind }], skip }
    }
}

impl Iterator for Walk {
    type Item = Result<PathBuf, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Entry { path, kind } = self.pending.pop()?;
            match kind {
                Kind::File => return Some(Ok(path)),
                Kind::Directory if self.skip.iter().any(|skipped| path == Path::new(skipped)) => {}
                Kind::Directory => self.pending.extend(children(path)),
                Kind::Other => {}
                Kind::Unreadable(error) => return Some(Err(Failure { path, error })),
            }
        }
    }
}

/// What is in a directory, last name first. An error of the directory stands among it, under its own path.
fn children(directory: PathBuf) -> Vec<Entry> {
    let unreadable = |error| Entry { path: directory.clone(), kind: Kind::Unreadable(error) };
    let mut children: Vec<_> = match fs::read_dir(&directory) {
        Ok(entries) => entries.map(|entry| entry.map_or_else(unreadable, Entry::from)).collect(),
        Err(error) => vec![unreadable(error)],
    };
    children.sort_unstable_by(|one, other| other.path.as_os_str().cmp(one.path.as_os_str()));
    children
}

impl From<DirEntry> for Entry {
    fn from(entry: DirEntry) -> Self {
        let kind = entry.file_type().map_or_else(Kind::Unreadable, Kind::from);
        Self { path: entry.path(), kind }
    }
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Directory
        } else {
            Self::Other
        }
    }
}
