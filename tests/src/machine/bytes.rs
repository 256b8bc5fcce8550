//! [`Bytes`]: choices, one a byte.

/// Bytes to choose by. After the last, every choice is the first: the plainest.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn below(&mut self, bound: u8) -> u8 {
        self.next() % bound
    }
}

/// One of `many` things, chosen by a byte; `None` where there are none.
pub(crate) fn one_of(byte: u8, many: usize) -> Option<usize> {
    usize::from(byte).checked_rem(many)
}
