//! Models of a shutdown: those who ask at a time see one request.

use super::*;
use crate::context::Frame;
use crate::group::owner::{Owner, Plan};
use crate::models::{Threads, block_on, model, thread};
use crate::runtime::DynRuntime;

fn inside(group: &Arc<GroupCore>) -> Option<Frame> {
    Some(Frame { group: Some(group.clone()), ..Frame::default() })
}

#[test]
fn whoever_waits_in_a_group_inside_hears_of_a_shutdown_further_out() {
    model(|| {
        let threads = Threads::new();
        let outer = Owner::root(DynRuntime::from(&threads), Location::caller());
        let inner =
            context::within(&mut inside(&outer.group), || Owner::open::<Threads>(Plan::default(), Location::caller()));
        let waiting = thread::spawn({
            let group = inner.group.clone();
            move || {
                let mut frame = inside(&group);
                let mut stopping = stopping();
                block_on(std::future::poll_fn(|cx| context::within(&mut frame, || Pin::new(&mut stopping).poll(cx))));
            }
        });
        drop(shutdown::<Threads>(&outer.group, Duration::ZERO, Location::caller()));
        waiting.join().unwrap();
        assert!(inner.group.stop().is_cancelled());
        drop(inner);
        block_on(std::future::poll_fn(|cx| outer.poll_join(cx)));
        threads.join();
    });
}
