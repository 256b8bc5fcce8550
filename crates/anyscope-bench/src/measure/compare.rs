//! How long an operation takes: every subject of a case in turn, again and again, so that what else the machine does
//! hits all of them.

use super::statistics::{Spread, quantile};
use crate::case::{Case, Rounds, best, is_ours};
use crate::scenarios::mix;
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;

/// What a sample takes, about.
const SAMPLE: Duration = Duration::from_millis(5);
/// A round that takes longer than this is sampled less often.
const LONG: Duration = Duration::from_millis(100);
const LONG_SAMPLES: usize = 7;

/// How long a subject's operation takes, beside the others'.
#[derive(Clone, Debug)]
pub(crate) struct Timed {
    pub(crate) scenario: &'static str,
    pub(crate) case: String,
    pub(crate) runtime: String,
    pub(crate) subject: &'static str,
    pub(crate) guarantees: &'static str,
    /// Nanoseconds.
    pub(crate) took: Spread,
    pub(crate) ratio_to_best_peer: Option<f64>,
    /// Nanoseconds; a peer has none.
    pub(crate) target: Option<f64>,
    /// Of the single requests, where there are some, in microseconds: the 50th, 99th and 99.9th percentile.
    pub(crate) percentiles: Option<[f64; 3]>,
    /// The 99th, beside that of the peer with the best.
    pub(crate) p99_ratio_to_best_peer: Option<f64>,
}

impl Timed {
    pub(crate) fn key(&self) -> (&str, &str, &str) {
        (self.scenario, &self.case, &self.runtime)
    }

    pub(crate) fn to_json(&self) -> String {
        let mut object = json!({
            "scenario": self.scenario,
            "case": self.case,
            "runtime": self.runtime,
            "subject": self.subject,
            "ns_per_op": self.took.median,
            "ns_per_op_quartiles": [self.took.low, self.took.high],
            "ratio_to_best_peer": self.ratio_to_best_peer,
            "target_ns": self.target,
        });
        if let Some([median, p99, p999]) = self.percentiles {
            object["p50_us"] = json!(median);
            object["p99_us"] = json!(p99);
            object["p99_9_us"] = json!(p999);
            object["p99_ratio_to_best_peer"] = json!(self.p99_ratio_to_best_peer);
        }
        object.to_string()
    }
}

/// Times every subject of the cases, and hands over what one took when its case is done.
pub(crate) fn compare(cases: &[Case], samples: usize, mut done: impl FnMut(&[Timed])) {
    for case in cases {
        done(&compare_case(case, samples));
    }
}

struct Runner {
    rounds: Rounds,
    /// Rounds in a sample.
    times: u64,
    samples: Vec<f64>,
    requests: Vec<Duration>,
}

fn compare_case(case: &Case, samples: usize) -> Vec<Timed> {
    eprintln!("{}", case.key());
    let mut samples = samples;
    let mut runners = Vec::with_capacity(case.subjects.len());
    for subject in &case.subjects {
        let mut rounds = (subject.start)();
        // To warm up, and to see how many rounds there are in a sample.
        rounds(1);
        let one = rounds(1).max(Duration::from_nanos(1));
        if one > LONG {
            samples = samples.min(LONG_SAMPLES);
        }
        let times = (SAMPLE.as_nanos() / one.as_nanos()).max(1);
        let times = u64::try_from(times).unwrap_or(u64::MAX);
        runners.push(Runner { rounds, times, samples: Vec::new(), requests: Vec::new() });
    }
    mix::take_durations();
    for _ in 0..samples {
        for runner in &mut runners {
            let took = (runner.rounds)(runner.times);
            let operations = runner.times as f64 * case.ops as f64;
            runner.samples.push(took.as_nanos() as f64 / operations);
            runner.requests.extend(mix::take_durations());
        }
    }
    let spreads: Vec<Spread> =
        runners.iter_mut().map(|runner| Spread::of(std::mem::take(&mut runner.samples))).collect();
    let medians: Vec<(&str, f64)> =
        case.subjects.iter().zip(&spreads).map(|(subject, spread)| (subject.name, spread.median)).collect();
    let peers: Vec<(&str, f64)> = medians.into_iter().filter(|(name, _)| !is_ours(name)).collect();
    let best_peer = best(peers.iter().map(|(_, took)| *took));
    let percentiles: Vec<_> = runners.into_iter().map(|runner| percentiles(runner.requests)).collect();
    let p99 = |percentiles: &Option<[f64; 3]>| percentiles.map(|[_, p99, _]| p99);
    let of_peers = case.subjects.iter().zip(&percentiles).filter(|(subject, _)| !subject.is_ours());
    let best_p99 = best(of_peers.filter_map(|(_, percentiles)| p99(percentiles)));
    let subjects = case.subjects.iter().zip(spreads).zip(percentiles);
    subjects
        .map(|((subject, took), percentiles)| Timed {
            scenario: case.scenario,
            case: case.name.clone(),
            runtime: case.runtime.to_string(),
            subject: subject.name,
            guarantees: subject.guarantees,
            took,
            ratio_to_best_peer: best_peer.map(|best| took.median / best),
            target: case.targets.time.resolve(&peers).filter(|_| is_ours(subject.name)),
            p99_ratio_to_best_peer: p99(&percentiles).zip(best_p99).map(|(p99, best)| p99 / best),
            percentiles,
        })
        .collect()
}

fn percentiles(requests: Vec<Duration>) -> Option<[f64; 3]> {
    let mut micros: Vec<f64> = requests.iter().map(|took| took.as_nanos() as f64 / 1e3).collect();
    micros.sort_by(f64::total_cmp);
    (!micros.is_empty()).then(|| [0.5, 0.99, 0.999].map(|share| quantile(&micros, share)))
}

/// The lines of one case, for people.
pub(crate) fn render(timed: &[Timed]) -> String {
    let mut text = String::new();
    if let Some(first) = timed.first() {
        let (scenario, case, runtime) = first.key();
        writeln!(text, "{scenario} {case} on {runtime}").expect("a string takes everything");
    }
    let width = timed.iter().map(|line| line.subject.len()).max().unwrap_or_default();
    for line in timed {
        let Spread { median, low, high } = line.took;
        write!(text, "  {:<width$} {median:>12.1} ns  [{low:.1} to {high:.1}]", line.subject).expect("as above");
        if let Some(ratio) = line.ratio_to_best_peer {
            write!(text, "  x{ratio:.2} the best peer").expect("as above");
        }
        if let Some(target) = line.target {
            let met = if median <= target { "met" } else { "missed" };
            write!(text, "  target {target:.1}: x{:.2}, {met}", median / target).expect("as above");
        }
        if let Some([median, p99, p999]) = line.percentiles {
            write!(text, "  p50 {median:.0} us, p99 {p99:.0} us, p99.9 {p999:.0} us").expect("as above");
            if let Some(ratio) = line.p99_ratio_to_best_peer {
                write!(text, ", p99 x{ratio:.2} the best peer's").expect("as above");
            }
        }
        writeln!(text, "\n  {:<width$}   {}", "", line.guarantees).expect("as above");
    }
    text
}
