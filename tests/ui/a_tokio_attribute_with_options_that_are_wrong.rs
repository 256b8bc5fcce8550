//! The attributes of the compatibility layer take tokio's options, and say what isn't there.

use anyscope_macros::{compat_tokio_main, compat_tokio_test};

mod unknown_option {
    #[crate::compat_tokio_main(threads = 3)]
    async fn main() {}
}

mod unknown_flavor {
    #[crate::compat_tokio_main(flavor = "local")]
    async fn main() {}
}

mod one_thread_and_more {
    #[crate::compat_tokio_main(flavor = "current_thread", worker_threads = 2)]
    async fn main() {}
}

mod no_thread {
    #[crate::compat_tokio_main(worker_threads = 0)]
    async fn main() {}
}

mod not_async {
    #[crate::compat_tokio_main]
    fn start(_port: u16) {}
}

#[compat_tokio_test(start_paused = true)]
async fn paused() {}

#[compat_tokio_test(worker_threads = 2)]
async fn more_threads_than_a_test_has() {}

#[compat_tokio_test]
async fn with_an_argument(_port: u16) {}

fn main() {}
