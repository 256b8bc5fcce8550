//! Who holds what of semaphores, limiters and locks, as far as it was recorded.
//!
//! One lock for each of some shards, a leaf.

use crate::observe::Resource;
use crate::task::TaskId;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 16;

/// By the place of a resource.
type Shard = HashMap<usize, Held>;

static HOLDERS: LazyLock<[Mutex<Shard>; SHARDS]> = LazyLock::new(|| std::array::from_fn(|_| Mutex::default()));

struct Held {
    resource: Resource,
    by: Vec<(Option<TaskId>, usize)>,
}

fn shard(resource: &Resource) -> MutexGuard<'static, Shard> {
    // The low bits of an address are those of its alignment.
    HOLDERS[(resource.address >> 6) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn taken(resource: Resource, task: Option<TaskId>, permits: usize) {
    let mut shard = shard(&resource);
    let held = shard.entry(resource.address).or_insert_with(|| Held { resource, by: Vec::new() });
    if held.resource != resource {
        // Another was there before, and some of it never came back.
        *held = Held { resource, by: Vec::new() };
    }
    match held.by.iter_mut().find(|(by, _)| *by == task) {
        Some((_, held)) => *held += permits,
        None => held.by.push((task, permits)),
    }
}

/// Permits don't tell who took them: those of the one who gives them back go first, then the oldest.
pub(crate) fn given_back(resource: Resource, task: Option<TaskId>, mut permits: usize) {
    let mut shard = shard(&resource);
    let Some(held) = shard.get_mut(&resource.address).filter(|held| held.resource == resource) else { return };
    while permits > 0 && !held.by.is_empty() {
        let index = held.by.iter().position(|(by, _)| *by == task).unwrap_or(0);
        let taken = held.by[index].1.min(permits);
        permits -= taken;
        held.by[index].1 -= taken;
        if held.by[index].1 == 0 {
            held.by.remove(index);
        }
    }
    if held.by.is_empty() {
        shard.remove(&resource.address);
    }
}

pub(super) fn holders(resource: &Resource) -> Vec<(Option<TaskId>, usize)> {
    let shard = shard(resource);
    shard.get(&resource.address).filter(|held| held.resource == *resource).map_or_else(Vec::new, |held| held.by.clone())
}
