//! What comes of a program, worked out from its times.
//!
//! A part is looked at as a whole: from when it begins, and when it is *cut* (by a deadline, a token, a failure beside
//! it), follow when it answers, with what, and when the last of what it left behind is over. What interrupts a part for a
//! reason inside of it is found by looking twice: first as if nothing did, and then with the cut. Until the cut both are
//! the same.

mod contest;
mod group;
mod pipe;

use super::history::{Deadline, End, History, Line, list, outcome};
use super::{Cleanup, Gather, Heir, How, Node, Place, Program, Time, Until, What};

/// What is around a part.
#[derive(Clone, Copy)]
struct Around {
    /// When it is cut: what then waits is dropped.
    cut: Time,
    deadline: Deadline,
}

const NEVER: Time = Time::MAX;

/// What came of a part.
struct Ran {
    /// When it answered, or was gone.
    at: Time,
    /// When nothing of it was left.
    over: Time,
    came: Came,
    lines: Vec<(Place, Line)>,
}

#[derive(Clone, Debug)]
enum Came {
    Result(Result<String, String>),
    Panicked,
    Cut,
}

pub(super) fn expect(program: &Program) -> History {
    let [first, second, third] = program.strikes;
    let model = Model { strikes: [first, second.min(first), third] };
    let ran = model.node(&program.root, 0, Around { cut: NEVER, deadline: Deadline::None });
    let result = match ran.came {
        Came::Result(result) => Some(result),
        Came::Panicked => None,
        Came::Cut => unreachable!("nothing is around the root"),
    };
    History { lines: ran.lines.into_iter().collect(), result, end: ran.over }
}

struct Model {
    /// When each token is cancelled.
    strikes: [Time; 3],
}

impl Around {
    fn cut_at(self, cut: Time) -> Self {
        Self { cut: self.cut.min(cut), ..self }
    }
}

impl Ran {
    fn new(at: Time, result: Result<String, String>) -> Self {
        Self { at, over: at, came: Came::Result(result), lines: Vec::new() }
    }

    /// What never began, or had nothing to show for it.
    fn cut(at: Time) -> Self {
        Self { at, over: at, came: Came::Cut, lines: Vec::new() }
    }

    /// Takes over what another has left: its lines, and what is still going on of it.
    fn with(mut self, other: &mut Self) -> Self {
        self.over = self.over.max(other.over);
        self.lines.append(&mut other.lines);
        self
    }

    fn with_all<'a>(self, others: impl IntoIterator<Item = &'a mut Self>) -> Self {
        others.into_iter().fold(self, Self::with)
    }

    fn result(&self) -> Option<&Result<String, String>> {
        match &self.came {
            Came::Result(result) => Some(result),
            Came::Panicked | Came::Cut => None,
        }
    }

    fn is_cut(&self) -> bool {
        matches!(self.came, Came::Cut)
    }

    fn is_panicked(&self) -> bool {
        matches!(self.came, Came::Panicked)
    }
}

/// The line of what lasts from `began` for a while, and may be cut.
fn line(began: Time, ends: Time, cut: Time) -> Line {
    let end = if ends < cut { End::Value(String::new()) } else { End::Gone };
    Line { began, deadline: Deadline::Unknown, ended: ends.min(cut), end }
}

impl Model {
    fn node(&self, node: &Node, start: Time, around: Around) -> Ran {
        let began = start + node.pause;
        if began >= around.cut {
            return Ran::cut(start.max(around.cut));
        }
        let mut ran = self.what(node, began, around);
        let end = ran.result().map_or(End::Gone, End::of);
        ran.lines.push((node.place, Line { began, deadline: around.deadline, ended: ran.at, end }));
        ran
    }

    fn what(&self, node: &Node, start: Time, around: Around) -> Ran {
        let place = node.place;
        match &node.what {
            What::Value | What::Job | What::Yield(_) => Ran::new(start, Ok(place.to_string())),
            What::Error => Ran::new(start, Err(place.to_string())),
            What::Panic => Ran { came: Came::Panicked, ..Ran::cut(start) },
            What::Sequence(nodes) => self.sequence(nodes, start, around),
            What::Group(group) => self.group(place, group, start, around),
            What::Gather(gather) => self.gather(gather, start, around),
            What::Timeout(after, node) => {
                let due = start + after;
                let deadline = match around.deadline {
                    Deadline::At(at) => Deadline::At(at.min(due)),
                    Deadline::None => Deadline::At(due),
                    Deadline::Unknown => Deadline::Unknown,
                };
                let mut ran = self.node(node, start, Around { deadline, ..around.cut_at(due) });
                // Of two that have come to strike, the outer one says so.
                if ran.is_cut() && ran.at < around.cut {
                    ran.came = Came::Result(Err(format!("{place}:late")));
                }
                ran
            }
            What::Token { token, pause, node } => {
                let strike = self.strikes[*token];
                let mut ran =
                    if strike <= start { Ran::cut(start) } else { self.node(node, start, around.cut_at(strike)) };
                if ran.is_cut() && ran.at < around.cut {
                    // The first token is above the second, and its request the reason of both.
                    let by = if *token == 1 && strike == self.strikes[0] { 0 } else { *token };
                    ran.came = Came::Result(Err(format!("strike {by}")));
                }
                let Some(pause) = pause.filter(|_| ran.result().is_some()) else { return ran };
                let at = ran.at + pause;
                if at < around.cut {
                    Ran { at, over: at.max(ran.over), ..ran }
                } else {
                    Ran::cut(ran.at.max(around.cut)).with(&mut ran)
                }
            }
            What::Shield { budget, node } => {
                let cut = if around.cut == NEVER { NEVER } else { around.cut.max(start + budget) };
                self.node(node, start, Around { cut, deadline: Deadline::Unknown })
            }
            What::Cleanup(cleanup) => self.cleanup(cleanup, start, around),
            What::Start { ready, node } => self.start(place, start + ready, node, around),
            What::Contest(contest) => contest::run(contest, start, around.cut),
            What::Heirs(heirs) => self::heirs(heirs, start, around.cut),
            What::Meeting(comes) => {
                let last = comes.iter().max().copied().unwrap_or_default();
                let leaders: Vec<bool> = comes.iter().map(|comes| *comes == last).collect();
                until(start + last, around.cut, format!("{leaders:?}"))
            }
            What::Pipe(pipe) => pipe::run(pipe, start, around.cut),
        }
    }

    fn sequence(&self, nodes: &[Node], start: Time, around: Around) -> Ran {
        let mut whole = Ran::new(start, Ok(String::new()));
        let mut values = Vec::new();
        for node in nodes {
            let mut ran = self.node(node, whole.at, around);
            let (at, came) = (ran.at, ran.came.clone());
            whole = Ran { at, over: at.max(whole.over), ..whole }.with(&mut ran);
            let Came::Result(Ok(value)) = came else { return Ran { came, ..whole } };
            values.push(value);
        }
        whole.came = Came::Result(Ok(list(&values)));
        whole
    }

    /// The items one beside the other, `limit` at a time, each with a cut of its own.
    fn together(&self, items: &[Node], start: Time, limit: usize, around: impl Fn(usize) -> Around) -> Vec<Ran> {
        let mut busy: Vec<Time> = Vec::new();
        let mut turn = |item: usize| {
            let begins = if busy.len() < limit {
                start
            } else {
                let first = (0..busy.len()).min_by_key(|at| busy[*at]).expect("no limit is zero");
                busy.swap_remove(first)
            };
            let around = around(item);
            if begins >= around.cut {
                busy.push(begins);
                return Ran::cut(around.cut);
            }
            let ran = self.node(&items[item], begins, around);
            busy.push(ran.at);
            ran
        };
        (0..items.len()).map(&mut turn).collect()
    }

    fn gather(&self, gather: &Gather, start: Time, around: Around) -> Ran {
        let Gather { until, limit, how, ref items } = *gather;
        let mut rans = self.together(items, start, limit, |_| around);
        let stops = |ran: &Ran| match (&ran.came, until) {
            (Came::Panicked, until) => until != Until::Settled,
            (Came::Result(_), Until::First) => true,
            (Came::Result(result), Until::Error) => result.is_err(),
            (Came::Result(result), Until::FirstValue) => result.is_ok(),
            _ => false,
        };
        let last = (0..rans.len()).filter(|item| stops(&rans[*item])).min_by_key(|item| rans[*item].at);
        if let Some(last) = last {
            let at = rans[last].at;
            rans = self.together(items, start, limit, |item| if item == last { around } else { around.cut_at(at) });
        }
        let (mut at, mut came) = match last {
            Some(last) => (rans[last].at, rans[last].came.clone()),
            None if rans.iter().any(Ran::is_cut) => (around.cut, Came::Cut),
            None => (rans.iter().map(|ran| ran.at).fold(start, Time::max), Came::Result(all(until, &rans))),
        };
        if how == How::Parallel && !matches!(came, Came::Cut) {
            // A group has the items, and waits for what they have left.
            at = rans.iter().map(|ran| ran.over).fold(at, Time::max);
            if at >= around.cut {
                (at, came) = (around.cut, Came::Cut);
            }
        }
        Ran { came, ..Ran::cut(at) }.with_all(&mut rans)
    }

    /// A group of one, whose body ends when that is ready.
    fn start(&self, place: Place, ready: Time, node: &Node, around: Around) -> Ran {
        if ready >= around.cut {
            return Ran::cut(around.cut);
        }
        let mut ran = self.node(node, ready, around);
        let came = match ran.came {
            Came::Panicked => Came::Panicked,
            _ if ran.over >= around.cut => Came::Cut,
            _ => Came::Result(Ok(place.to_string())),
        };
        let at = if matches!(came, Came::Cut) { around.cut } else { ran.over };
        Ran { came, ..Ran::cut(at) }.with(&mut ran)
    }

    fn cleanup(&self, cleanup: &Cleanup, start: Time, around: Around) -> Ran {
        let mut work = self.node(&cleanup.work, start, around);
        let (began, due) = (work.at, work.at + cleanup.budget);
        let cleaned = line(began, began + cleanup.lasts, due);
        let failed = match (&cleaned.end, cleanup.fails) {
            (End::Gone, _) => Some("late"),
            (_, true) => Some("clean"),
            (_, false) => None,
        };
        let over = cleaned.ended;
        let (at, came) = match work.came.clone() {
            // Nobody waits for it whose work was dropped; nor whose work was late behind a shield, since two in a row
            // are not one.
            Came::Cut => (began, Came::Cut),
            Came::Result(_) if began >= around.cut => (began, Came::Cut),
            // Nor who has spent the budget: that is when the shield comes down.
            Came::Result(_) if over >= around.cut && failed == Some("late") => (over, Came::Cut),
            Came::Panicked => (over, Came::Panicked),
            Came::Result(result) => {
                let errors = [result.as_ref().err().cloned(), failed.map(str::to_owned)];
                let errors: Vec<String> = errors.into_iter().flatten().collect();
                (over, Came::Result(if errors.is_empty() { result } else { Err(list(&errors)) }))
            }
        };
        let lines = vec![(cleanup.clean, cleaned)];
        Ran { at, over, came, lines }.with(&mut work)
    }
}

/// The result of a gather that nothing ended early.
fn all(until: Until, rans: &[Ran]) -> Result<String, String> {
    let results = || rans.iter().map(|ran| ran.result().cloned().unwrap_or(Err("panic".to_owned())));
    match until {
        Until::All | Until::Settled => Ok(list(&results().map(|result| outcome(&result)).collect::<Vec<_>>())),
        Until::Error => Ok(list(&results().flatten().collect::<Vec<_>>())),
        Until::First | Until::FirstValue => Err(list(&results().filter_map(Result::err).collect::<Vec<_>>())),
    }
}

/// A value at a time, unless it is cut before.
fn until(at: Time, cut: Time, value: String) -> Ran {
    if at < cut { Ran::new(at, Ok(value)) } else { Ran::cut(cut) }
}

/// Each child under a key goes on until the next one comes under it, who begins when all before have ended.
fn heirs(heirs: &[Heir], start: Time, cut: Time) -> Ran {
    let comes: Vec<Time> =
        heirs.iter().scan(start, |now, heir| Some(*now + heir.gap).inspect(|next| *now = *next)).collect();
    let mut lines: Vec<(Place, Line)> = Vec::new();
    let mut free = [start; 2];
    for (number, heir) in heirs.iter().enumerate() {
        let next = (number + 1..heirs.len()).find(|next| heirs[*next].key == heir.key);
        let cut = next.map_or(cut, |next| cut.min(comes[next]));
        let free = &mut free[usize::from(heir.key)];
        let began = comes[number].max(*free);
        if began < cut {
            let line = line(began, began + heir.lasts, if heir.shielded { NEVER } else { cut });
            *free = line.ended;
            lines.push((heir.place, line));
        }
    }
    let last = comes.iter().chain(&free).copied().fold(start, Time::max);
    let over = free.into_iter().fold(start, Time::max);
    let ran = until(last, cut, String::new());
    Ran { over: over.max(ran.at), lines, ..ran }
}
