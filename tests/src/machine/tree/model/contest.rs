//! Who gets the permits of a semaphore: first come, first served.

use super::super::history::list;
use super::super::{Contest, Rival, Time};
use super::{NEVER, Ran, line, until};
use std::collections::VecDeque;

/// How it went for one rival.
#[derive(Clone, Copy)]
enum Fate {
    /// Got them then.
    Got(Time),
    /// Gave up then.
    Left(Time),
}

impl Fate {
    fn end(self, rival: &Rival) -> Time {
        match self {
            Self::Got(at) => at + rival.holds,
            Self::Left(at) => at,
        }
    }
}

pub(super) fn run(contest: &Contest, start: Time, cut: Time) -> Ran {
    let fates = fates(contest, start);
    let each = || fates.iter().zip(&contest.rivals);
    let lines = each().filter_map(|(fate, rival)| match *fate {
        Fate::Got(at) if at < cut => Some((rival.place, line(at, at + rival.holds, cut))),
        _ => None,
    });
    let told = each().map(|(fate, rival)| match fate {
        Fate::Got(_) => rival.place.to_string(),
        Fate::Left(_) => format!("!{}:late", rival.place),
    });
    let end = each().map(|(fate, rival)| fate.end(rival)).fold(start, Time::max);
    Ran { lines: lines.collect(), ..until(end, cut, list(&told.collect::<Vec<_>>())) }
}

/// What comes of everybody where nothing is cut: one event after the other.
fn fates(contest: &Contest, start: Time) -> Vec<Fate> {
    let rivals = &contest.rivals;
    let mut free = contest.permits;
    let mut coming: Vec<usize> = (0..rivals.len()).collect();
    coming.sort_by_key(|rival| rivals[*rival].comes);
    let mut coming = VecDeque::from(coming);
    let mut queue: VecDeque<usize> = VecDeque::new();
    let mut fates: Vec<Option<Fate>> = vec![None; rivals.len()];
    let mut holding: Vec<usize> = Vec::new();
    let comes = |rival: usize| start + rivals[rival].comes;
    let leaves = |rival: usize| rivals[rival].patience.map_or(NEVER, |patience| comes(rival) + patience);
    loop {
        let next_comes = coming.front().map_or(NEVER, |rival| comes(*rival));
        let next_leaves = queue.iter().copied().min_by_key(|rival| leaves(*rival));
        let ends = |rival: usize| fates[rival].map_or(NEVER, |fate| fate.end(&rivals[rival]));
        let next_ends = (0..holding.len()).min_by_key(|at| ends(holding[*at]));
        let leaving = next_leaves.map_or(NEVER, leaves);
        let ending = next_ends.map_or(NEVER, |at| ends(holding[at]));
        let now = next_comes.min(leaving).min(ending);
        if now == NEVER {
            return fates.into_iter().map(|fate| fate.expect("everybody gets some or leaves")).collect();
        }
        if now == next_comes {
            queue.extend(coming.pop_front());
        } else if now == leaving {
            queue.retain(|rival| leaves(*rival) != now);
            for (rival, fate) in fates.iter_mut().enumerate() {
                if next_leaves == Some(rival) {
                    *fate = Some(Fate::Left(now));
                }
            }
        } else if let Some(at) = next_ends {
            free += rivals[holding.swap_remove(at)].needs;
        }
        while let Some(first) = queue.front().copied().filter(|first| rivals[*first].needs <= free) {
            queue.pop_front();
            free -= rivals[first].needs;
            fates[first] = Some(Fate::Got(now));
            holding.push(first);
        }
    }
}
