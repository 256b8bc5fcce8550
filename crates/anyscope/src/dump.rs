//! The tree of what lives, written down when somebody sends a signal, or when something panics.
//!
//! For a program that is in trouble, and in which nobody has thought of a page to look at. Both are for an application to turn
//! on, at its start, and never for a library; both have ages and waits [recorded](crate::tree::record) from then on.
//!
//! ```no_run
//! fn main() -> std::io::Result<()> {
//!     anyscope::dump::on_panic();
//!     // `kill -USR1` has the tree on the error output.
//!     let _dumps = anyscope::dump::on_signal()?;
//!     // ..
//!     Ok(())
//! }
//! ```
//!
//! # Threads
//!
//! A signal is waited for by a thread of its own, which sleeps until there is one, so that a program whose runtime is stuck can
//! be looked at too. After a panic, the tree is drawn by a thread that lives for no longer.

use crate::tree::{self, tree};
use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a panic waits for its tree.
const PATIENCE: Duration = Duration::from_secs(2);

/// Has the tree written to the error output after each panic, until the end of the process.
///
/// What the panic itself says comes first, as it does now: whatever hook there is by then is called before. A panic that a
/// group catches, to go on with it in its owner, is one too; so is one in a test. Called again, it does nothing.
///
/// The thread that panics waits for the tree, for 2 seconds at most: then it says that there is none, and goes on.
///
/// # Examples
///
/// ```
/// anyscope::dump::on_panic();
/// # let _ = std::panic::catch_unwind(|| panic!("oh"));
/// ```
pub fn on_panic() {
    if thread::panicking() {
        // A hook can't be set meanwhile.
        return;
    }
    static ONCE: Once = Once::new();
    /// Whether a tree is being drawn for some panic.
    static DRAWING: AtomicBool = AtomicBool::new(false);
    thread_local! {
        /// Whether it is the thread that draws: a panic in there is told, and draws nothing.
        static DRAWS: Cell<bool> = const { Cell::new(false) };
    }

    ONCE.call_once(|| {
        tree::record();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            before(info);
            if DRAWS.try_with(Cell::get).unwrap_or(true) {
                return;
            }
            // Of many that panic at once, one has the tree drawn.
            if DRAWING.swap(true, Ordering::AcqRel) {
                let _ = io::stderr().lock().write_all(b"what lived at this panic is drawn for another\n");
                return;
            }
            // Drawn elsewhere: whoever panics may be in the middle of what the drawing would look at.
            let (drawn, done) = mpsc::sync_channel(1);
            let draws = thread::Builder::new().name("anyscope-dump".to_owned()).spawn(move || {
                DRAWS.set(true);
                let tree = guarded_tree();
                DRAWING.store(false, Ordering::Release);
                let _ = drawn.send(tree);
            });
            if draws.is_err() {
                DRAWING.store(false, Ordering::Release);
            }
            let what_lives = match draws.map(|_| done.recv_timeout(PATIENCE)) {
                Ok(Ok(drawn)) => format!("what lived at the panic:\n{drawn}"),
                Ok(Err(_)) => "what lived at the panic could not be drawn\n".to_owned(),
                Err(error) => format!("what lived at the panic could not be drawn: {error}\n"),
            };
            let _ = io::stderr().lock().write_all(what_lives.as_bytes());
        }));
    });
}

/// Has the tree written to the error output whenever the process receives SIGUSR1, until what this returns is dropped.
///
/// Without it, the signal ends the process. Where it has been dropped, the signal does nothing; the drop waits for a tree that is
/// being written.
///
/// # Errors
///
/// Where the system refuses a handler or a thread.
///
/// # Examples
///
/// See the [module](self).
#[cfg(unix)]
pub fn on_signal() -> io::Result<OnSignal> {
    on_signal_to(io::stderr())
}

/// The same, written to `output`, such as a file that was opened to be appended to. What can't be written is left out.
///
/// # Errors
///
/// As for [`on_signal`].
#[cfg(unix)]
pub fn on_signal_to(mut output: impl Write + Send + 'static) -> io::Result<OnSignal> {
    use signal_hook::consts::SIGUSR1;
    use signal_hook::iterator::Signals;

    tree::record();
    let mut signals = Signals::new([SIGUSR1])?;
    let handle = signals.handle();
    let waits = thread::Builder::new().name("anyscope-dump".to_owned()).spawn(move || {
        for _ in signals.forever() {
            let drawn = format!("what lives:\n{}", guarded_tree());
            let _ = output.write_all(drawn.as_bytes()).and_then(|()| output.flush());
        }
    })?;
    Ok(OnSignal { handle, waits: Some(waits) })
}

/// The tree, drawn. Where a runtime's clock panics that it asks, there is one for the next.
fn guarded_tree() -> String {
    panic::catch_unwind(|| tree().to_string()).unwrap_or_else(|_| "it could not be drawn\n".to_owned())
}

/// Writes the tree for each signal, until it is dropped. Made by [`on_signal`].
#[cfg(unix)]
#[must_use = "a signal writes nothing once this is dropped"]
pub struct OnSignal {
    handle: signal_hook::iterator::Handle,
    waits: Option<thread::JoinHandle<()>>,
}

#[cfg(unix)]
impl Drop for OnSignal {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(waits) = self.waits.take() {
            // A panic of it was told by then. Where the output itself drops this, there is nothing to wait for.
            if waits.thread().id() != thread::current().id() {
                let _ = waits.join();
            }
        }
    }
}

#[cfg(unix)]
impl fmt::Debug for OnSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnSignal").finish_non_exhaustive()
    }
}
