//! Promises of the text: what the docs name exists, what the code says of itself is so.

use anyscope_conformance::{CHECKS, LAWS};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file below a folder, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

/// The checks that `docs/laws.md` names under each law.
fn documented() -> BTreeMap<u8, Vec<String>> {
    let text = fs::read_to_string(root().join("docs/laws.md")).unwrap();
    let mut laws: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    let mut law = 0;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            law = heading.split('.').next().unwrap().parse().unwrap();
            laws.insert(law, Vec::new());
        } else if let Some(check) = line.strip_prefix("- `") {
            laws.get_mut(&law).unwrap().push(check.trim_end_matches('`').to_owned());
        }
    }
    laws
}

#[test]
fn the_page_of_the_laws_names_the_checks_of_each() {
    let documented = documented();
    assert_eq!(documented.keys().copied().collect::<Vec<_>>(), (1..=32).collect::<Vec<u8>>());
    for (law, named) in documented {
        let checks: Vec<String> = CHECKS
            .iter()
            .filter(|check| check.laws.contains(&law))
            .map(|check| format!("{}::{}", check.area, check.name))
            .collect();
        assert_eq!(named, checks, "law {law}");
    }
}

#[test]
fn the_page_of_the_laws_has_their_numbers_and_names() {
    let text = fs::read_to_string(root().join("docs/laws.md")).unwrap();
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let laws: Vec<String> = LAWS.iter().map(|(number, name)| format!("{number}. {name}")).collect();
    assert_eq!(headings, laws);
}

/// A table that was printed before a check came or went. `cargo run --example laws` prints a new one.
#[test]
fn the_table_in_the_readme_is_of_the_checks_there_are() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = text.split_once("<!-- begin: the output of the example `laws` -->\n").expect("the table begins");
    let (table, _) = rest.split_once("<!-- end -->").expect("the table ends");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows[0], ["law", "tokio", "tokio, current-thread", "smol", "async-std"]);
    assert_eq!(rows.len(), 2 + LAWS.len(), "a head, a line, and a row for each law");
    for ((number, name), row) in LAWS.iter().zip(&rows[2..]) {
        assert_eq!(row[0], format!("{number}. {name}"));
        assert_eq!(row.len(), rows[0].len(), "law {number}");
        let checks = CHECKS.iter().filter(|check| check.laws.contains(number)).count();
        let cell = if checks == 0 { "none".to_owned() } else { format!("{checks}/{checks}") };
        for found in &row[1..] {
            assert_eq!(*found, cell, "law {number}, which has {checks} checks");
        }
    }
}

/// The Rust of a page: each snippet as its lines, without indentation.
fn snippets(page: &str) -> Vec<Vec<String>> {
    let mut snippets = Vec::new();
    let mut open: Option<Vec<String>> = None;
    for line in page.lines() {
        match &mut open {
            None if line.starts_with("```rust") => open = Some(Vec::new()),
            None => {}
            Some(_) if line == "```" => snippets.extend(open.take()),
            Some(lines) => lines.push(line.trim().to_owned()),
        }
    }
    assert!(open.is_none(), "a snippet doesn't end");
    snippets
}

/// Page and code can't drift: each snippet is a piece of a file that is compiled, and no line of the toy is left out.
#[test]
fn the_page_of_the_adapter_is_the_code_of_the_toy() {
    const OTHERS: [&str; 2] = ["tests/conformance.rs", "crates/anyscope-conformance/src/lib.rs"];
    let lines = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(root().join(file)).unwrap();
        text.lines().map(|line| line.trim_start_matches("//!").trim().to_owned()).collect()
    };
    let toy = lines("tests/src/toy.rs");
    let others: Vec<Vec<String>> = OTHERS.iter().map(|file| lines(file)).collect();
    let mut shown = vec![false; toy.len()];

    let snippets = snippets(&fs::read_to_string(root().join("docs/adapter.md")).unwrap());
    assert!(!snippets.is_empty());
    for snippet in snippets {
        let place = toy.windows(snippet.len()).position(|lines| lines == snippet);
        match place {
            Some(place) => shown[place..place + snippet.len()].fill(true),
            None => {
                let elsewhere = others.iter().any(|lines| lines.windows(snippet.len()).any(|lines| lines == snippet));
                assert!(elsewhere, "this is nowhere in the code:\n{}", snippet.join("\n"));
            }
        }
    }
    // Brackets, and the head of an `impl` whose methods are shown one by one, belong to what is around a snippet.
    const AROUND: [&str; 2] = ["impl Toy {", "impl Runtime for Toy {"];
    let code = |line: &str| line.contains(char::is_alphanumeric) && !line.starts_with("//") && !AROUND.contains(&line);
    let source = fs::read_to_string(root().join("tests/src/toy.rs")).unwrap();
    for ((line, shown), code) in source.lines().zip(shown).map(|pair| (pair, code(pair.0.trim()))) {
        assert!(shown || !code, "the page leaves this out: {line}");
    }
}

#[test]
fn the_toy_is_as_short_as_the_page_says() {
    let toy = fs::read_to_string(root().join("tests/src/toy.rs")).unwrap();
    let code = toy.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    assert!(code.count() < 200);
}

#[test]
fn no_check_is_without_a_law() {
    for check in CHECKS {
        assert!(!check.laws.is_empty(), "{} is about no law", check.name);
    }
}

/// Where a measurement showed that safe code costs a target: `docs/architecture.md` says which. And the bench's counting
/// allocator, which isn't published and can't be written without.
const UNSAFE: [&str; 5] = [
    "anyscope-bench/src/allocator.rs",
    "anyscope-core/src/context/stack.rs",
    "anyscope-core/src/ready_list/places.rs",
    "anyscope-core/src/ready_list/wakers.rs",
    "anyscope-core/src/task/halves.rs",
];

#[test]
fn unsafe_code_is_in_its_few_modules_and_nowhere_else() {
    for (path, text) in sources("crates") {
        let core = path.parent().is_some_and(|crate_root| crate_root.ends_with("anyscope-core/src"));
        if path.ends_with("src/lib.rs") {
            let level = if core { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
            assert!(text.contains(level), "{}", path.display());
        }
        if path.ends_with("anyscope-bench/src/main.rs") {
            assert!(text.contains("#![deny(unsafe_code)]"), "{}", path.display());
        }
        let allowed = UNSAFE.iter().any(|module| path.ends_with(module));
        let is_unsafe = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or_default();
            ["unsafe {", "unsafe impl", "unsafe fn"].iter().any(|word| code.contains(word))
        });
        assert_eq!(is_unsafe, allowed, "{}", path.display());
    }
    let allowed: usize = sources("crates").iter().map(|(_, text)| text.matches("#[allow(unsafe_code").count()).sum();
    assert_eq!(allowed, UNSAFE.len(), "each of them is allowed it where it is declared, and nothing else is");
}

/// A bug that `.ci/bugs` puts in is declared, is in the script's table and in that of the docs with the same gate, which
/// there is, and stands in the code at one place.
#[test]
fn the_bugs_put_in_are_the_same_in_the_code_the_script_and_the_docs() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let script = read(".ci/bugs");
    let (_, table) = script.split_once("\ntable='\n").expect("the table begins");
    let (table, _) = table.split_once("\n'\n").expect("the table ends");
    let table = table.lines().filter(|line| !line.is_empty()).map(|line| {
        let row: Vec<&str> = line.split_whitespace().collect();
        let [name, kind, gate] = row[..] else { panic!("a name, a kind and a gate: {line}") };
        let shown = match kind {
            "scenario" => format!("shuttle::{gate}"),
            "it" => format!("it::{gate}"),
            _ => gate.to_owned(),
        };
        (format!("bug_{name}"), shown)
    });
    let table: BTreeMap<String, String> = table.collect();

    let page = read("docs/reliability.md");
    let documented = page.lines().filter(|line| line.starts_with("| `bug_")).map(|line| {
        let row: Vec<&str> = line.trim_matches('|').split(" | ").map(|cell| cell.trim_matches([' ', '`'])).collect();
        assert_eq!(row.len(), 4, "{line}");
        (row[0].to_owned(), row[3].to_owned())
    });
    assert_eq!(documented.collect::<BTreeMap<_, _>>(), table);

    let manifest = read("Cargo.toml");
    let declared = manifest.lines().filter_map(|line| line.trim().strip_prefix("\"cfg(bug_")?.strip_suffix(")\","));
    assert_eq!(
        declared.map(|name| format!("bug_{name}")).collect::<Vec<_>>(),
        table.keys().cloned().collect::<Vec<_>>()
    );

    let (mut code, tests) = (sources("crates"), sources("tests"));
    for (name, gate) in &table {
        let test = format!("fn {}()", gate.rsplit("::").next().unwrap());
        let check = CHECKS.iter().any(|check| format!("{}::{}", check.area, check.name) == *gate);
        assert!(check || code.iter().chain(&tests).any(|(_, text)| text.contains(&test)), "{name}: no {gate}");
    }
    code.retain(|(_, text)| text.contains("(bug_"));
    let mut places: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
    for (path, text) in &code {
        for rest in text.split("(bug_").skip(1) {
            let name = rest.split(')').next().unwrap();
            places.entry(format!("bug_{name}")).or_default().push(path);
        }
    }
    assert_eq!(places.keys().collect::<Vec<_>>(), table.keys().collect::<Vec<_>>());
    for (name, places) in places {
        // A field, and its value; or a step that moves, where it was and where it is.
        assert!(places.len() <= 2 && places.iter().all(|place| *place == places[0]), "{name} is in {places:?}");
    }
}

/// What the models and the scenarios are to see comes from `crate::sync`. The exceptions are one for the process, which no
/// model touches, and what only a tool writes down.
#[test]
fn locks_and_atomics_of_the_core_come_from_its_seam() {
    const OUTSIDE: [&str; 8] = [
        "sync.rs",
        "task.rs",
        "observe.rs",
        "observe/told.rs",
        "group/orphan.rs",
        "group/peek.rs",
        "tree/notes.rs",
        "tree/holders.rs",
    ];
    const MODELS_AND_TESTS: [&str; 4] = ["loom", "models", "shuttle", "tests"];
    for (path, text) in sources("crates/anyscope-core/src") {
        let name = path.strip_prefix(root()).unwrap().with_extension("");
        if name.iter().any(|part| MODELS_AND_TESTS.iter().any(|name| part == *name)) {
            continue;
        }
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let names_std = ["std::sync::atomic", "std::sync::Mutex", "std::sync::{Mutex"];
        if names_std.iter().any(|name| text.contains(name)) {
            assert!(OUTSIDE.iter().any(|outside| path.ends_with(outside)), "{}", path.display());
        }
    }
}

#[test]
fn the_table_of_the_models_counts_those_there_are() {
    let core = root().join("crates/anyscope-core/src");
    let mut counted: Vec<String> = sources("crates/anyscope-core/src")
        .into_iter()
        .filter(|(path, _)| path.ends_with("loom.rs") && !path.ends_with("models/loom.rs"))
        .map(|(path, text)| {
            let of = |call: &str| text.lines().filter(|line| line.trim_start().starts_with(call)).count();
            let (full, fewer) = (of("model(||"), of("model_bounded("));
            assert_eq!(full + fewer, text.matches("#[test]").count(), "{}", path.display());
            format!("{} {} {fewer}", path.strip_prefix(&core).unwrap().display(), full + fewer)
        })
        .collect();
    counted.sort();
    let text = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `") && line.contains("loom.rs` |"));
    let documented: Vec<String> = rows
        .map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            format!("{} {} {}", cells[0].trim_matches('`'), cells[2], cells[3])
        })
        .collect();
    assert_eq!(documented, counted);
}
