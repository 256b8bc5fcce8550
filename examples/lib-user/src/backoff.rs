use std::time::Duration;

/// How long to wait before a retry: twice as long each time, up to a bound, less a jitter.
///
/// The jitter takes away up to a half, so that callers who failed together don't come back together. It depends on the
/// seed, the key and the retry alone: the same again in a test, another for each process that is given a seed of its own.
///
/// # Examples
///
/// ```
/// use fetcher::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff::exponential(Duration::from_millis(100)).at_most(Duration::from_secs(1)).seed(7);
/// let third = backoff.delay("key", 3);
/// assert!(third >= Duration::from_millis(200) && third <= Duration::from_millis(400));
/// assert_eq!(third, backoff.delay("key", 3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    seed: u64,
}

impl Backoff {
    /// Waits at most `first` before the first retry, and twice as long before each further one.
    #[must_use]
    pub const fn exponential(first: Duration) -> Self {
        Self { first, most: Duration::MAX, seed: 0 }
    }

    /// Never waits for longer than `most`.
    #[must_use]
    pub const fn at_most(mut self, most: Duration) -> Self {
        self.most = most;
        self
    }

    /// Makes the jitter another one.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Returns how long to wait before this retry of this key. Retries count from one.
    #[must_use]
    pub fn delay(&self, key: &str, retry: u32) -> Duration {
        let factor = 1_u32.checked_shl(retry.saturating_sub(1)).unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(factor).min(self.most);
        let jitter = mix(hash(key, self.seed) ^ u64::from(retry)) % (STEPS + 1);
        // In an order that overflows nowhere: `full` may be `Duration::MAX`.
        full - full / (2 * STEPS as u32) * jitter as u32
    }
}

/// In how many steps the jitter goes from nothing to a half.
const STEPS: u64 = 1024;

/// A hundred milliseconds at first, ten seconds at most.
impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(Duration::from_millis(100)).at_most(Duration::from_secs(10))
    }
}

/// FNV-1a. The standard library's hash may change between releases, and the jitter isn't to.
fn hash(key: &str, seed: u64) -> u64 {
    key.bytes()
        .fold(0xcbf2_9ce4_8422_2325 ^ mix(seed), |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The finaliser of splitmix64: every bit of the input reaches every bit of the output.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_delay_is_at_most_twice_the_one_before_and_at_least_half_of_what_it_may_be() {
        let backoff = Backoff::exponential(SECOND).at_most(100 * SECOND);
        for retry in 1..=20 {
            let full = (SECOND * (1 << (retry - 1))).min(100 * SECOND);
            for key in ["a", "b", "c", "d"] {
                let delay = backoff.delay(key, retry);
                assert!(delay >= full / 2 && delay <= full, "{delay:?} at retry {retry} of {key}");
            }
        }
    }

    #[test]
    fn the_jitter_spreads_the_keys_and_follows_the_seed() {
        let delays = |seed| -> Vec<Duration> {
            let backoff = Backoff::exponential(SECOND).seed(seed);
            (0..64).map(|key| backoff.delay(&key.to_string(), 1)).collect()
        };
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
        let early = delays(1).into_iter().filter(|delay| *delay < SECOND * 3 / 4).count();
        assert!((16..48).contains(&early), "{early} of 64 in the lower half");
    }

    #[test]
    fn no_retry_is_too_late_and_no_duration_too_long() {
        for first in [Duration::ZERO, Duration::from_nanos(1), SECOND, Duration::MAX] {
            for retry in [0, 1, 32, 33, 34, u32::MAX] {
                let delay = Backoff::exponential(first).delay("key", retry);
                assert!(delay >= first / 2, "{delay:?}");
                assert!(Backoff::exponential(first).at_most(SECOND).delay("key", retry) <= SECOND);
            }
        }
    }
}
