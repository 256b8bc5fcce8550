//! The public async items, as the dumps of the public API in `docs/api` have them: each has to stand in the table of
//! programs, so that a new one can't be forgotten.

use std::collections::BTreeSet;

/// The dumps, which `.ci/api` compares with the code.
const DUMPS: [&str; 2] = [include_str!("../docs/api/anyscope-core.txt"), include_str!("../docs/api/anyscope.txt")];

/// What returns something async and isn't interrupted by itself.
const EXCUSED: [(&str, &str); 8] = [
    ("AbortOnDropHandle::as_ref", "it lends the handle inside, which is awaited where it was made"),
    (
        "JoinSet::join_all",
        "it panics where the runtime ends meanwhile, as tokio's does; it is made of `JoinSet::join_next`",
    ),
    (
        "BlockingScope::spawn",
        "its scope blocks a thread: nothing can interrupt it, and `Scope::spawn` has the same handle",
    ),
    ("serve", "it takes a socket, which the simulator hasn't"),
    ("Server::serve", "the same"),
    ("Inspector::serve_connection", "`tests/inspect.rs` interrupts it everywhere"),
    ("Watchdog::run", "it never ends, and awaits nothing but an `Interval`"),
    ("Current::sleep_until", "the core asks a runtime for it; `sleep_until` is made of it"),
];

/// Types that are awaited, and that no function returns.
const UNRETURNED: [(&str, &str); 3] = [
    ("anyscope::compat::tokio::AbortOnDropHandle", "it is made around a handle, by `AbortOnDropHandle::new`"),
    ("anyscope_core::Driver", "runtimes poll it, and drop it when they go away"),
    ("anyscope_core::futures::Race", "`Raceable::Race` is it, where many of a kind race"),
];

/// What a trait gives instead of a type with a name.
const ASSOCIATED: [&str; 3] = ["Gatherable>::Gather", "TryGatherable>::Gather", "Raceable>::Race"];

/// Asserts that each public async item is among the names.
///
/// An async item is an `async fn`, or a function in whose return type there is an `impl Future` or a type that is a
/// future. So each future is there through the function that gives it.
pub(crate) fn assert_covers(names: &[&str]) {
    let names: BTreeSet<&str> = names.iter().flat_map(|name| name.split(", ")).collect();
    let futures: BTreeSet<String> = lines().filter_map(future).collect();
    // Two may have one name, as what is in `compat` has with what it takes the place of.
    let functions: Vec<(String, &str)> = lines().filter_map(|line| async_function(line, &futures)).collect();
    assert!(futures.len() > 40 && functions.len() > 80, "{} futures, {} functions", futures.len(), functions.len());

    for (function, line) in &functions {
        let excused = EXCUSED.iter().any(|(name, _)| name == function);
        assert!(
            excused != names.contains(&**function),
            "`{function}` needs a program, or a reason to have none:\n{line}"
        );
    }
    for (name, _) in EXCUSED {
        assert!(functions.iter().any(|(function, _)| function == name), "there is no `{name}` any more");
    }
    for future in futures {
        let unreturned = UNRETURNED.iter().any(|(name, _)| *name == future);
        assert!(
            unreturned != functions.iter().any(|(_, line)| names_type(returned(line), &future)),
            "who returns {future}?"
        );
    }
}

fn lines() -> impl Iterator<Item = &'static str> {
    DUMPS.into_iter().flat_map(str::lines)
}

/// The type that a line says is a future, without its parameters.
fn future(line: &str) -> Option<String> {
    let line = plain(line.strip_prefix("impl")?);
    let (implemented, rest) = line.trim_start().split_once(" for ")?;
    let is_future = ["core::future::future::Future", "core::future::into_future::IntoFuture"].contains(&implemented);
    is_future.then(|| rest.split(' ').next().unwrap_or(rest).to_owned())
}

/// The name of the function of a line, where what it returns is awaited: with its type, but not with its module.
fn async_function<'a>(line: &'a str, futures: &BTreeSet<String>) -> Option<(String, &'a str)> {
    let short = plain(line);
    let (before, _) = short.split_once('(')?;
    let (keywords, path) = before.rsplit_once("fn ")?;
    let returned = returned(line);
    let is_async = keywords.contains("async ")
        || returned.contains("impl core::future::future::Future")
        || ASSOCIATED.iter().any(|associated| returned.ends_with(associated))
        || futures.iter().any(|future| names_type(returned, future));
    let mut path = path.rsplit("::");
    let (function, owner) = (path.next()?, path.next()?);
    let name = if owner.starts_with(char::is_uppercase) { format!("{owner}::{function}") } else { function.to_owned() };
    (keywords.starts_with("pub ") && is_async).then_some((name, line))
}

/// What a function returns, with its parameters, and without its bounds.
fn returned(line: &str) -> &str {
    let (mut brackets, mut angles, mut last) = (0, 0, ' ');
    for (at, c) in line.char_indices() {
        match c {
            '(' => brackets += 1,
            ')' => brackets -= 1,
            '<' => angles += 1,
            '>' if last != '-' => angles -= 1,
            _ => {}
        }
        if c == ')' && brackets == 0 && angles == 0 {
            let rest = line[at + 1..].strip_prefix(" -> ").unwrap_or_default();
            return rest.split(" where ").next().unwrap_or(rest);
        }
        last = c;
    }
    ""
}

/// Whether a type stands in another, and not as the beginning of a longer path.
fn names_type(within: &str, name: &str) -> bool {
    within.match_indices(name).any(|(at, _)| {
        let rest = &within[at + name.len()..];
        !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

/// A line without what stands in angle brackets.
fn plain(line: &str) -> String {
    let (mut depth, mut last, mut plain) = (0, ' ', String::new());
    for c in line.chars() {
        match c {
            '<' => depth += 1,
            '>' if last != '-' => depth -= 1,
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
        last = c;
    }
    plain
}
