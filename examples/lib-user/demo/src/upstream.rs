//! An upstream inside of the process that is slow, fails, and sometimes doesn't answer at all.

use anyscope::{Semaphore, sleep};
use fetcher::Transport;
use std::error::Error;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The upstream. What happens to a request depends on the seed, the key and the attempt alone, and so is the same on
/// every runtime.
#[derive(Debug)]
pub struct Faulty {
    seed: u64,
    /// A permit for each request that won't be answered.
    hung: Semaphore,
    under_way: AtomicUsize,
    peak: AtomicUsize,
}

/// What becomes of a request.
enum Fate {
    Answered,
    Corrupted,
    Busy,
    Gone,
    Hung,
}

impl Faulty {
    /// Makes an upstream. Another seed has other faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, hung: Semaphore::new(0), under_way: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// Waits until this many requests have come that won't be answered.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn hung(&self, requests: usize) {
        // One by one: an empty semaphore is a gate, and one that holds some refuses to be asked for more than it holds.
        let mut permits = Vec::new();
        for _ in 0..requests {
            permits.push(self.hung.acquire().await.expect("nobody closes it"));
        }
    }

    /// Returns how many requests are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    /// Returns how many requests were under way at a time, at most.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    fn fate(&self, key: &str, attempt: u32) -> Fate {
        match key {
            "always-busy" => return Fate::Busy,
            "always-hung" => return Fate::Hung,
            _ => {}
        }
        match self.roll(key, 0) % 100 {
            0..10 => return Fate::Gone,
            10..20 => return Fate::Corrupted,
            _ => {}
        }
        match self.roll(key, attempt) % 100 {
            0..35 => Fate::Busy,
            35..50 => Fate::Hung,
            _ => Fate::Answered,
        }
    }

    /// A number for this key and this attempt: splitmix64 over the bytes.
    fn roll(&self, key: &str, attempt: u32) -> u64 {
        let mut bits = self.seed ^ (u64::from(attempt) << 32);
        for byte in key.bytes() {
            bits = bits.wrapping_add(u64::from(byte)).wrapping_add(0x9e37_79b9_7f4a_7c15);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^= bits >> 31;
        }
        bits
    }
}

impl Transport for Faulty {
    type Body = Vec<u8>;
    type Value = Page;
    type Error = Fault;

    async fn get(&self, key: &str, attempt: u32) -> Result<Vec<u8>, Fault> {
        let _request = Request::start(self);
        let roll = self.roll(key, attempt);
        // One sleep and nothing else, far shorter than an attempt may last: an answer that is late on a machine that is
        // busy is there at the next poll all the same, and is taken before the attempt's time is looked at.
        sleep(Duration::from_millis(1 + roll % 8)).await;
        let fate = self.fate(key, attempt);
        match fate {
            Fate::Busy => Err(Fault::Busy),
            Fate::Gone => Err(Fault::Gone),
            Fate::Hung => {
                self.hung.add_permits(1);
                pending().await
            }
            Fate::Answered | Fate::Corrupted => {
                let mut body: Vec<u8> = (0..10_000 + roll % 90_000).map(|at| (roll >> (at % 57)) as u8).collect();
                body.extend(attempt.to_be_bytes());
                body.extend(checksum(&body).to_be_bytes());
                if matches!(fate, Fate::Corrupted) {
                    body[0] ^= 1;
                }
                Ok(body)
            }
        }
    }

    fn decode(&self, body: Vec<u8>) -> Result<Page, Fault> {
        let (rest, sum) = body.split_last_chunk().ok_or(Fault::Corrupt)?;
        if checksum(rest) != u64::from_be_bytes(*sum) {
            return Err(Fault::Corrupt);
        }
        let (bytes, attempt) = rest.split_last_chunk().ok_or(Fault::Corrupt)?;
        Ok(Page { bytes: bytes.len(), checksum: checksum(bytes), attempt: u32::from_be_bytes(*attempt) })
    }

    fn is_transient(&self, fault: &Fault) -> bool {
        matches!(fault, Fault::Busy)
    }
}

/// A request, from when it comes in until its future is gone.
struct Request<'a>(&'a Faulty);

impl<'a> Request<'a> {
    fn start(upstream: &'a Faulty) -> Self {
        let under_way = upstream.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        upstream.peak.fetch_max(under_way, Ordering::SeqCst);
        Self(upstream)
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// What a body is decoded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How long the page is.
    pub bytes: usize,
    /// What its bytes come to.
    pub checksum: u64,
    /// Which attempt brought it.
    pub attempt: u32,
}

/// What the upstream does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It may do better at the next attempt.
    Busy,
    /// There is no such page any more.
    Gone,
    /// The body isn't what was sent.
    Corrupt,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the upstream is busy",
            Self::Gone => "the page is gone",
            Self::Corrupt => "the checksum is wrong",
        })
    }
}

impl Error for Fault {}
