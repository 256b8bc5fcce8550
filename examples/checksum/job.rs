//! The job: walk a tree, digest its files. It names no runtime.

use crate::console::Console;
use crate::digest::{Digest, Digested, digest};
use crate::stop::{Failure, Stop};
use crate::walk::Walk;
use anyscope::{Limiter, TaskGroup, task_group, try_gather, unblock};
use std::future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) root: PathBuf,
    /// Directories not to walk into.
    pub(crate) skip: &'static [&'static str],
    /// How many files are read at a time.
    pub(crate) limit: usize,
    pub(crate) fail_fast: bool,
    pub(crate) console: Console,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The files that could be read, in the order of their paths.
    pub(crate) lines: Vec<Line>,
    /// How long they are together.
    pub(crate) bytes: u64,
}

/// One file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
}

/// Does it, with the progress shown meanwhile.
pub(crate) async fn job(order: Arc<Order>) -> Result<Survey, Stop> {
    task_group(async |g| {
        g.task("progress").spawn(order.console.clone().refresh());
        let survey = survey(g, &order).await;
        g.cancel_with("the files have been read");
        survey
    })
    .await
}

async fn survey(g: &TaskGroup, order: &Arc<Order>) -> Result<Survey, Stop> {
    let walk = order.clone();
    let paths = whole(g.task("walk").spawn_blocking(move || walk.paths()).await?).await;
    order.console.found(paths.len());

    // Not more than `limit` are pulled, started and open at a time, however long the list is. Being children of a
    // group, those under way are cancelled with it: by the first error, at the deadline, and by Ctrl-C.
    let pool = Limiter::new(order.limit);
    let jobs = paths.iter().map(|path| order.clone().digest(path.clone(), pool.clone()));
    let mut digests = vec![None; paths.len()];
    let recorded = try_gather(jobs).limit(order.limit).parallel().for_each(async |index, digested| {
        digests[index] = digested;
        order.console.advance();
    });
    recorded.await?;

    let bytes = digests.iter().flatten().map(|digested| digested.bytes).sum();
    let lines = paths.into_iter().zip(digests);
    let lines = lines.filter_map(|(path, digested)| Some(Line { path, digest: digested?.digest })).collect();
    Ok(Survey { lines, bytes })
}

/// Takes the result of a job that blocks, or, where that one gave up, waits for the end that it saw coming.
///
/// A job looks at the clock and may know of the deadline before the timeout does. What it returns counts even then, so
/// half a result must not pass for a whole one.
async fn whole<T>(result: Option<T>) -> T {
    match result {
        Some(result) => result,
        None => future::pending().await,
    }
}

impl Order {
    /// Returns every file; `None` where it isn't wanted any more. Blocks.
    fn paths(&self) -> Result<Option<Vec<PathBuf>>, Failure> {
        let mut paths = Vec::new();
        for found in Walk::new(&self.root, self.skip) {
            if anyscope::is_cancelled() {
                return Ok(None);
            }
            paths.extend(self.tolerate(found)?);
        }
        Ok(Some(paths))
    }

    /// Digests one file on the runtime's pool for work that blocks; `None` where that failed and was told.
    async fn digest(self: Arc<Self>, path: PathBuf, pool: Limiter) -> Result<Option<Digested>, Failure> {
        let job = unblock(move || {
            let digested = digest(&path, |bytes| self.console.read(bytes));
            self.tolerate(digested.map_err(|error| Failure { path, error }))
        });
        match job.limiter(&pool).await? {
            Some(digested) => Ok(Some(whole(digested).await)),
            None => Ok(None),
        }
    }

    /// Tells of a failure and lets the rest go on, unless the first one is to end it all.
    fn tolerate<T>(&self, result: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(failure) if self.fail_fast => Err(failure),
            Err(failure) => {
                self.console.fail(&failure);
                Ok(None)
            }
        }
    }
}

impl Survey {
    /// Returns the first path that isn't in both with the same digest.
    pub(crate) fn first_difference<'a>(&'a self, other: &'a Self) -> Option<&'a Path> {
        let at = (0..self.lines.len().max(other.lines.len())).find(|&at| self.lines.get(at) != other.lines.get(at))?;
        // Where a file is missing in one, its line is the earlier of the two.
        [self.lines.get(at), other.lines.get(at)].into_iter().flatten().map(|line| &*line.path).min()
    }
}
