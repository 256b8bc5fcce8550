//! Children are polled by the threads of the runtime. `scope` is for children that stay in their task.

use std::rc::Rc;

fn main() {
    anyscope::run(anyscope::sim::Sim::new(), anyscope::task_group(async |g| {
        let shared = Rc::new(1);
        g.spawn(async move { println!("{shared}") });
    }));
}
