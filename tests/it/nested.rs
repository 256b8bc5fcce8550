//! Gathers that borrow, inside of everything that holds futures, in a task of their own: each has to be `Send`, which
//! the compiler shows without knowing a lifetime, and to give what it gives alone.
//!
//! What lost it was a bound between the parameters of a type, as `I: Iterator<Item = F>` or `F: Future<Output = T>`, on
//! its impl of `Future`. Where another future keeps the output, that has to be shown again, of parameters whose
//! lifetimes are forgotten: the compiler takes those of one for others than those of the other.

use anyscope::sync::Mutex;
use anyscope::{
    CancelToken, Outcome, Runtime, gather, race, race_ok, run, scope, shield, task_group, timeout, try_gather,
    try_task_group,
};
use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Borrows both, and gives a part of one.
async fn longer<'a>(sum: &Mutex<usize>, text: &'a str) -> &'a str {
    *sum.lock().await += text.len();
    text
}

/// The same, where one may fail. The error borrows too.
async fn checked<'a>(sum: &Mutex<usize>, text: &'a str) -> Result<&'a str, &'a str> {
    let text = longer(sum, text).await;
    if text.is_empty() { Err(text) } else { Ok(text) }
}

fn shown(value: impl Debug) -> String {
    format!("{value:?}")
}

/// As a group's `spawn` asks for it, and in a box: one type of task is enough.
fn boxed(future: impl Future<Output = String> + Send + 'static) -> Pin<Box<dyn Future<Output = String> + Send>> {
    Box::pin(future)
}

/// A future with texts and a lock of its own.
macro_rules! own {
    (|$texts:ident, $sum:ident| $future:expr) => {
        boxed(async {
            let $texts = ["a", "bc"].map(String::from);
            let $sum = Mutex::new(0);
            let value = shown($future);
            drop(($sum, $texts));
            value
        })
    };
}

macro_rules! each_own {
    (|$texts:ident, $sum:ident| $($future:expr;)*) => {
        $(drop(own!(|$texts, $sum| $future));)*
    };
}

/// One test for each future, which is put into everything. A part of that runs; of the rest the compiler says enough.
macro_rules! in_everything {
    ($($name:ident: |$texts:ident, $sum:ident| $future:expr => $expected:expr;)*) => {
        $(
            fn $name(runtime: impl Runtime) {
                fn programs() -> [Pin<Box<dyn Future<Output = String> + Send>>; 4] {
                    [
                        own!(|$texts, $sum| $future.await),
                        own!(|$texts, $sum| gather(($future, async {})).await.0),
                        own!(|$texts, $sum| race(($future, std::future::pending())).await),
                        own!(|$texts, $sum| try_gather((async { Ok::<_, ()>($future.await) },)).await.unwrap().0),
                    ]
                }
                #[allow(dead_code, reason = "that it compiles says it")]
                fn sent() {
                    each_own! { |$texts, $sum|
                        gather((async {}, gather(($future, async {})))).await.1.0;
                        gather([$future]).limit(1).await.swap_remove(0);
                        gather([()].iter().map(|()| $future)).await.swap_remove(0);
                        gather([()].iter().map(async |()| gather(($future, async {})).await.0)).await.swap_remove(0);
                        gather((gather([()].iter().map(|()| $future)), async {})).await.0.swap_remove(0);
                        gather((gather([$future]).timeout_each(HOUR), async {})).await.0.swap_remove(0).unwrap();
                        gather((gather([$future]).settled(), async {})).await.0.swap_remove(0).completed().unwrap();
                        gather((gather([$future]).within(HOUR), async {})).await.0.into_values().swap_remove(0);
                        gather((gather([$future]).until(|_, _| true), async {})).await.0.unwrap();
                        gather([async { Ok::<_, ()>($future.await) }]).first_ok().await.unwrap();
                        try_gather([async { Ok::<_, ()>($future.await) }]).await.unwrap().swap_remove(0);
                        try_gather((async { Ok::<_, ()>($future.await) }, async { Ok(()) })).await.unwrap().0;
                        timeout(HOUR, $future).await.unwrap();
                        gather((timeout(HOUR, $future), async {})).await.0.unwrap();
                        gather((race([$future]), async {})).await.0;
                        gather((race(($future, std::future::pending())), async {})).await.0;
                        gather((race_ok([async { Ok::<_, ()>($future.await) }]), async {})).await.0.unwrap();
                        gather((shield(HOUR, $future), async {})).await.0;
                        CancelToken::new().run($future).await.unwrap();
                        gather((CancelToken::new().run($future), async {})).await.0.unwrap();
                        scope(async |s| s.spawn($future).await).await;
                        task_group(async |_| $future.await).await;
                        try_task_group(async |_| Ok::<_, ()>($future.await)).await.unwrap();
                    }
                }
                run(runtime, task_group(async |g| {
                    for program in programs() {
                        assert_eq!(g.spawn(program).await, shown($expected));
                    }
                }));
            }
        )*
        on_every_runtime! { $($name,)* }
    };
}

in_everything! {
    a_gather: |texts, sum| gather(texts.iter().map(|text| longer(&sum, text))) => ["a", "bc"];
    one_of_an_async_closure: |texts, sum|
        gather(texts.iter().map(async |text| longer(&sum, text).await)) => ["a", "bc"];
    one_of_an_array: |texts, sum|
        gather(texts.each_ref().map(async |text| longer(&sum, text).await)) => ["a", "bc"];
    one_that_owns_what_it_is_given: |texts, sum|
        gather([1, 2].map(async |n| { *sum.lock().await += n; texts.len() })) => [2, 2];
    one_of_a_tuple: |texts, sum| gather((longer(&sum, &texts[0]), longer(&sum, &texts[1]))) => ("a", "bc");
    one_with_a_limit: |texts, sum|
        gather(texts.iter().map(|text| longer(&sum, text))).limit(1) => ["a", "bc"];
    one_with_progress: |texts, sum|
        gather(texts.iter().map(|text| longer(&sum, text))).on_progress(|_| drop(sum.try_lock())) => ["a", "bc"];
    one_with_timeouts: |texts, sum|
        gather(texts.iter().map(|text| longer(&sum, text))).timeout_each(HOUR) => [Ok::<_, ()>("a"), Ok("bc")];
    one_that_settles: |texts, sum|
        gather(texts.iter().map(|text| longer(&sum, text))).settled()
        => [Outcome::Completed("a"), Outcome::Completed("bc")];
    one_with_a_first_success: |texts, sum|
        gather(texts.iter().map(|text| checked(&sum, text))).limit(1).first_ok() => Ok::<_, ()>("a");
    one_with_a_quorum: |texts, sum|
        gather(texts.iter().map(|text| checked(&sum, text))).quorum(2) => Ok::<_, ()>(["a", "bc"]);
    one_with_a_condition: |texts, sum|
        gather(texts.iter().map(|text| longer(&sum, text))).until(|_, text| text.len() > 1) => Some("bc");
    one_of_tasks: |texts, sum|
        gather(texts.clone().into_iter().map(async |text| text.len())).parallel() => [1, 2];
    one_that_fails: |texts, sum|
        try_gather(texts.iter().map(|text| checked(&sum, text))) => Ok::<_, ()>(["a", "bc"]);
    one_of_a_tuple_that_fails: |texts, sum|
        try_gather((checked(&sum, &texts[0]), checked(&sum, &texts[1]))) => Ok::<_, ()>(("a", "bc"));
    one_that_fails_with_a_condition: |texts, sum|
        try_gather(texts.iter().map(|text| checked(&sum, text))).until(|_, text| text.len() > 1)
        => Ok::<_, ()>(Some("bc"));
    one_with_a_deadline: |texts, sum|
        gather(texts.iter().map(|text| longer(&sum, text))).within(HOUR)
        => format_args!(r#"Partial {{ values: [(0, "a"), (1, "bc")], total: Some(2), is_complete: true }}"#);
    one_that_fails_with_a_deadline: |texts, sum|
        try_gather(texts.iter().map(|text| checked(&sum, text))).within(HOUR)
        => format_args!(r#"Ok(Partial {{ values: [(0, "a"), (1, "bc")], total: Some(2), is_complete: true }})"#);
    one_that_hands_over: |texts, sum|
        gather(texts.iter().map(async |text| longer(&sum, text).await.len())).for_each(async |_, _| ()) => ();
    one_of_tasks_that_fail: |texts, sum|
        try_gather(texts.clone().into_iter().map(async |text| Ok::<_, &str>(text.len()))).parallel() => Ok::<_, ()>([1, 2]);
    a_race: |texts, sum| race(texts.iter().map(|text| longer(&sum, text))) => "a";
    one_race_of_a_tuple: |texts, sum| race((longer(&sum, &texts[0]), longer(&sum, &texts[1]))) => "a";
    one_race_for_a_success: |texts, sum|
        race_ok(texts.iter().map(|text| checked(&sum, text))) => Ok::<_, ()>("a");
}
