//! What tokens, events and barriers are: a tree of flags, a flag, and those who wait.

use std::collections::BTreeSet;

/// Whoever waits, by the order of being made.
pub(crate) type Id = usize;

/// A token: below which it stands, and why it is cancelled, if it is.
pub(crate) struct Token {
    below: Option<usize>,
    pub(crate) why: Option<usize>,
}

/// The rules of a tree: a request reaches all that stands below, and the first is the reason.
pub(crate) struct Tree(pub(crate) Vec<Token>);

impl Tree {
    pub(crate) fn child(&mut self, of: usize) {
        let why = self.0[of].why;
        self.0.push(Token { below: Some(of), why });
    }

    pub(crate) fn root(&mut self) {
        self.0.push(Token { below: None, why: None });
    }

    /// Returns whether it was the first request to reach the token.
    pub(crate) fn cancel(&mut self, token: usize, why: usize) -> bool {
        let first = self.0[token].why.is_none();
        // A child was made after what it stands below.
        for at in token..self.0.len() {
            let reached =
                at == token || self.0[at].below.is_some_and(|below| below >= token && self.0[below].why == Some(why));
            if reached {
                self.0[at].why.get_or_insert(why);
            }
        }
        first
    }
}

/// The rules of a barrier: as many as it is for go on together, and whoever comes last leads.
pub(crate) struct Barrier {
    pub(crate) size: usize,
    waiting: BTreeSet<Id>,
    through: BTreeSet<Id>,
}

impl Barrier {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, waiting: BTreeSet::new(), through: BTreeSet::new() }
    }

    /// Returns whether who comes leads the others through.
    pub(crate) fn arrive(&mut self, id: Id) -> bool {
        let leads = self.waiting.len() + 1 >= self.size;
        if leads {
            self.through.append(&mut self.waiting);
        } else {
            self.waiting.insert(id);
        }
        leads
    }

    pub(crate) fn is_told(&self, id: Id) -> bool {
        self.through.contains(&id)
    }

    pub(crate) fn leave(&mut self, id: Id) {
        self.waiting.remove(&id);
        self.through.remove(&id);
    }
}
