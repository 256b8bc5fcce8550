//! What a group does when everything in it has ended: finalisers, the last one first.

use super::core::Reserved;
use crate::context;
use crate::local::Binding;
use crate::outcome::Outcome;
use crate::sync::Arc;
use crate::task::TaskRef;
use crate::task::cell::{Step, spawn_detached};
use crate::task::seat::Birth;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;

/// Work for the end of a group, as it was handed in.
pub(crate) struct Finaliser {
    task: TaskRef,
    locals: Option<Arc<Binding>>,
    make: Make,
}

/// Gives the future, once it is known how the group came to its end.
type Make = Box<dyn FnOnce(Outcome<()>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl Finaliser {
    pub(super) fn new<F>(
        location: &'static Location<'static>,
        make: impl FnOnce(Outcome<()>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self {
            task: TaskRef::new(Some("finaliser".into()), location),
            locals: context::locals(),
            make: Box::new(move |how| Box::pin(make(how))),
        }
    }

    /// Starts it in its place: a late member of its group.
    pub(super) fn start(self, place: Reserved, how: Outcome<()>) {
        let Self { task, locals, make } = self;
        drop(spawn_detached(place, Birth::late(task, locals), async move {
            make(how).await;
            Step::Value(())
        }));
    }
}
