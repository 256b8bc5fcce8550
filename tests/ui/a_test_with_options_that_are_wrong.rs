//! Each option of a test that says something impossible is told where it stands.

#[anyscope::test(retries = 3)]
async fn unknown_option() {}

#[anyscope::test(timeout = "5s", timeout = "6s")]
async fn twice() {}

#[anyscope::test("5s")]
async fn no_option() {}

#[anyscope::test(timeout = 5)]
async fn a_number_for_a_duration() {}

#[anyscope::test(timeout)]
async fn no_duration() {}

#[anyscope::test(timeout = "5 minutes")]
async fn an_unknown_unit() {}

#[anyscope::test(timeout = "5")]
async fn no_unit() {}

#[anyscope::test(timeout = "0s")]
async fn no_time() {}

#[anyscope::test(seeds = 0)]
async fn no_seed() {}

#[anyscope::test(seeds = -1)]
async fn fewer_than_no_seed() {}

#[anyscope::test(seeds = "many")]
async fn text_for_a_number() {}

#[anyscope::test(seeds = 3, seed = 7)]
async fn seeds_and_seed() {}

#[anyscope::test(seeds = 3, runtimes(tokio))]
async fn seeds_without_the_simulator() {}

#[anyscope::test(seed = 3, except(sim))]
async fn a_seed_without_the_simulator() {}

#[anyscope::test(runtimes())]
async fn nothing_listed() {}

#[anyscope::test(runtimes = "tokio")]
async fn no_list() {}

#[anyscope::test(runtimes("tokio"))]
async fn a_list_of_text() {}

#[anyscope::test(runtimes(tokio, monoio))]
async fn an_unknown_runtime() {}

#[anyscope::test(runtimes(tokio, tokio))]
async fn listed_twice() {}

#[anyscope::test(runtimes(tokio), except(smol))]
async fn runtimes_and_except() {}

#[anyscope::test(crate = anyscope)]
async fn a_path_without_quotes() {}

#[anyscope::test(crate = "any scope")]
async fn no_path() {}

#[anyscope::test(seeds = 3 timeout = "5s")]
async fn no_comma() {}

fn main() {}
