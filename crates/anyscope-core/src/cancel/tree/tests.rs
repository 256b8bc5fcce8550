//! The tree on one thread: depth, memory, two parents, reasons.

use super::*;
use crate::cancel::reason::ReasonKind;
use std::panic::Location;
use std::sync::Mutex as StdMutex;
use std::task::Wake;
use std::thread;
use std::time::Duration;

fn reason(message: &'static str) -> Reason {
    Reason::new(ReasonKind::Explicit, Some(message.into()), Location::caller())
}

fn message(node: &Node) -> Option<String> {
    node.reason().and_then(|reason| reason.message().map(str::to_owned))
}

/// Runs `f` on a thread with the smallest stack that a thread of ours may have.
fn with_small_stack(f: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(64 << 10).spawn(f).unwrap().join().unwrap();
}

/// A chain of nodes, each below the one before.
fn chain(length: usize) -> Vec<Arc<Node>> {
    let mut nodes = vec![Node::root()];
    for _ in 1..length {
        nodes.push(Node::below(nodes.last()));
    }
    nodes
}

#[test]
fn a_hundred_thousand_nested_nodes_are_cancelled_and_dropped_on_a_small_stack() {
    with_small_stack(|| {
        let nodes = chain(100_000);
        assert!(nodes[0].cancel(&reason("all")));
        assert!(nodes.iter().all(|node| node.is_cancelled()));
        drop(nodes);
    });
}

#[test]
fn a_live_chain_that_hangs_on_its_last_node_is_dropped_on_a_small_stack() {
    with_small_stack(|| {
        let mut nodes = chain(100_000);
        let (root, last) = (Arc::downgrade(&nodes[0]), nodes.pop().unwrap());
        drop(nodes);
        assert!(root.upgrade().is_some(), "a node keeps those above it");
        assert!(!last.is_cancelled_above());
        drop(last);
        assert!(root.upgrade().is_none());
    });
}

#[test]
fn a_chain_of_nodes_with_two_parents_is_cancelled_and_dropped_on_a_small_stack() {
    with_small_stack(|| {
        let (root, mut last) = (Node::root(), Node::root());
        let mut tokens = Vec::new();
        for _ in 0..100_000 {
            let token = Node::below(Some(&root));
            last = Node::joining(&last, &token);
            tokens.push(token);
        }
        tokens[0].cancel(&reason("from below"));
        assert_eq!(message(&last).as_deref(), Some("from below"));
        assert!(!root.is_cancelled());
        drop((tokens, root));
        drop(last);
    });
}

#[test]
fn a_node_that_is_dropped_leaves_its_parents_list() {
    let (one, other) = (Node::root(), Node::root());
    let joined = Node::joining(&one, &other);
    let child = Node::below(Some(&one));
    assert_eq!((one.inner.lock().children.len(), other.inner.lock().children.len()), (0, 0), "nobody needs them to be");
    let below = [Node::below(Some(&joined)), Node::below(Some(&child))];
    assert_eq!((one.inner.lock().children.len(), other.inner.lock().children.len()), (2, 1));
    drop((below, joined));
    assert_eq!((one.inner.lock().children.len(), other.inner.lock().children.len()), (1, 0));
    drop(child);
    assert_eq!(one.inner.lock().children.len(), 0);
    assert_eq!((Arc::strong_count(&one), Arc::strong_count(&other)), (1, 1));
}

#[test]
fn a_burst_of_children_does_not_hold_its_memory() {
    let root = Node::root();
    let burst: Vec<_> = (0..10_000).map(|_| Node::below(Some(&Node::below(Some(&root))))).collect();
    assert!(root.inner.lock().children.capacity() >= 10_000);
    drop(burst);
    assert!(root.inner.lock().children.capacity() <= 64);
    let child = Node::below(Some(&root));
    child.attach();
    root.cancel(&reason("all"));
    assert!(child.is_marked(), "the list goes on after it was made anew");
}

#[test]
fn a_cancelled_node_keeps_no_list_and_lists_nobody() {
    let root = Node::root();
    let before = Node::below(Some(&root));
    root.cancel(&reason("all"));
    let after = Node::below(Some(&root));
    assert_eq!(root.inner.lock().children.len(), 0);
    assert_eq!(message(&after).as_deref(), Some("all"), "born cancelled");
    drop((before, after));
}

#[test]
fn a_node_is_cancelled_by_either_of_its_parents_and_cancels_neither() {
    for first in [true, false] {
        let (one, other) = (Node::root(), Node::root());
        let joined = Node::joining(&one, &other);
        let below = Node::below(Some(&joined));
        let (cancelled, untouched) = if first { (&one, &other) } else { (&other, &one) };
        cancelled.cancel(&reason("one of two"));
        assert_eq!(message(&joined).as_deref(), Some("one of two"));
        assert_eq!(message(&below).as_deref(), Some("one of two"));
        assert!(!untouched.is_cancelled());
        assert!(below.is_cancelled_above() && !untouched.is_cancelled_above());
    }
}

#[test]
fn a_node_below_two_of_which_one_is_cancelled_is_born_cancelled() {
    for first in [true, false] {
        let (live, dead) = (Node::root(), Node::root());
        dead.cancel(&reason("long ago"));
        let joined = if first { Node::joining(&dead, &live) } else { Node::joining(&live, &dead) };
        assert_eq!(message(&joined).as_deref(), Some("long ago"));
        drop(joined);
        assert_eq!(live.inner.lock().children.len(), 0, "it was listed by the parent that lives, and left it");
    }
}

#[test]
fn the_first_reason_stays() {
    let node = Node::root();
    assert_eq!(message(&node), None);
    assert!(node.cancel(&reason("first")));
    assert!(!node.cancel(&reason("second")));
    assert_eq!(message(&node).as_deref(), Some("first"));
}

#[test]
fn a_request_goes_down_and_neither_up_nor_aside() {
    let root = Node::root();
    let (middle, sibling) = (Node::below(Some(&root)), Node::below(Some(&root)));
    let (below, aside) = (Node::below(Some(&middle)), Node::below(Some(&sibling)));
    assert!(middle.cancel(&reason("here")));
    assert_eq!(message(&below).as_deref(), Some("here"));
    assert!(!root.is_cancelled() && !sibling.is_cancelled() && !aside.is_cancelled());
    assert!(root.cancel(&reason("all")));
    assert_eq!(message(&aside).as_deref(), Some("all"));
    assert_eq!(message(&below).as_deref(), Some("here"), "a node keeps the reason that it had");
}

/// Notes, when it is woken, whether all of its nodes were cancelled by then.
struct Watch {
    nodes: Vec<Arc<Node>>,
    seen: StdMutex<Vec<bool>>,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        let all = self.nodes.iter().all(|node| node.is_cancelled());
        self.seen.lock().unwrap().push(all);
    }
}

#[test]
fn all_are_marked_before_the_first_is_woken() {
    let root = Node::root();
    let child = Node::below(Some(&root));
    let grandchild = Node::below(Some(&child));
    let nodes = vec![root.clone(), child, grandchild];
    let watch = Arc::new(Watch { nodes: nodes.clone(), seen: StdMutex::default() });
    let waker = Waker::from(watch.clone());
    let mut keys = [None; 3];
    for (node, key) in nodes.iter().zip(&mut keys) {
        assert!(node.poll_cancelled(key, &mut Context::from_waker(&waker)).is_pending());
    }
    root.cancel(&reason("all"));
    assert_eq!(*watch.seen.lock().unwrap(), [true; 3]);
    for (node, key) in nodes.iter().zip(&mut keys) {
        assert!(node.poll_cancelled(key, &mut Context::from_waker(&waker)).is_ready());
        node.leave(key);
    }
}

#[test]
fn a_waker_may_cancel_drop_and_make_nodes() {
    struct Meddle(StdMutex<Option<Arc<Node>>>);

    impl Wake for Meddle {
        fn wake(self: Arc<Self>) {
            let node = self.0.lock().unwrap().take().unwrap();
            assert!(!node.cancel(&reason("again")));
            assert!(Node::below(Some(&node)).is_cancelled());
            drop(node);
        }
    }

    let node = Node::root();
    let waker = Waker::from(Arc::new(Meddle(StdMutex::new(Some(node.clone())))));
    let mut key = None;
    assert!(node.poll_cancelled(&mut key, &mut Context::from_waker(&waker)).is_pending());
    assert!(node.cancel(&reason("first")), "no lock was held while the waker ran");
    node.leave(&mut key);
}

#[test]
fn who_leaves_or_asks_again_keeps_one_waker_at_most() {
    struct Nothing;

    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }

    let node = Node::root();
    let (old, new) = (Arc::new(Nothing), Arc::new(Nothing));
    let mut key = None;
    for wakes in [&old, &old, &new] {
        let waker = Waker::from(wakes.clone());
        assert!(node.poll_cancelled(&mut key, &mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (1, 2));
    node.leave(&mut key);
    assert_eq!(Arc::strong_count(&new), 1);
    assert_eq!(node.inner.lock().waiters.len(), 0);
    node.leave(&mut key);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "some instant to count from")]
fn a_deadline_is_inherited_and_only_tightens() {
    let root = Node::root();
    assert_eq!(root.deadline(), None);
    let base = Instant::now();
    let late = Node::below_with_deadline(&root, Some(base + Duration::from_secs(2)));
    let early = Node::below_with_deadline(&late, Some(base + Duration::from_secs(1)));
    let later = Node::below_with_deadline(&early, Some(base + Duration::from_secs(9)));
    assert_eq!(Node::below(Some(&late)).deadline(), late.deadline());
    assert_eq!(later.deadline(), early.deadline());
    assert_eq!(Node::below_with_deadline(&early, None).deadline(), early.deadline());
    assert!(!later.is_cancelled(), "the tree has no clock");
}
