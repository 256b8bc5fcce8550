use std::error::Error;
use std::future::Future;
use std::sync::Arc;

/// The way to the upstream: what the application gives to a [`Fetcher`](crate::Fetcher).
///
/// `get` can be written as an `async fn`.
pub trait Transport: Send + Sync + 'static {
    /// What comes from the upstream.
    type Body: Send + 'static;
    /// What is made of it.
    type Value: Send + 'static;
    /// What can go wrong with either.
    type Error: Error + Send + Sync + 'static;

    /// Asks the upstream once. `attempt` counts from one.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped where it lasts too long, or nobody wants the answer any more, and has to bear that.
    ///
    /// # Errors
    ///
    /// As the upstream has them; see [`is_transient`](Self::is_transient).
    fn get(&self, key: &str, attempt: u32) -> impl Future<Output = Result<Self::Body, Self::Error>> + Send;

    /// Makes a value of a body. Runs on the runtime's pool for blocking work, so it may take its time.
    ///
    /// A closure that runs can't be stopped, so one that takes long asks `anyscope::is_cancelled()` now and then whether
    /// anybody still waits.
    ///
    /// # Errors
    ///
    /// Where the body is no good. This isn't tried again.
    fn decode(&self, body: Self::Body) -> Result<Self::Value, Self::Error>;

    /// Returns whether another attempt may help against an error of `get`. By default, against each.
    fn is_transient(&self, error: &Self::Error) -> bool {
        let _ = error;
        true
    }
}

impl<T: Transport> Transport for Arc<T> {
    type Body = T::Body;
    type Value = T::Value;
    type Error = T::Error;

    fn get(&self, key: &str, attempt: u32) -> impl Future<Output = Result<Self::Body, Self::Error>> + Send {
        T::get(self, key, attempt)
    }

    fn decode(&self, body: Self::Body) -> Result<Self::Value, Self::Error> {
        T::decode(self, body)
    }

    fn is_transient(&self, error: &Self::Error) -> bool {
        T::is_transient(self, error)
    }
}
