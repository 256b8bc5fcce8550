//! Trees out of bytes.

use super::{
    Cleanup, Contest, Finaliser, Gather, Group, Heir, How, Node, Pipe, Place, Program, Rival, Time, Until, What,
};
use crate::machine::bytes::Bytes;

/// So many parts, and then only leaves: a run stays short.
const PARTS: usize = 48;
const DEPTH: usize = 5;
/// A bit over 18 minutes.
const UNIT: Time = 1 << 40;

pub(super) fn grow(bytes: &[u8]) -> Program {
    let mut grower = Grower { bytes: Bytes::new(bytes), parts: 0, times: 0, panics: false };
    grower.panics = grower.bytes.below(4) == 3;
    let strikes = [(); 3].map(|()| grower.time(32));
    let root = grower.node(DEPTH, true);
    Program { strikes, root }
}

struct Grower<'a> {
    bytes: Bytes<'a>,
    parts: usize,
    times: u64,
    /// Whether parts panic. Then nothing outlasts its owner: of two panics, or a panic that nobody is left to have, the
    /// model knows nothing.
    panics: bool,
}

impl Grower<'_> {
    fn place(&mut self) -> Place {
        self.parts += 1;
        self.parts - 1
    }

    /// A span of up to `units`, like no other: sums of such don't meet either.
    fn time(&mut self, units: u8) -> Time {
        self.times += 1;
        Time::from(self.bytes.below(units)) * UNIT + mixed(self.times) % UNIT
    }

    fn flag(&mut self) -> bool {
        self.bytes.below(2) == 1
    }

    fn some<T>(&mut self, most: u8, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = 1 + self.bytes.below(most);
        (0..count).map(|_| make(self)).collect()
    }

    /// `alone`: nothing else goes on in its task. Whatever drops such a thing for a sibling's sake would drop a shield
    /// in it as well, which the model doesn't know.
    fn node(&mut self, depth: usize, alone: bool) -> Node {
        let (place, pause) = (self.place(), self.time(16));
        let what = self.what(depth, alone);
        Node { place, pause, what }
    }

    fn boxed(&mut self, depth: usize, alone: bool) -> Box<Node> {
        Box::new(self.node(depth - 1, alone))
    }

    fn what(&mut self, depth: usize, alone: bool) -> What {
        let choice = self.bytes.below(32);
        let full = depth == 0 || self.parts >= PARTS;
        match choice {
            3 => What::Error,
            4 if self.panics => What::Panic,
            4 => What::Error,
            5 => What::Job,
            2 => What::Yield(1 + self.bytes.below(4)),
            0..=5 => What::Value,
            _ if full => What::Value,
            6..=8 => What::Sequence(self.some(4, |grower| grower.node(depth - 1, alone))),
            9..=14 => What::Group(self.group(depth)),
            15..=18 => What::Gather(self.gather(depth)),
            19 | 20 => What::Timeout(self.time(32), self.boxed(depth, alone)),
            21 | 22 => {
                let (token, pause) = (usize::from(self.bytes.below(3)), Some(self.time(4)));
                let node =
                    if depth > 1 && self.flag() { self.bare_token(depth - 1, alone) } else { self.boxed(depth, alone) };
                What::Token { token, pause, node }
            }
            23 | 24 if alone && !self.panics => {
                let budget = self.time(16);
                What::Shield { budget, node: self.boxed(depth, alone) }
            }
            25 if alone && !self.panics => What::Cleanup(Cleanup {
                work: self.boxed(depth, alone),
                clean: self.place(),
                lasts: self.time(8),
                budget: self.time(16),
                fails: self.flag(),
            }),
            26 | 27 => What::Contest(self.contest()),
            28 => What::Heirs(self.some(5, |grower| Heir {
                place: grower.place(),
                gap: grower.time(4),
                key: grower.bytes.below(2),
                lasts: grower.time(8),
                shielded: grower.flag() && !grower.panics,
            })),
            29 => What::Meeting(self.some(4, |grower| grower.time(8))),
            30 => What::Pipe(Pipe {
                capacity: usize::from(self.bytes.below(4)),
                sends: self.some(6, |grower| grower.time(4)),
                receives: self.some(6, |grower| grower.time(4)),
            }),
            31 => What::Start { ready: self.time(8), node: self.boxed(depth, true) },
            _ => What::Sequence(self.some(2, |grower| grower.node(depth - 1, alone))),
        }
    }

    fn bare_token(&mut self, depth: usize, alone: bool) -> Box<Node> {
        let (place, pause) = (self.place(), self.time(16));
        let what = What::Token { token: usize::from(self.bytes.below(3)), pause: None, node: self.boxed(depth, alone) };
        Box::new(Node { place, pause, what })
    }

    fn group(&mut self, depth: usize) -> Group {
        let shape = self.bytes.next();
        let limit = if shape & 2 == 0 { usize::MAX } else { 1 + usize::from(self.bytes.below(3)) };
        let children = self.some(4, |grower| grower.node(depth - 1, true));
        let act = (shape & 4 != 0).then(|| {
            let which = usize::from(self.bytes.below(5));
            (self.time(16), (which < children.len()).then_some(which))
        });
        let service = (shape & 16 != 0).then(|| self.place());
        let finalisers = if shape & 32 != 0 && !self.panics {
            self.some(2, |grower| Finaliser { place: grower.place(), lasts: grower.time(4) })
        } else {
            Vec::new()
        };
        Group { fails: shape & 1 != 0, limit, children, act, looks: shape & 8 == 0, service, finalisers }
    }

    fn gather(&mut self, depth: usize) -> Gather {
        let until = [Until::All, Until::Error, Until::First, Until::FirstValue, Until::Settled];
        let until = until[usize::from(self.bytes.below(5))];
        // Races have neither limits nor tasks, and a scope no limit.
        let how = match self.bytes.below(4) {
            _ if matches!(until, Until::First | Until::FirstValue) => How::Here,
            0 | 1 => How::Here,
            2 if until == Until::All => How::InScope,
            _ => How::Parallel,
        };
        let limit = match self.bytes.below(4) {
            _ if matches!(until, Until::First | Until::FirstValue) || how == How::InScope => usize::MAX,
            0 => usize::MAX,
            limit => usize::from(limit),
        };
        let items = self.some(4, |grower| grower.node(depth - 1, false));
        Gather { until, limit, how, items }
    }

    fn contest(&mut self) -> Contest {
        let permits = 1 + usize::from(self.bytes.below(3));
        let parallel = self.flag();
        let rivals = self.some(5, |grower| Rival {
            place: grower.place(),
            comes: grower.time(8),
            needs: 1 + usize::from(grower.bytes.next()) % permits,
            holds: grower.time(8),
            patience: grower.flag().then(|| grower.time(8)),
        });
        Contest { permits, rivals, parallel }
    }
}

/// A number that looks random (the finaliser of SplitMix64): sums of such aren't equal by some rule.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
