//! What an operation costs in instructions, atomics and memory: the difference of two runs of a process of its own.

use super::callgrind;
use crate::allocator;
use crate::case::{Case, Extent, Memory, Subject};
use crate::runtimes::ASYNC_STD_THREADS;
use crate::table::Row;
use std::collections::VecDeque;
use std::env;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many operations the longer run does beyond the shorter, at least.
const OPERATIONS: usize = 8_000;

/// Operations in a round that is long enough for what happens only once not to matter.
const LONG: usize = 100_000;

/// The function inside of which a part of the process is counted.
const PART: &str = "*measured*";

/// A subject, as the threads that count can be told it.
struct Job {
    place: usize,
    id: String,
    ops: usize,
    memory: Memory,
    part: bool,
}

/// Counts every subject that `wanted` wants, in processes of their own, as many at a time as there are processors.
pub(crate) fn count(cases: &[Case], wanted: impl Fn(&Case, &Subject) -> bool) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut jobs = VecDeque::new();
    for case in cases.iter().filter(|case| case.counted) {
        for subject in case.subjects.iter().filter(|subject| wanted(case, subject)) {
            let part = case.extent == Extent::Part;
            jobs.push_back(Job { place: rows.len(), id: case.id(subject), ops: case.ops, memory: case.memory, part });
            rows.push(Row::new(case, subject));
        }
    }
    let all = jobs.len();
    let jobs = Mutex::new(jobs);
    let rows = Mutex::new(rows);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&jobs, &rows, all))).collect();
        workers.into_iter().filter_map(|worker| worker.join().expect("the worker reports").err()).collect()
    });
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(rows.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn work(jobs: &Mutex<VecDeque<Job>>, rows: &Mutex<Vec<Row>>, all: usize) -> Result<(), String> {
    loop {
        // Taken before the work: the queue is free meanwhile.
        let (job, left) = {
            let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
            (jobs.pop_front(), jobs.len())
        };
        let Some(job) = job else { return Ok(()) };
        eprintln!("{:4}/{all} {}", all - left, job.id);
        let figures = figures(&job)?;
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        figures.into(&mut rows[job.place]);
    }
}

struct Figures {
    instructions: f64,
    atomics: f64,
    allocs: f64,
    bytes: f64,
}

impl Figures {
    fn into(self, row: &mut Row) {
        (row.instructions, row.atomics) = (self.instructions, self.atomics);
        (row.allocs, row.bytes) = (self.allocs, self.bytes);
    }
}

fn figures(job: &Job) -> Result<Figures, String> {
    let more = OPERATIONS.div_ceil(job.ops);
    let part = job.part.then_some(PART);
    // A round to warm up is in both, where it isn't a long one.
    let warm = usize::from(job.ops < LONG);
    let short = callgrind::run(&arguments(job, warm, false), part)?;
    let long = callgrind::run(&arguments(job, warm + more, false), part)?;
    let per_op = |long: u64, short: u64| (long as f64 - short as f64) / (more * job.ops) as f64;
    let (allocs, bytes) = memory(job, more)?;
    Ok(Figures {
        instructions: per_op(long.instructions, short.instructions),
        atomics: per_op(long.atomics, short.atomics),
        allocs,
        bytes,
    })
}

fn arguments(job: &Job, rounds: usize, memory: bool) -> Vec<String> {
    let mut arguments = vec!["one".to_owned(), job.id.clone(), rounds.to_string()];
    if memory {
        arguments.push("--memory".to_owned());
    }
    arguments
}

/// Asks a process of its own, without callgrind, for allocations and bytes of an operation.
fn memory(job: &Job, rounds: usize) -> Result<(f64, f64), String> {
    let program = env::current_exe().map_err(|error| format!("no path of this program: {error}"))?;
    let mut command = Command::new(program);
    command.args(arguments(job, rounds, true)).env(ASYNC_STD_THREADS.0, ASYNC_STD_THREADS.1);
    let output = command.output().map_err(|error| format!("no process for {}: {error}", job.id))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [calls, asked, peak] = words[..] else {
        return Err(format!("{} told nothing of its memory:\n{}", job.id, String::from_utf8_lossy(&output.stderr)));
    };
    let ops = job.ops as f64;
    let bytes = match job.memory {
        Memory::Together => peak / ops,
        Memory::InTurn => asked / (rounds as f64 * ops),
    };
    Ok((calls / (rounds as f64 * ops), bytes))
}

/// What the process of its own does.
pub(crate) fn one(subject: &Subject, rounds: u64, memory: bool) {
    let mut work = (subject.start)();
    if memory {
        allocator::turn_on();
        allocator::forget_peak();
        let before = allocator::asked();
        work(1);
        let warm = allocator::asked();
        work(rounds);
        let after = allocator::asked();
        println!("{} {} {}", after.calls - warm.calls, after.bytes - warm.bytes, warm.peak - before.live);
    } else if rounds > 0 {
        work(rounds);
    }
}
