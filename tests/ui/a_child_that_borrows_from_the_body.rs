//! A child may outlive what the body has on its stack: it owns what it uses. `scope` is for children that borrow.

fn main() {
    anyscope::run(anyscope::sim::Sim::new(), anyscope::task_group(async |g| {
        let text = String::from("of the body");
        g.spawn(async { println!("{}", &text) });
    }));
}
