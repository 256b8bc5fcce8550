//! What depends on the features that are enabled, which no program can try all at once.

use super::*;

const NONE: Enabled = Enabled { tokio: false, smol: false, async_std: false, sim: false };
const ALL: Enabled = Enabled { tokio: true, smol: true, async_std: true, sim: true };

fn chosen(arguments: &str, enabled: Enabled) -> std::result::Result<Vec<&'static str>, String> {
    let asked = read(arguments.parse().unwrap()).expect("this is no misuse");
    let chosen = choose(&asked, enabled).map_err(|error| error.to_string())?;
    Ok(chosen.into_iter().map(Runtime::name).collect())
}

#[test]
fn a_test_runs_on_what_is_compiled_in() {
    assert_eq!(chosen("", ALL).unwrap(), ["tokio", "tokio_current_thread", "smol", "async_std", "sim"]);
    assert_eq!(chosen("", Enabled { smol: true, ..NONE }).unwrap(), ["smol"]);
    assert_eq!(chosen("except(sim, tokio)", ALL).unwrap(), ["tokio_current_thread", "smol", "async_std"]);
    assert_eq!(chosen("except(sim)", Enabled { smol: true, ..NONE }).unwrap(), ["smol"]);
    assert_eq!(chosen("runtimes(sim, tokio)", ALL).unwrap(), ["tokio", "sim"]);
}

#[test]
fn a_test_that_would_run_nowhere_is_an_error() {
    for arguments in ["", "except(sim)", "runtimes(smol)", "seeds = 5"] {
        let message = chosen(arguments, NONE).unwrap_err();
        assert!(message.contains("features = [\"tokio\", \"smol\", \"async-std\", \"sim\"]"), "{message}");
    }
    let message = chosen("except(smol)", Enabled { smol: true, ..NONE }).unwrap_err();
    assert!(message.ends_with("compiled in are `smol`"), "{message}");
}

#[test]
fn a_runtime_that_is_named_and_not_compiled_in_is_an_error() {
    let message = chosen("runtimes(tokio, smol)", Enabled { tokio: true, ..NONE }).unwrap_err();
    assert!(message.starts_with("`smol` isn't compiled in: enable the feature `smol`"), "{message}");
    for arguments in ["seeds = 5", "seed = 5", "except(smol), seed = 5"] {
        let message = chosen(arguments, Enabled { sim: false, ..ALL }).unwrap_err();
        assert!(message.contains("is for the simulator; `sim` isn't compiled in"), "{message}");
    }
}

/// A library's runtimes are there for its tests alone, and a test may stand outside of a module for them.
#[test]
fn without_runtimes_a_build_that_has_no_tests_compiles() {
    let item = "async fn a_test() {}".parse().unwrap();
    let expanded = expand(TokenStream::new(), item, NONE).to_string();
    let tokens = expanded.replace(' ', "");
    assert_eq!(tokens.matches("#[cfg(test)]").count(), 2, "{expanded}");
    assert!(tokens.contains("#[cfg(test)]::core::compile_error!"), "{expanded}");

    let item = "#[cfg(feature = \"smol\")] async fn a_test() {}".parse().unwrap();
    let expanded = expand("runtimes(smol)".parse().unwrap(), item, Enabled { tokio: true, ..NONE }).to_string();
    let tokens = expanded.replace(' ', "");
    assert!(tokens.contains("#[cfg(test)]#[cfg(feature=\"smol\")]::core::compile_error!"), "{expanded}");
}
