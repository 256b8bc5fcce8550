//! Jobs that outlive the request that starts them: start one, look at its status, cancel it, get its outcome.
//!
//! When: a request answers at once with a number, under which the client asks later. The application's group owns the
//! jobs, so that none is left behind when it ends.
//!
//! ```text
//! cargo run --example cookbook background-jobs
//! ```

use anyscope::sim::Sim;
use anyscope::{Closed, GroupHandle, Outcome, Task, TaskId, sleep, task_group};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

pub fn main() {
    anyscope::run(
        Sim::new(),
        task_group(async |g| {
            let jobs = Jobs::new(g.handle());

            // POST /jobs
            let short = jobs.start(report(5)).unwrap();
            let long = jobs.start(report(500)).unwrap();

            // GET /jobs/{id}
            sleep(Duration::from_secs(10)).await;
            println!("short: {}, long: {}", jobs.status(short), jobs.status(long));

            // DELETE /jobs/{id}
            jobs.cancel(long, "not needed any more");

            // GET /jobs/{id}/outcome
            for (name, id) in [("short", short), ("long", long), ("short, again", short)] {
                match jobs.outcome(id).await {
                    None => println!("{name}: no such job"),
                    Some(Outcome::Completed(pages)) => println!("{name}: {pages} pages"),
                    Some(Outcome::Cancelled(reason)) => println!("{name}: {}", reason.message().unwrap_or("cancelled")),
                    Some(other) => println!("{name}: {other:?}"),
                }
            }
        }),
    );
}

struct Jobs {
    group: GroupHandle,
    known: Mutex<HashMap<TaskId, Task<u64>>>,
}

impl Jobs {
    fn new(group: GroupHandle) -> Self {
        Self { group, known: Mutex::default() }
    }

    /// Gives the job back where the application is ending.
    fn start<F: Future<Output = u64> + Send + 'static>(&self, job: F) -> Result<TaskId, Closed<F>> {
        let task = self.group.task("job").spawn(job)?;
        let id = task.id();
        self.known.lock().unwrap().insert(id, task);
        Ok(id)
    }

    fn status(&self, id: TaskId) -> &'static str {
        match self.known.lock().unwrap().get(&id) {
            None => "unknown",
            Some(task) if task.is_finished() => "finished",
            Some(_) => "running",
        }
    }

    fn cancel(&self, id: TaskId, why: &'static str) -> bool {
        self.known.lock().unwrap().get(&id).is_some_and(|task| task.cancel_with(why))
    }

    /// Waits for it, and forgets it.
    async fn outcome(&self, id: TaskId) -> Option<Outcome<u64>> {
        let task = self.known.lock().unwrap().remove(&id)?;
        Some(task.outcome().await)
    }
}

async fn report(pages: u64) -> u64 {
    sleep(Duration::from_secs(pages)).await;
    pages
}

// Output:
// short: finished, long: running
// short: 5 pages
// long: not needed any more
// short, again: no such job
