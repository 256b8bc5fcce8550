//! Promises of the text: what the docs name exists, what the code says of itself is so.

use anyscope_conformance::CHECKS;
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
fn no_check_is_without_a_law() {
    for check in CHECKS {
        assert!(!check.laws.is_empty(), "{} is about no law", check.name);
    }
}

#[test]
fn every_crate_forbids_unsafe_code() {
    for (path, text) in sources("crates") {
        if path.ends_with("src/lib.rs") {
            assert!(text.contains("#![forbid(unsafe_code)]"), "{}", path.display());
        }
    }
}

/// What the models are to see comes from `crate::sync`. The exceptions are one for the process, which no model touches.
#[test]
fn locks_and_atomics_of_the_core_come_from_its_seam() {
    const OUTSIDE: [&str; 3] = ["sync.rs", "task.rs", "group/orphan.rs"];
    const MODELS_AND_TESTS: [&str; 3] = ["loom.rs", "models.rs", "tests.rs"];
    for (path, text) in sources("crates/anyscope-core/src") {
        if MODELS_AND_TESTS.iter().any(|file| path.ends_with(file)) {
            continue;
        }
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let names_std = ["std::sync::atomic", "std::sync::Mutex", "std::sync::{Mutex"];
        if names_std.iter().any(|name| text.contains(name)) {
            assert!(OUTSIDE.iter().any(|outside| path.ends_with(outside)), "{}", path.display());
        }
    }
}
