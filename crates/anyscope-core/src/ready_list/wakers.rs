//! Many wakers in one allocation.
//!
//! A block holds a number of targets and what they share. The waker of a target is the target's address: to clone and to
//! drop one counts on the block, as an `Arc`'s handles do, and to wake one calls the target. So the block lives as long
//! as its owner or any waker, and no waker allocates anything.
//!
//! # Invariants
//!
//! 1. The data of a waker points to a [`Numbered`] in the `targets` of a `Block<T, [Numbered<T>; N]>` that an `Arc` has
//!    allocated, and was derived from the whole block. Its table is the one of these `T` and `N`.
//! 2. Each waker but a [`Lent`] one stands for one of the `Arc`'s handles; a lent one can't outlive the [`Wakers`] it is
//!    lent from, which hold another.
//! 3. A target's `index` is its place in `targets`, and never changes.
//! 4. Nobody has a `&mut` to a block.

use crate::sync::Arc;
use std::array;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, offset_of};
use std::ops::Deref;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// What a waker wakes.
pub(super) trait Target: Send + Sync + Sized + 'static {
    /// What all targets of a block have in common.
    type Shared: Send + Sync + 'static;

    /// A waker was called. `index` is the target's place in its block.
    fn wake(&self, index: u32, shared: &Self::Shared);
}

/// Targets that share an allocation, each with a waker.
pub(super) struct Wakers<T: Target> {
    block: Arc<Block<T, [Numbered<T>]>>,
}

#[repr(C)]
struct Block<T: Target, A: ?Sized> {
    shared: T::Shared,
    table: &'static RawWakerVTable,
    targets: A,
}

struct Numbered<T> {
    target: T,
    index: u32,
}

impl<T: Target> Wakers<T> {
    /// Makes `N` targets.
    pub(super) fn new<const N: usize>(shared: T::Shared, mut target: impl FnMut() -> T) -> Self {
        let mut index = 0;
        let targets: [_; N] = array::from_fn(|_| {
            index += 1;
            Numbered { target: target(), index: index - 1 }
        });
        let table = Block::<T, [Numbered<T>; N]>::TABLE;
        Self { block: Arc::new(Block { shared, table, targets }) }
    }

    /// Returns how many targets there are.
    pub(super) fn len(&self) -> usize {
        self.block.targets.len()
    }

    pub(super) fn target(&self, index: usize) -> &T {
        &self.block.targets[index].target
    }

    /// Lends the waker of a target, without a count, and the target with it.
    #[inline]
    pub(super) fn lend(&self, index: usize) -> (&T, Lent<'_>) {
        let target = self.target(index);
        let block = Arc::as_ptr(&self.block);
        // SAFETY: the block is live, as `self` holds a handle on it; the place of its targets is in it.
        let targets = unsafe { &raw const (*block).targets };
        // SAFETY: the index is one of theirs, since there is a target, so that this stays inside of the targets. It makes
        // invariant 1 true: the pointer comes from the `Arc`'s, and the table was chosen where the number of targets was
        // known.
        let waker = unsafe { Waker::new(targets.cast::<Numbered<T>>().add(index).cast(), self.block.table) };
        // Invariant 2: this waker has no count, so it must not give one back.
        (target, Lent { waker: ManuallyDrop::new(waker), block: PhantomData })
    }
}

/// A waker that counts nothing. Its clones do.
pub(super) struct Lent<'a> {
    waker: ManuallyDrop<Waker>,
    block: PhantomData<&'a ()>,
}

impl Deref for Lent<'_> {
    type Target = Waker;

    fn deref(&self) -> &Waker {
        &self.waker
    }
}

impl<T: Target, const N: usize> Block<T, [Numbered<T>; N]> {
    const TABLE: &'static RawWakerVTable = &RawWakerVTable::new(Self::clone, Self::wake, Self::wake_by_ref, Self::drop);

    /// The block that a waker's data points into.
    ///
    /// # Safety
    ///
    /// - `data` is as invariant 1 says, for this `T` and `N`.
    /// - The block is live.
    unsafe fn around(data: *const ()) -> *const Self {
        let numbered = data.cast::<Numbered<T>>();
        // SAFETY: invariant 1, and the caller says that the block is live.
        let index = unsafe { (*numbered).index };
        // SAFETY: invariant 3: so many targets before this one is the first, at its offset in the block; the pointer may
        // go there, since it was derived from the whole block.
        unsafe { numbered.sub(index as usize).byte_sub(offset_of!(Self, targets)).cast() }
    }

    /// # Safety
    ///
    /// As [`around`](Self::around).
    unsafe fn call(data: *const ()) {
        // SAFETY: as the caller says; nobody has a `&mut` to what is in a block (invariant 4).
        let (block, numbered) = unsafe { (&*Self::around(data), &*data.cast::<Numbered<T>>()) };
        numbered.target.wake(numbered.index, &block.shared);
    }

    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: the waker that is cloned keeps the block live (invariant 2), which an `Arc` of this very type has
        // allocated (invariant 1). The handle that is counted here is the new waker's.
        unsafe { Arc::increment_strong_count(Self::around(data)) };
        RawWaker::new(data, Self::TABLE)
    }

    unsafe fn wake(data: *const ()) {
        // SAFETY: the waker's handle (invariant 2) becomes this one, which is given back also where the target panics.
        let _handle = unsafe { Arc::from_raw(Self::around(data)) };
        // SAFETY: the handle keeps the block live.
        unsafe { Self::call(data) };
    }

    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: the waker keeps the block live (invariant 2).
        unsafe { Self::call(data) };
    }

    unsafe fn drop(data: *const ()) {
        // SAFETY: the waker's handle (invariant 2), which it doesn't use any more.
        drop(unsafe { Arc::from_raw(Self::around(data)) });
    }
}
