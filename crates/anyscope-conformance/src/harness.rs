//! Runs one check: on a thread of its own, under a watchdog, and with what the adapter declared about it.

use crate::CHECKS;
use anyscope_core::Runtime;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// A check: where it stands and which laws it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The module of the check.
    pub area: &'static str,
    /// The function, whose name says what has to hold.
    pub name: &'static str,
    /// The numbers of the laws in `docs/laws.md`.
    pub laws: &'static [u8],
}

impl Check {
    pub(crate) const fn new(area: &'static str, name: &'static str, laws: &'static [u8]) -> Self {
        Self { area, name, laws }
    }
}

/// A hang is a failure too. Generous, because a busy machine is not a broken law.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(120);

pub(crate) enum Verdict {
    Kept,
    Broken(Box<dyn Any + Send>),
    Hung,
}

/// Runs a check on a runtime, as a test does.
///
/// # Panics
///
/// Where the check fails or hangs; where it was declared as not kept, when it passes.
pub fn check<R: Runtime>(name: &'static str, runtime: fn() -> R, body: fn(R), not_kept: &[(&str, &str)]) {
    for (declared, _) in not_kept {
        assert!(CHECKS.iter().any(|check| check.name == *declared), "no check is named `{declared}`");
    }
    let verdict = run(runtime, body);
    let declared = not_kept.iter().find(|(declared, _)| *declared == name);
    match (verdict, declared) {
        (Verdict::Kept, None) => {}
        (Verdict::Broken(payload), None) => resume_unwind(payload),
        (Verdict::Hung, None) => panic!("the check hung for {} s", WATCHDOG.as_secs()),
        (Verdict::Kept, Some((_, reason))) => {
            panic!("declared as not kept ({reason}), but it is: take the declaration back")
        }
        (Verdict::Broken(_) | Verdict::Hung, Some((_, reason))) => println!("not kept: {reason}"),
    }
}

pub(crate) fn run<R: Runtime>(runtime: fn() -> R, body: fn(R)) -> Verdict {
    let (sender, receiver) = sync_channel(1);
    let name = thread::current().name().unwrap_or("check").to_owned();
    let checking = thread::Builder::new().name(name).spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(|| body(runtime())));
        // The watchdog may have given up on it.
        let _ = sender.send(result);
    });
    checking.expect("a thread for the check");
    match receiver.recv_timeout(WATCHDOG) {
        Ok(Ok(())) => Verdict::Kept,
        Ok(Err(payload)) => Verdict::Broken(payload),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Verdict::Hung,
    }
}

/// Declares one `#[test]` for each check. See the crate's page.
#[macro_export]
macro_rules! suite {
    ($runtime:expr $(, not_kept: { $($name:ident: $reason:expr),* $(,)? })? $(,)?) => {
        $crate::each_check! { declare_tests, ($runtime) ([$($((stringify!($name), $reason)),*)?]) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! declare_tests {
    (($runtime:expr) ($not_kept:expr) $($area:ident { $($name:ident [$($law:literal)*])* })*) => {$(
        mod $area {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[test]
                fn $name() {
                    $crate::check(stringify!($name), || $runtime, $crate::$area::$name, &$not_kept);
                }
            )*
        }
    )*};
}
