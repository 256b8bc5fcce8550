//! A test is an `async fn` that nobody gives anything.

#[anyscope::test]
fn not_async() {}

#[anyscope::test]
async fn with_arguments(one: u32, _two: u32) {
    println!("{one}");
}

#[anyscope::test]
async fn generic<T: Default>() {
    T::default();
}

#[anyscope::test]
async fn with_bounds()
where
    u32: Default,
{
}

#[anyscope::test]
async unsafe fn not_safe() {}

#[anyscope::test]
async extern "C" fn foreign() {}

#[anyscope::test]
#[test]
async fn a_test_already() {}

#[anyscope::test]
#[should_panic]
async fn that_panics_and_returns() -> Result<(), String> {
    Ok(())
}

#[anyscope::test]
struct NotAFunction;

trait Service {
    #[anyscope::test]
    async fn without_a_body();
}

fn main() {}
