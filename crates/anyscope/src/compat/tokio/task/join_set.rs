//! [`JoinSet`]: tasks that are joined as they end.

use super::{AbortHandle, Id, JoinError, JoinHandle, spawn, spawn_blocking};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Tasks with values of one type, joined in the order in which they end. Dropping it aborts them all.
///
/// # Examples
///
/// ```
/// use anyscope::compat::tokio::task::JoinSet;
///
/// anyscope::run(anyscope::smol::Smol::new(), async {
///     let mut set = JoinSet::new();
///     for n in 1..=3 {
///         set.spawn(async move { n * n });
///     }
///     let mut sum = 0;
///     while let Some(square) = set.join_next().await {
///         sum += square.unwrap();
///     }
///     assert_eq!(sum, 14);
/// });
/// ```
pub struct JoinSet<T> {
    tasks: HashMap<usize, JoinHandle<T>>,
    next: usize,
    ended: Arc<Ended>,
}

/// Which have ended and haven't been joined.
struct Ended(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    keys: VecDeque<usize>,
    waiter: Option<Waker>,
}

impl Ended {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, key: usize) {
        let waiter = {
            let mut queue = self.queue();
            queue.keys.push_back(key);
            queue.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

/// What a task wakes at its end.
struct Told {
    ended: Arc<Ended>,
    key: usize,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.ended.push(self.key);
    }
}

impl<T> JoinSet<T> {
    /// Makes a set without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self { tasks: HashMap::new(), next: 0, ended: Arc::new(Ended(Mutex::default())) }
    }

    /// Returns how many tasks haven't been joined.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Returns whether all tasks have been joined.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl<T: 'static> JoinSet<T> {
    /// Starts a task of the set. See [`spawn`].
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn spawn<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(spawn(task))
    }

    /// Starts a closure that blocks, as a task of the set. See [`spawn_blocking`].
    ///
    /// # Panics
    ///
    /// Outside of any runtime.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(spawn_blocking(f))
    }

    fn insert(&mut self, task: JoinHandle<T>) -> AbortHandle {
        let key = self.next;
        self.next += 1;
        let abort = task.abort_handle();
        let told = Told { ended: self.ended.clone(), key };
        if task.watch(Waker::from(Arc::new(told))) {
            self.ended.push(key);
        }
        self.tasks.insert(key, task);
        abort
    }

    /// Waits until a task has ended, and takes it out of the set. `None` where there is none left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// The same, with the task's id.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// Takes a task out of the set that has ended. `None` where none has, and where there is none left.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.try_join_next_with_id().map(without_id)
    }

    /// The same, with the task's id.
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        let key = self.ended.queue().keys.pop_front()?;
        self.take(key)
    }

    /// Polls for the end of a task: [`join_next`](Self::join_next), by hand. The last waker is the one that is woken.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.poll_join_next_with_id(cx).map(|joined| joined.map(without_id))
    }

    /// The same, with the task's id.
    pub fn poll_join_next_with_id(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(Id, T), JoinError>>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        let waker = cx.waker().clone();
        let (key, unused) = {
            let mut queue = self.ended.queue();
            match queue.keys.pop_front() {
                Some(key) => (Some(key), Some(waker)),
                None => (None, queue.waiter.replace(waker)),
            }
        };
        drop(unused);
        match key {
            Some(key) => Poll::Ready(self.take(key)),
            None => Poll::Pending,
        }
    }

    /// The result of a task that was told to have ended.
    fn take(&mut self, key: usize) -> Option<Result<(Id, T), JoinError>> {
        let mut task = self.tasks.remove(&key)?;
        let id = task.id();
        match Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result.map(|value| (id, value))),
            Poll::Pending => unreachable!("a task told its end, and hadn't ended"),
        }
    }

    /// Aborts all tasks, and waits for their ends.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped: the tasks have been aborted, and what wasn't joined is in the set.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Waits for all tasks, and returns their values in the order in which they ended.
    ///
    /// # Panics
    ///
    /// With the panic of a task, after the others were aborted; and where one was aborted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the tasks, and drops the values so far.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len());
        while let Some(joined) = self.join_next().await {
            match joined {
                Ok(value) => values.push(value),
                Err(error) => match error.try_into_panic() {
                    Ok(payload) => panic::resume_unwind(payload),
                    Err(error) => panic!("{error}"),
                },
            }
        }
        values
    }

    /// Aborts all tasks, which stay in the set until they are joined.
    #[track_caller]
    pub fn abort_all(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }

    /// Takes all tasks out of the set, and lets them run on.
    pub fn detach_all(&mut self) {
        self.ended.queue().keys.clear();
        // Told of no more: their wakers go with the handles.
        self.tasks.clear();
        self.ended = Arc::new(Ended(Mutex::default()));
    }
}

fn without_id<T>(joined: Result<(Id, T), JoinError>) -> Result<T, JoinError> {
    joined.map(|(_, value)| value)
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

/// Spawns each future.
impl<T, F> Extend<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    fn extend<I: IntoIterator<Item = F>>(&mut self, tasks: I) {
        tasks.into_iter().for_each(|task| {
            self.spawn(task);
        });
    }
}

/// Spawns each future.
impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    fn from_iter<I: IntoIterator<Item = F>>(tasks: I) -> Self {
        let mut set = Self::new();
        set.extend(tasks);
        set
    }
}
