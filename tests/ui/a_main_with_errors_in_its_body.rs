//! What is wrong in the body of a program is told where it stands, as in a plain function.

mod another_type {
    #[anyscope::main(runtime = "tokio")]
    async fn main() -> Result<(), String> {
        anyscope::yield_now().await;
        7
    }
}

mod another_error {
    #[anyscope::main(runtime = "tokio")]
    async fn main() -> Result<(), std::fmt::Error> {
        "7".parse::<u32>()?;
        Ok(())
    }
}

mod an_unknown_type {
    #[anyscope::main(runtime = "tokio")]
    async fn main() {
        let numbers = "1 2".split(' ').map(|number| number.parse().unwrap()).collect();
    }
}

mod nothing_returned {
    #[anyscope::main(runtime = "tokio")]
    async fn main() -> Result<(), std::num::ParseIntError> {
        "7".parse::<u32>()?;
    }
}

#[anyscope::main(runtime = "tokio")]
async fn main() -> u32 {
    7
}
