use super::{below, join, one_in, pause, threads};
use crate::cancel::CancelToken;
use crate::models::{Threads, block_on, poll_once, scenario, thread};
use std::future::pending;
use std::pin::pin;
use std::task::Poll;

type Token = CancelToken<Threads>;

/// Ten tasks grow branches below a token and drop parts of them, wait for them, and leave; two others cancel the token
/// and one below it. All that is left is cancelled then, each branch as a whole, and whoever waits is woken.
#[test]
fn a_request_reaches_all_that_grows_and_goes_meanwhile() {
    scenario(|| {
        let root = Token::new();
        let limb = root.child();
        let growing = threads(10, {
            let limb = limb.clone();
            move |_| {
                let mut branch = vec![limb.child()];
                for _ in 0..5 {
                    let from = below(branch.len());
                    let next = branch[from].child();
                    if one_in(3) {
                        branch[from] = next;
                    } else {
                        branch.push(next);
                    }
                }
                {
                    let mut leaving = pin!(branch[0].cancelled());
                    let _ = poll_once(&mut leaving);
                }
                let leaf = &branch[branch.len() - 1];
                if one_in(2) {
                    block_on(leaf.cancelled());
                } else {
                    let cut = block_on(leaf.run(async {
                        pause().await;
                        pending::<()>().await;
                    }));
                    assert!(cut.is_err());
                }
                branch
            }
        });
        let cancelling = [(root.clone(), "root"), (limb.clone(), "limb")].map(|(token, message)| {
            thread::spawn(move || {
                let first = token.cancel_with(message);
                assert!(token.is_cancelled(), "a request is synchronous, also the one that came second");
                first
            })
        });
        let [root_first, limb_first] = cancelling.map(|thread| thread.join().unwrap());
        let left = join(growing);
        assert!(root_first, "nothing else cancels it");
        let message = |token: &Token| token.reason().unwrap().message().map(str::to_owned);
        assert_eq!(message(&root).as_deref(), Some("root"));
        assert_eq!(message(&limb).as_deref(), Some(if limb_first { "limb" } else { "root" }));
        assert!(left.iter().flatten().all(|token| message(token) == message(&limb)));
        assert!(limb.child().is_cancelled());
    });
}

/// Work under a token, under another, and under a third that nobody cancels. The inner one is cancelled, then the outer
/// one: where that had happened before a poll, the inner one doesn't claim it in that poll, however far the request has
/// come by then.
#[test]
fn the_outermost_of_two_tokens_reports() {
    scenario(|| {
        let (around, outer, inner) = (Token::new(), Token::new(), Token::new());
        let mut work = pin!(around.run(outer.run(inner.run(pending::<()>()))));
        assert!(poll_once(&mut work).is_pending());
        let cancelling = {
            let (outer, inner) = (outer.clone(), inner.clone());
            thread::spawn(move || {
                inner.cancel_with("inner");
                outer.cancel_with("outer");
            })
        };
        let cut = loop {
            let outer_first = outer.is_cancelled();
            match poll_once(&mut work) {
                Poll::Pending => thread::yield_now(),
                Poll::Ready(Ok(Ok(by_inner))) => {
                    assert!(!outer_first, "the inner one reported, though the outer one was cancelled before");
                    break by_inner.expect_err("it never ends");
                }
                Poll::Ready(Ok(Err(by_outer))) => break by_outer,
                Poll::Ready(Err(_)) => panic!("nobody cancels what is around"),
            }
        };
        assert!(["inner", "outer"].map(Some).contains(&cut.reason().message()));
        cancelling.join().unwrap();
    });
}
