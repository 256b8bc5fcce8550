use crate::error::Failure;
use crate::{Builder, FetchError, Transport};
use anyscope::{Semaphore, gather, remaining, sleep, timeout, unblock};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Fetches values by key: a bounded number at a time, with retries, within the caller's deadline.
///
/// A clone is the same fetcher: they share the limit. It may be made anywhere and used on any runtime, on several at once.
///
/// See the [crate's page](crate) for an example.
pub struct Fetcher<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    how: Builder,
    /// One for each request that may be under way.
    room: Semaphore,
    transport: T,
}

impl Fetcher<()> {
    /// Starts to say how to fetch.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<T: Transport> Fetcher<T> {
    pub(crate) fn new(how: Builder, transport: T) -> Self {
        Self { inner: Arc::new(Inner { room: Semaphore::new(how.limit), how, transport }) }
    }

    /// Fetches one value.
    ///
    /// An attempt that fails, or lasts too long, is followed by another after the
    /// [backoff](Builder::backoff), as long as there are attempts left, the error [may pass](Transport::is_transient), and
    /// the nearest deadline around the caller (`anyscope::timeout` around this call, or further out) is further away than
    /// the backoff and what an attempt [needs](Builder::attempt_needs).
    ///
    /// # Errors
    ///
    /// [`FetchError`], which tells the four ways apart. A deadline of the caller's that passes in the middle of an attempt
    /// is told by whoever set it, and this future is dropped.
    ///
    /// # Panics
    ///
    /// With a panic of the transport. At the first poll, outside of any runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the request that is under way, and the room that it took goes to the next. A decoding
    /// that runs can't be stopped: where a timeout or a token ends the future meanwhile, they first wait for it, and the
    /// value is kept; where the future is dropped, the group around waits.
    pub async fn fetch(&self, key: &str) -> Result<T::Value, FetchError> {
        let Inner { how, transport, .. } = &*self.inner;
        let mut begun = 0;
        let mut before = None;
        let body = loop {
            // Room comes first: waiting for it takes time too, and the attempt's own time starts with the request.
            let room = self.inner.room.acquire().await.expect("nobody closes it");
            if !how.leaves_time(Duration::ZERO) {
                return Err(FetchError::no_time(key, begun, before));
            }
            begun += 1;
            let failure = match timeout(how.timeout_each, transport.get(key, begun)).await {
                Ok(Ok(body)) => break body,
                Ok(Err(error)) if !transport.is_transient(&error) => {
                    return Err(FetchError::failed(key, begun, Failure::Upstream(error.into())));
                }
                Ok(Err(error)) => Failure::Upstream(error.into()),
                Err(elapsed) => Failure::TooSlow(elapsed),
            };
            drop(room);

            if begun == how.attempts {
                return Err(FetchError::failed(key, begun, failure));
            }
            let wait = how.backoff.delay(key, begun);
            if !how.leaves_time(wait) {
                return Err(FetchError::no_time(key, begun, Some(failure)));
            }
            before = Some(failure);
            sleep(wait).await;
        };

        let inner = self.inner.clone();
        let decoded = unblock(move || inner.transport.decode(body)).await;
        decoded.map_err(|error| FetchError::undecodable(key, begun, error.into()))
    }

    /// Fetches many values, and returns them in the order of the keys.
    ///
    /// At most as many keys are in progress as the [limit](Builder::limit) says, and none is pulled before there is room.
    /// An error is one key's, and ends nobody else's.
    ///
    /// # Panics
    ///
    /// As [`fetch`](Self::fetch), after the other requests have been dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every request, and the values so far. As [`fetch`](Self::fetch) otherwise.
    pub async fn fetch_all<K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<Result<T::Value, FetchError>> {
        let fetches = keys.into_iter().map(async |key: K| self.fetch(key.as_ref()).await);
        gather(fetches).limit(self.inner.how.limit).await
    }
}

impl Builder {
    /// Whether the nearest deadline around the caller lets an attempt end that begins after `wait`.
    fn leaves_time(&self, wait: Duration) -> bool {
        remaining().is_none_or(|left| left > wait.saturating_add(self.attempt_needs))
    }
}

impl<T> Clone for Fetcher<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for Fetcher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { how, room, .. } = &*self.inner;
        f.debug_struct("Fetcher").field("how", how).field("room", &room.statistics()).finish_non_exhaustive()
    }
}
