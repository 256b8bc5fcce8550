//! Models of the tree: a cancellation against everything that may happen to a node meanwhile.

use super::*;
use crate::cancel::reason::ReasonKind;
use crate::models::{Wakes, block_on, model, thread};
use std::future::poll_fn;
use std::panic::Location;

fn reason(message: &'static str) -> Reason {
    Reason::new(ReasonKind::Explicit, Some(message.into()), Location::caller())
}

fn cancel(node: &Arc<Node>, message: &'static str) -> thread::JoinHandle<bool> {
    let node = node.clone();
    thread::spawn(move || node.cancel(&reason(message)))
}

/// What a node was cancelled with, by the words of those who asked.
fn message(node: &Node) -> Option<String> {
    node.reason().and_then(|reason| reason.message().map(str::to_owned))
}

/// A node that its parents have in their lists.
fn attached(node: Arc<Node>) -> Arc<Node> {
    node.attach();
    node
}

/// Drops a handle that may be the last.
fn let_go(node: Arc<Node>) {
    sync::counted();
    drop(node);
}

/// How many wait for a node.
fn waiters(node: &Node) -> usize {
    node.inner.lock().waiters.len()
}

#[test]
fn a_child_made_during_a_cancellation_is_cancelled() {
    model(|| {
        let root = Node::root();
        let cancelling = cancel(&root, "all");
        let child = Node::below(Some(&root));
        let was_cancelled = child.is_cancelled();
        let before = message(&child);
        assert!(before.is_some() || !was_cancelled);
        child.attach();
        let was_marked = child.is_marked();
        cancelling.join().unwrap();
        assert_eq!(message(&child).as_deref(), Some("all"));
        assert!(was_marked || child.inner.lock().swept, "the pass has come here, or it was marked without");
    });
}

#[test]
fn who_asks_a_node_below_two_for_its_reason_gets_the_same_ever_after() {
    model(|| {
        let (around, token) = (Node::root(), Node::root());
        let joined = attached(Node::joining(&around, &token));
        let cancelling = [cancel(&around, "around"), cancel(&token, "token"), cancel(&joined, "itself")];
        let first = message(&joined);
        let second = message(&joined);
        for thread in cancelling {
            thread.join().unwrap();
        }
        let last = message(&joined);
        assert!(last.is_some());
        for told in [first, second] {
            assert!(told.is_none() || told == last, "first {told:?}, in the end {last:?}");
        }
        assert!(joined.inner.lock().swept);
    });
}

#[test]
fn a_grandchild_made_during_a_cancellation_is_cancelled() {
    model(|| {
        let root = Node::root();
        let child = Node::below(Some(&root));
        let cancelling = cancel(&root, "all");
        let grandchild = Node::below(Some(&child));
        let below = Node::below(Some(&grandchild));
        cancelling.join().unwrap();
        assert_eq!(message(&grandchild).as_deref(), Some("all"));
        assert_eq!(message(&below).as_deref(), Some("all"));
    });
}

#[test]
fn a_chain_that_is_dropped_during_a_cancellation_keeps_it_from_nobody() {
    model(|| {
        let root = Node::root();
        let child = Node::below(Some(&root));
        let grandchild = attached(Node::below(Some(&child)));
        let sibling = attached(Node::below(Some(&root)));
        let gone = [Arc::downgrade(&child), Arc::downgrade(&grandchild)];
        let cancelling = cancel(&root, "all");
        let_go(child);
        let_go(grandchild);
        cancelling.join().unwrap();
        assert_eq!(message(&sibling).as_deref(), Some("all"));
        assert!(gone.iter().all(|node| node.upgrade().is_none()), "the tree keeps nobody alive");
        assert!(root.inner.lock().children.is_empty());
    });
}

#[test]
fn a_key_in_a_list_is_given_up_by_its_own_node_alone() {
    model(|| {
        let root = Node::root();
        let first = attached(Node::below(Some(&root)));
        let dropping = thread::spawn(move || let_go(first));
        let second = attached(Node::below(Some(&root)));
        dropping.join().unwrap();
        let third = attached(Node::below(Some(&root)));
        assert!(root.cancel(&reason("all")));
        assert!(second.is_marked() && third.is_marked());
    });
}

#[test]
fn of_two_cancellations_the_first_wins_at_each_node_and_all_below_it() {
    model(|| {
        let parent = Node::root();
        let child = Node::below(Some(&parent));
        let grandchild = Node::below(Some(&child));
        let sibling = Node::below(Some(&parent));
        let above = cancel(&parent, "above");
        let below = cancel(&child, "below");
        assert!(above.join().unwrap(), "nothing else cancels the parent");
        let first = below.join().unwrap();
        assert_eq!(message(&parent).as_deref(), Some("above"));
        assert_eq!(message(&sibling).as_deref(), Some("above"));
        assert_eq!(message(&child).as_deref(), Some(if first { "below" } else { "above" }));
        assert_eq!(message(&grandchild), message(&child));
    });
}

#[test]
fn of_two_requests_at_one_node_exactly_one_was_the_first() {
    model(|| {
        let node = Node::root();
        let other = cancel(&node, "other");
        let first = node.cancel(&reason("mine"));
        assert!(node.is_cancelled(), "a request is synchronous, also the one that came second");
        assert_ne!(first, other.join().unwrap());
        assert_eq!(message(&node).as_deref(), Some(if first { "mine" } else { "other" }));
    });
}

#[test]
fn who_waits_for_a_cancellation_is_woken() {
    model(|| {
        let root = Node::root();
        let child = Node::below(Some(&root));
        let cancelling = cancel(&root, "all");
        let mut key = None;
        block_on(poll_fn(|cx| child.poll_cancelled(&mut key, cx)));
        assert_eq!(message(&child).as_deref(), Some("all"));
        child.leave(&mut key);
        cancelling.join().unwrap();
    });
}

#[test]
fn who_polls_again_with_another_waker_is_woken_by_that() {
    model(|| {
        let node = Node::root();
        let mut key = None;
        let stale = Wakes::new();
        let waker = Waker::from(stale.clone());
        let _ = node.poll_cancelled(&mut key, &mut Context::from_waker(&waker));
        drop(waker);
        let cancelling = cancel(&node, "all");
        block_on(poll_fn(|cx| node.poll_cancelled(&mut key, cx)));
        node.leave(&mut key);
        cancelling.join().unwrap();
        assert_eq!(Arc::strong_count(&stale), 1, "the old waker is let go");
    });
}

#[test]
fn who_leaves_during_a_cancellation_leaves_nothing_behind() {
    model(|| {
        let node = Node::root();
        let (mine, other) = (Wakes::new(), Wakes::new());
        let (mut key, mut stays) = (None, None);
        for (key, wakes) in [(&mut key, &mine), (&mut stays, &other)] {
            let waker = Waker::from(wakes.clone());
            assert!(node.poll_cancelled(key, &mut Context::from_waker(&waker)).is_pending());
        }
        let cancelling = cancel(&node, "all");
        node.leave(&mut key);
        cancelling.join().unwrap();
        node.leave(&mut stays);
        assert!(mine.count() <= 1);
        assert_eq!(other.count(), 1, "who leaves keeps nobody else from being woken");
        assert_eq!((Arc::strong_count(&mine), Arc::strong_count(&other)), (1, 1));
        assert_eq!(waiters(&node), 0);
    });
}

#[test]
fn a_node_with_two_parents_is_cancelled_by_either() {
    model(|| {
        let (around, token) = (Node::root(), Node::root());
        let cancelling = cancel(&token, "token");
        let joined = Node::joining(&around, &token);
        let below = Node::below(Some(&joined));
        cancelling.join().unwrap();
        assert_eq!(message(&joined).as_deref(), Some("token"));
        assert_eq!(message(&below).as_deref(), Some("token"));
        assert!(!around.is_cancelled());
    });
}

#[test]
fn a_node_is_cancelled_by_the_first_of_its_parents_while_it_is_joined_with_the_second() {
    model(|| {
        let (around, token) = (Node::root(), Node::root());
        let cancelling = cancel(&around, "around");
        let joined = attached(Node::joining(&around, &token));
        cancelling.join().unwrap();
        assert!(joined.is_marked());
        assert_eq!(message(&joined).as_deref(), Some("around"));
        assert!(!token.is_cancelled());
    });
}

#[test]
fn a_node_whose_parents_are_both_cancelled_keeps_one_reason() {
    model(|| {
        let (around, token) = (Node::root(), Node::root());
        let joined = Node::joining(&around, &token);
        let below = Node::below(Some(&joined));
        let (one, other) = (cancel(&around, "around"), cancel(&token, "token"));
        assert!(one.join().unwrap() && other.join().unwrap());
        assert!(matches!(message(&joined).as_deref(), Some("around" | "token")));
        assert_eq!(message(&below), message(&joined));
        let_go(below);
        let_go(joined);
        assert_eq!((Arc::strong_count(&around), Arc::strong_count(&token)), (1, 1));
    });
}

#[test]
fn a_joined_node_may_go_while_one_of_its_parents_is_cancelled() {
    model(|| {
        let (around, token) = (Node::root(), Node::root());
        let joined = attached(Node::joining(&around, &token));
        let gone = Arc::downgrade(&joined);
        let cancelling = cancel(&token, "token");
        let_go(joined);
        cancelling.join().unwrap();
        assert!(gone.upgrade().is_none());
        assert!(around.inner.lock().children.is_empty(), "it left the list of the parent that lives");
        assert_eq!((Arc::strong_count(&around), Arc::strong_count(&token)), (1, 1));
    });
}

#[test]
fn who_sees_a_node_marked_sees_its_ancestors_marked() {
    model(|| {
        let root = Node::root();
        let child = Node::below(Some(&root));
        let grandchild = attached(Node::below(Some(&child)));
        let cancelling = cancel(&root, "all");
        if grandchild.is_cancelled() {
            assert!(child.is_cancelled() && root.is_cancelled());
        }
        if child.is_cancelled() {
            assert!(grandchild.is_cancelled_above(), "though the pass may not have arrived there");
        }
        cancelling.join().unwrap();
    });
}

#[test]
fn a_node_made_below_two_that_are_being_cancelled_is_cancelled() {
    model(|| {
        let (around, token) = (Node::root(), Node::root());
        let (one, other) = (cancel(&around, "around"), cancel(&token, "token"));
        let joined = attached(Node::joining(&around, &token));
        assert!(one.join().unwrap() && other.join().unwrap());
        assert!(matches!(message(&joined).as_deref(), Some("around" | "token")));
    });
}

#[test]
fn a_node_that_is_listed_while_its_parent_is_cancelled_is_cancelled() {
    model(|| {
        let (parent, child) = (Node::root(), Node::root());
        let cancelling = thread::spawn({
            let parent = parent.clone();
            move || parent.cancel(&reason("move"))
        });
        let listing = parent.list(&child);
        cancelling.join().unwrap();
        assert!(child.is_cancelled());
        drop(listing);
    });
}

#[test]
fn a_node_that_moves_to_another_parent_answers_to_that_one_alone() {
    model(|| {
        let (from, to, child) = (Node::root(), Node::root(), Node::root());
        let listing = from.list(&child);
        let cancelling = thread::spawn({
            let to = to.clone();
            move || to.cancel(&reason("move"))
        });
        drop(listing);
        let listing = to.list(&child);
        cancelling.join().unwrap();
        assert!(child.is_cancelled());
        drop(listing);

        let left = Node::root();
        drop(from.list(&left));
        assert!(from.cancel(&reason("too late")));
        assert!(!left.is_cancelled());
    });
}
