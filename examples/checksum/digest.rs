//! The digest of one file, in bounded memory.

use sha2::digest::Output;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// How much of a file is in memory at a time, and how much is read before somebody looks whether it is still wanted.
const CHUNK: usize = 128 * 1024;

/// A SHA-256.
pub(crate) type Digest = Output<Sha256>;

/// What is known of a file that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digested {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
}

/// Reads a file to its end; tells `progress` how much at each step. Blocks.
///
/// `None` where the scope around was cancelled meanwhile, or its deadline has passed: the digest isn't wanted any more.
pub(crate) fn digest(path: &Path, progress: impl Fn(u64)) -> io::Result<Option<Digested>> {
    let mut file = BufReader::with_capacity(CHUNK, File::open(path)?);
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    while !anyscope::is_cancelled() {
        let length = match file.fill_buf() {
            Ok([]) => return Ok(Some(Digested { digest: hasher.finalize(), bytes })),
            Ok(chunk) => {
                hasher.update(chunk);
                chunk.len()
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        file.consume(length);
        bytes += length as u64;
        progress(length as u64);
    }
    Ok(None)
}
