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

/// Permits don't tell who took them: those of the one who gives them back go first. What it has none of was handed to it, or
/// is of before the record: then the last that were taken go, as what is handed on is mostly given back soon, and only as many
/// as there are too many for `held`, which are held still.
pub(crate) fn given_back(resource: Resource, task: Option<TaskId>, mut permits: usize, held: usize) {
    let mut shard = shard(&resource);
    let Some(known) = shard.get_mut(&resource.address).filter(|known| known.resource == resource) else { return };
    if let Some(own) = known.by.iter_mut().find(|(by, _)| *by == task) {
        let taken = own.1.min(permits);
        own.1 -= taken;
        permits -= taken;
    }
    let mut too_many = known.by.iter().map(|(_, held)| held).sum::<usize>().saturating_sub(held).min(permits);
    for (_, held) in known.by.iter_mut().rev() {
        let taken = (*held).min(too_many);
        *held -= taken;
        too_many -= taken;
    }
    known.by.retain(|(_, held)| *held > 0);
    if known.by.is_empty() {
        shard.remove(&resource.address);
    }
}

/// It is no more, whoever forgot what.
pub(crate) fn gone(resource: &Resource) {
    shard(resource).remove(&resource.address);
}

pub(super) fn holders(resource: &Resource) -> Vec<(Option<TaskId>, usize)> {
    let shard = shard(resource);
    shard.get(&resource.address).filter(|held| held.resource == *resource).map_or_else(Vec::new, |held| held.by.clone())
}
