//! Which types of the locks and channels may go to other threads, and be shared with them: what the compiler derives is
//! easily changed by a field, and nobody would notice before a user does.

use anyscope::channel::{self, Receiver, Sender};
use anyscope::sync::{
    Barrier, Condvar, Event, Mutex, MutexGuard, MutexGuardArc, OnceCell, RwLock, RwLockReadGuard, RwLockReadGuardArc,
    RwLockWriteGuard, RwLockWriteGuardArc, SetError, futures,
};
use std::cell::Cell;
use std::rc::Rc;

/// A `Send` that is not `Sync`.
type Unshared = Cell<u8>;
/// Neither.
type Local = Rc<u8>;

/// Tells whether a type has a trait: where it has, both methods below fit, and the type's own goes before the trait's.
macro_rules! has {
    ($type:ty: $bound:ident) => {{
        struct Asked<T>(std::marker::PhantomData<T>);

        #[allow(dead_code, reason = "used for the types that don't have the trait")]
        trait Otherwise {
            fn has(&self) -> bool {
                false
            }
        }

        impl<T> Otherwise for Asked<T> {}

        #[allow(dead_code, reason = "used for the types that have the trait")]
        impl<T: $bound> Asked<T> {
            fn has(&self) -> bool {
                true
            }
        }

        Asked::<$type>(std::marker::PhantomData).has()
    }};
}

/// One line for each type: whether it is `Send`, `Sync` and `Unpin`.
macro_rules! table {
    ($($type:ty => $send:literal $sync:literal $unpin:literal;)*) => {
        [$((stringify!($type), [has!($type: Send), has!($type: Sync), has!($type: Unpin)], [$send, $sync, $unpin])),*]
    };
}

#[test]
fn locks_and_channels_go_where_their_values_may() {
    let table = table! {
        Event => true true true;
        Barrier => true true true;
        Condvar => true true true;
        Mutex<u8> => true true true;
        Mutex<Unshared> => true true true;
        Mutex<Local> => false false true;
        MutexGuard<'static, u8> => true true true;
        MutexGuard<'static, Unshared> => true false true;
        MutexGuard<'static, Local> => false false true;
        MutexGuardArc<u8> => true true true;
        MutexGuardArc<Unshared> => true false true;
        MutexGuardArc<Local> => false false true;
        RwLock<u8> => true true true;
        RwLock<Unshared> => false false true;
        RwLock<Local> => false false true;
        RwLockReadGuard<'static, u8> => true true true;
        RwLockReadGuard<'static, Unshared> => false false true;
        RwLockWriteGuard<'static, u8> => true true true;
        RwLockWriteGuard<'static, Unshared> => false false true;
        RwLockReadGuardArc<u8> => true true true;
        RwLockReadGuardArc<Local> => false false true;
        RwLockWriteGuardArc<u8> => true true true;
        RwLockWriteGuardArc<Local> => false false true;
        OnceCell<u8> => true true true;
        OnceCell<Unshared> => true false true;
        OnceCell<Local> => false false true;
        SetError<u8> => true true true;
        Sender<u8> => true true true;
        Sender<Unshared> => true true true;
        Sender<Local> => false false true;
        Receiver<u8> => true true true;
        Receiver<Unshared> => true true true;
        Receiver<Local> => false false true;
        channel::futures::Send<'static, u8> => true true true;
        channel::futures::Send<'static, Local> => false false true;
        channel::futures::Recv<'static, u8> => true true true;
        channel::futures::Recv<'static, Local> => false false true;
        channel::futures::Recv<'static, std::marker::PhantomPinned> => true true true;
        futures::Lock<'static, Unshared> => true true true;
        futures::LockArc<Local> => false false true;
        futures::Read<'static, u8> => true true true;
        futures::ReadArc<Unshared> => false false true;
        futures::Write<'static, u8> => true true true;
        futures::WriteArc<u8> => true true true;
        futures::WaitCondvar<'static, 'static, Unshared> => true false true;
        futures::WaitWhile<'static, 'static, u8, fn(&mut u8) -> bool> => true true true;
        futures::WaitEvent<'static> => true true true;
        futures::WaitBarrier<'static> => true true true;
    };
    for (name, has, expected) in table {
        assert_eq!(has, expected, "whether {name} is Send, Sync and Unpin");
    }
}

/// As a future of a user's would be spawned: with guards across its awaits.
#[test]
fn what_holds_a_guard_across_an_await_can_be_spawned() {
    fn spawned<F: Future + Send + 'static>(_: F) {}

    let mutex = std::sync::Arc::new((Mutex::new(1), RwLock::new(1), OnceCell::new(), Condvar::new()));
    spawned(async move {
        let (mutex, lock, cell, condvar) = &*mutex;
        let guard = mutex.lock().await;
        let reading = lock.read().await;
        let value = cell.get_or_init(async || *guard + *reading).await;
        assert!(cell.get_or_try_init(async || Err(())).await.is_ok_and(|same| same == value));
        drop(reading);
        let guard = condvar.wait(guard).await;
        let writing = lock.write().await;
        drop(condvar.wait_while(guard, |value| *value == *writing).await);
    });
}

/// The function and the module have one name.
#[test]
fn a_channel_is_made_by_the_function_and_by_the_module() {
    let (sender, receiver): (Sender<u8>, Receiver<u8>) = anyscope::channel(1);
    assert_eq!((sender.capacity(), receiver.capacity()), (Some(1), Some(1)));
    assert_eq!(anyscope::channel::<u8>(0).0.capacity(), channel::rendezvous::<u8>().1.capacity());
    assert_eq!(channel::unbounded::<u8>().0.capacity(), None);
}
