//! What has permits, all behind one face.

use super::model::Refusal;
use crate::machine::hand::Hand;
use anyscope::sync::{Mutex, MutexGuardArc, RwLock, RwLockReadGuardArc, RwLockWriteGuardArc};
use anyscope::{AcquireError, Limiter, LimiterPermit, PermitArc, Semaphore, Statistics, TryAcquireError};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Semaphore,
    Limiter,
    Mutex,
    RwLock,
}

pub(crate) enum Subject {
    Semaphore(Arc<Semaphore>),
    Limiter(Limiter),
    Mutex(Arc<Mutex<usize>>),
    RwLock(Arc<RwLock<usize>>),
}

pub(crate) enum Guard {
    Permit(PermitArc),
    Limiter(LimiterPermit),
    Mutex(MutexGuardArc<usize>),
    Read(RwLockReadGuardArc<usize>),
    Write(RwLockWriteGuardArc<usize>),
}

/// What a lock lets through that is written to.
const ALL: usize = Semaphore::MAX_PERMITS;

impl Kind {
    /// How many permits there are to begin with, where a program would have `permits`.
    pub(crate) fn total(self, permits: usize) -> usize {
        match self {
            Self::Semaphore | Self::Limiter => permits,
            Self::Mutex => 1,
            Self::RwLock => ALL,
        }
    }

    /// How many are asked for at a time, where a program would ask for `permits`.
    pub(crate) fn needed(self, permits: usize) -> usize {
        match self {
            Self::Semaphore => permits,
            Self::Limiter | Self::Mutex => 1,
            Self::RwLock if permits % 2 == 0 => 1,
            Self::RwLock => ALL,
        }
    }
}

impl Subject {
    pub(crate) fn new(kind: Kind, total: usize) -> Self {
        match kind {
            Kind::Semaphore => Self::Semaphore(Arc::new(Semaphore::new(total))),
            Kind::Limiter => Self::Limiter(Limiter::new(total)),
            Kind::Mutex => Self::Mutex(Arc::default()),
            Kind::RwLock => Self::RwLock(Arc::default()),
        }
    }

    pub(crate) fn ask(&self, needed: usize, key: Option<&'static str>) -> Hand<Result<Guard, Refusal>> {
        match self {
            Self::Semaphore(semaphore) => {
                let acquire = semaphore.acquire_many_arc(needed);
                Hand::new(async { acquire.await.map(Guard::Permit).map_err(refusal) })
            }
            Self::Limiter(limiter) => match key {
                Some(key) => {
                    let acquire = limiter.acquire_for(key);
                    Hand::new(async { acquire.await.map(Guard::Limiter).map_err(|_| Refusal::KeyTaken) })
                }
                None => {
                    let acquire = limiter.acquire();
                    Hand::new(async { Ok(Guard::Limiter(acquire.await)) })
                }
            },
            Self::Mutex(mutex) => {
                let lock = mutex.lock_arc();
                Hand::new(async { Ok(Guard::Mutex(lock.await)) })
            }
            Self::RwLock(lock) if needed == 1 => {
                let read = lock.read_arc();
                Hand::new(async { Ok(Guard::Read(read.await)) })
            }
            Self::RwLock(lock) => {
                let write = lock.write_arc();
                Hand::new(async { Ok(Guard::Write(write.await)) })
            }
        }
    }

    pub(crate) fn try_ask(&self, needed: usize) -> Result<Guard, Refusal> {
        let guard = match self {
            Self::Semaphore(semaphore) => {
                // Only one at a time can be had to keep, and so the others are only looked at.
                if needed != 1 {
                    drop(semaphore.try_acquire_many(needed).map_err(try_refusal)?);
                    return Err(Refusal::NoneFree);
                }
                Some(Guard::Permit(semaphore.try_acquire_arc().map_err(try_refusal)?))
            }
            Self::Limiter(limiter) => limiter.try_acquire().map(Guard::Limiter),
            Self::Mutex(mutex) => mutex.try_lock_arc().map(Guard::Mutex),
            Self::RwLock(lock) if needed == 1 => lock.try_read_arc().map(Guard::Read),
            Self::RwLock(lock) => lock.try_write_arc().map(Guard::Write),
        };
        guard.ok_or(Refusal::NoneFree)
    }

    pub(crate) fn statistics(&self) -> Option<Statistics> {
        match self {
            Self::Semaphore(semaphore) => Some(semaphore.statistics()),
            Self::Limiter(limiter) => Some(limiter.statistics()),
            Self::Mutex(_) | Self::RwLock(_) => None,
        }
    }
}

fn refusal(error: AcquireError) -> Refusal {
    if error.is_closed() { Refusal::Closed } else { Refusal::TooMany }
}

fn try_refusal(error: TryAcquireError) -> Refusal {
    match () {
        () if error.is_closed() => Refusal::Closed,
        () if error.is_too_many() => Refusal::TooMany,
        () => Refusal::NoneFree,
    }
}

impl Guard {
    /// Does what a holder may do: whoever is alone counts one up. Returns what it sees.
    pub(crate) fn touch(&mut self) -> Option<usize> {
        match self {
            Self::Permit(_) | Self::Limiter(_) => None,
            Self::Read(value) => Some(**value),
            Self::Mutex(value) => {
                **value += 1;
                Some(**value)
            }
            Self::Write(value) => {
                **value += 1;
                Some(**value)
            }
        }
    }

    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Self::Mutex(_) | Self::Write(_))
    }

    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Limiter(permit) => permit.key(),
            _ => None,
        }
    }
}
