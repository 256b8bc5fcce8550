//! A row of places on the heap that never move, each of which can be pinned alone.

use std::pin::Pin;

/// Values side by side, pinned.
pub(super) struct Places<T>(Pin<Box<[T]>>);

impl<T> Places<T> {
    pub(super) fn new(len: usize, mut value: impl FnMut() -> T) -> Self {
        let places: Box<[T]> = (0..len).map(|_| value()).collect();
        Self(Box::into_pin(places))
    }

    #[inline]
    pub(super) fn get(&mut self, index: usize) -> Pin<&mut T> {
        // SAFETY: a value is pinned as the row is: it stays in its place until the row is dropped, which drops it there,
        // and nothing else here hands out a `&mut` to it, or moves it.
        unsafe { self.0.as_mut().map_unchecked_mut(|places| &mut places[index]) }
    }

    /// The values from `index` on, one after the other.
    #[inline]
    pub(super) fn from(&mut self, index: usize) -> impl Iterator<Item = Pin<&mut T>> {
        // SAFETY: nothing is moved out of the row: each value is pinned again before anybody gets hold of it.
        let places = unsafe { self.0.as_mut().get_unchecked_mut() };
        places[index..].iter_mut().map(|place| {
            // SAFETY: as in `get`.
            unsafe { Pin::new_unchecked(place) }
        })
    }
}
