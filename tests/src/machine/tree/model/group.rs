//! What comes of a group.

use super::super::history::{list, outcome};
use super::super::{Group, Place, Time};
use super::{Around, Came, Model, NEVER, Ran, line};

impl Model {
    pub(super) fn group(&self, place: Place, group: &Group, start: Time, around: Around) -> Ran {
        let act = group.act.map_or(NEVER, |(after, _)| start + after);
        // First without what the body does, since a failure before it comes first.
        let mut children = self.children(group, start, around, NEVER);
        let acts = act < children.0.min(around.cut);
        if acts {
            children = self.children(group, start, around, act);
        }
        let (failed, mut rans) = children;

        let mut body = if group.act.is_some() { act } else { start };
        if group.looks {
            body = rans.iter().map(|ran| ran.at).fold(body, Time::max);
        }
        let users = rans.iter().map(|ran| ran.over).fold(start, Time::max);
        let joined = users.max(body.min(failed).min(around.cut));

        let mut lines = Vec::new();
        if let Some(place) = group.service {
            // It serves to the end of its users, and of the body unless the group is cancelled; but not a dropped group.
            let all = if acts && group.act.is_some_and(|(_, which)| which.is_none()) { act } else { NEVER };
            let needed = users.max(body.min(failed).min(all));
            lines.push((place, line(start, NEVER, needed.min(around.cut))));
        }
        // The last one first; nothing cuts them.
        let mut end = joined;
        for finaliser in group.finalisers.iter().rev() {
            let ends = end + finaliser.lasts;
            lines.push((finaliser.place, line(end, ends, NEVER)));
            end = ends;
        }

        let came = if end >= around.cut {
            Came::Cut
        } else if rans.iter().any(Ran::is_panicked) {
            Came::Panicked
        } else {
            Came::Result(result(place, group, &rans))
        };
        let at = if matches!(came, Came::Cut) { around.cut } else { end };
        Ran { at, over: end.max(at), came, lines }.with_all(&mut rans)
    }

    /// The children, where the body cancels them at `act`: when the first of them fails the group, and what comes of each.
    fn children(&self, group: &Group, start: Time, around: Around, act: Time) -> (Time, Vec<Ran>) {
        let which = group.act.and_then(|(_, which)| which);
        let cut_of = |child: usize| if which.is_none_or(|which| which == child) { act } else { NEVER };
        let rans = self.together(&group.children, start, group.limit, |child| around.cut_at(cut_of(child)));
        let fails = |ran: &Ran| ran.is_panicked() || (group.fails && matches!(ran.came, Came::Result(Err(_))));
        let Some(first) = (0..rans.len()).filter(|child| fails(&rans[*child])).min_by_key(|child| rans[*child].at)
        else {
            return (NEVER, rans);
        };
        let failed = rans[first].at;
        let rans = self.together(&group.children, start, group.limit, |child| {
            let around = around.cut_at(cut_of(child));
            if child == first { around } else { around.cut_at(failed) }
        });
        (failed, rans)
    }
}

/// The errors in their order, or what the body says of the outcomes.
fn result(place: Place, group: &Group, rans: &[Ran]) -> Result<String, String> {
    if group.fails {
        let failed = |ran: &Ran| ran.result()?.as_ref().err().map(|error| (ran.at, error.clone()));
        let mut errors: Vec<(Time, String)> = rans.iter().filter_map(failed).collect();
        errors.sort();
        if !errors.is_empty() {
            return Err(list(&errors.into_iter().map(|error| error.1).collect::<Vec<_>>()));
        }
    }
    if !group.looks {
        return Ok(String::new());
    }
    // Nobody but the body cuts a child of a group that ends well.
    let told = rans.iter().map(|ran| ran.result().map_or_else(|| format!("the body of {place}"), outcome));
    Ok(list(&told.collect::<Vec<_>>()))
}
