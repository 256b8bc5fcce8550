//! Trees of groups, gathers, scopes and whatever waits in them, run on a runtime with virtual time.
//!
//! Every wait of a program takes a time of its own, so that no two of them end at one instant: what comes of a program
//! is decided by time alone, whatever the order of the tasks. The model works it out from the times, without tasks, polls
//! or wakers. Compared is the whole history: when each part began, how much of its deadline was left, when and how it
//! ended, to the nanosecond; and what came of the whole.

mod grow;
mod history;
mod model;
mod play;

use anyscope::Runtime;
use std::fmt;

/// A time, in nanoseconds since the beginning; or a span.
type Time = u64;

/// A part of a program, by the order of being made.
type Place = usize;

/// A tree, and the times at which its tokens are cancelled.
pub struct Program {
    strikes: [Time; 3],
    root: Node,
}

/// A part that has a line in the history: it waits for a while, and then begins.
#[derive(Debug)]
struct Node {
    place: Place,
    pause: Time,
    what: What,
}

/// What a part does. Its result is a value or an error, both a text.
#[derive(Debug)]
enum What {
    Value,
    Error,
    Panic,
    /// A blocking job.
    Job,
    /// Gives way a few times, which takes no time.
    Yield(u8),
    /// One after the other, up to the first error.
    Sequence(Vec<Node>),
    Group(Group),
    Gather(Gather),
    Timeout(Time, Box<Node>),
    /// Under a token; and then a pause, since there may be others. Right below another token there is none.
    Token {
        token: usize,
        pause: Option<Time>,
        node: Box<Node>,
    },
    Shield {
        budget: Time,
        node: Box<Node>,
    },
    Cleanup(Cleanup),
    /// A child that others need, ready after a while, before it goes on.
    Start {
        ready: Time,
        node: Box<Node>,
    },
    Contest(Contest),
    Heirs(Vec<Heir>),
    Meeting(Vec<Time>),
    Pipe(Pipe),
}

#[derive(Debug)]
struct Group {
    /// A child's error fails it.
    fails: bool,
    limit: usize,
    children: Vec<Node>,
    /// What the body does when all are spawned: it waits, and cancels all or one.
    act: Option<(Time, Option<usize>)>,
    /// Whether the body looks at all outcomes before it ends.
    looks: bool,
    service: Option<Place>,
    finalisers: Vec<Finaliser>,
}

#[derive(Debug)]
struct Finaliser {
    place: Place,
    lasts: Time,
}

#[derive(Debug)]
struct Gather {
    until: Until,
    limit: usize,
    how: How,
    items: Vec<Node>,
}

/// Where the items of a gather run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// In the task that gathers.
    Here,
    /// There too, as children of a scope.
    InScope,
    /// Each on a task of its own.
    Parallel,
}

/// When a gather has what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// All have ended.
    All,
    /// All have ended, and panics are results.
    Settled,
    /// One has failed.
    Error,
    /// One has ended.
    First,
    /// One has succeeded.
    FirstValue,
}

/// Work, and a clean-up after it.
#[derive(Debug)]
struct Cleanup {
    work: Box<Node>,
    clean: Place,
    lasts: Time,
    budget: Time,
    fails: bool,
}

/// Some who want permits of one semaphore.
#[derive(Debug)]
struct Contest {
    permits: usize,
    rivals: Vec<Rival>,
    /// Each on a task of its own.
    parallel: bool,
}

#[derive(Debug)]
struct Rival {
    place: Place,
    comes: Time,
    needs: usize,
    holds: Time,
    /// How long it waits, if not for ever.
    patience: Option<Time>,
}

/// A child under a key, where another may follow it.
#[derive(Debug)]
struct Heir {
    place: Place,
    gap: Time,
    key: u8,
    lasts: Time,
    /// Whether it goes on to its end when another follows it, who waits.
    shielded: bool,
}

/// A channel with one at each end.
#[derive(Debug)]
struct Pipe {
    capacity: usize,
    /// How long each rests before each message.
    sends: Vec<Time>,
    receives: Vec<Time>,
}

impl Program {
    /// Reads a program. Any bytes are one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        grow::grow(bytes)
    }

    /// Runs it on a runtime with virtual time, and compares what happens with what the model says.
    ///
    /// # Panics
    ///
    /// Where the two differ.
    pub fn run(&self, runtime: impl Runtime) {
        let played = play::play(self, runtime);
        let expected = model::expect(self);
        for (place, expected) in &expected.lines {
            assert_eq!(played.lines.get(place), Some(expected), "of part {place}");
        }
        for place in played.lines.keys() {
            assert!(expected.lines.contains_key(place), "part {place} was never to begin");
        }
        assert_eq!(played.result, expected.result);
        assert_eq!(played.end, expected.end, "the end of all");
    }
}

impl fmt::Debug for Program {
    /// On one line, however it is asked for: times one under the other are hard to read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tokens cancelled at {:?}: {:?}", self.strikes, self.root)
    }
}
