//! What cannot be a program is told where it stands, and the rest of the file is checked all the same.

mod unknown_option {
    #[anyscope::main(threads = 3)]
    async fn main() {}
}

mod twice {
    #[anyscope::main(runtime = "tokio", runtime = "smol")]
    async fn main() {}
}

mod a_name_without_quotes {
    #[anyscope::main(runtime = tokio)]
    async fn main() {}
}

mod an_unknown_runtime {
    #[anyscope::main(runtime = "monoio")]
    async fn main() {}
}

mod a_runtime_as_a_list {
    #[anyscope::main(runtime(tokio))]
    async fn main() {}
}

mod a_runtime_without_its_option {
    #[anyscope::main("tokio")]
    async fn main() {}
}

mod not_async {
    #[anyscope::main(runtime = "tokio")]
    fn main() {}
}

mod arguments {
    #[anyscope::main(runtime = "tokio")]
    async fn main(arguments: Vec<String>) -> Result<(), String> {
        arguments.first().map(drop).ok_or_else(String::new)
    }
}

// More than one runtime is compiled in.
#[anyscope::main]
async fn main() {}
