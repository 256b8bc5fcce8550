//! A child of a scope borrows from outside of the scope, and not from its body.

use anyscope::scope;

fn main() {
    anyscope::run(anyscope::sim::Sim::new(), scope(|s| async move {
        let text = String::from("of the body");
        s.spawn(async { println!("{}", &text) });
    }));
}
