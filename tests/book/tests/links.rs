//! A link in the book leads somewhere: to a page of the book and a heading in it, to a picture, to an item of the public
//! API. And each page can be reached.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn book() -> PathBuf {
    root().join("docs/book/src")
}

/// The pages, by their names in the book: those of the reference are links to the files in `docs`.
fn pages() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(book().join(&folder)).unwrap() {
            let name = folder.join(entry.unwrap().file_name());
            if book().join(&name).is_dir() {
                folders.push(name);
            } else if name.extension().is_some_and(|extension| extension == "md") {
                found.insert(name);
            }
        }
    }
    assert!(found.len() > 2, "no pages");
    found
}

/// The lines of a page that aren't in a block of code.
fn prose(page: &str) -> Vec<&str> {
    let mut code = false;
    let outside = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    };
    page.lines().filter(outside).collect()
}

/// What a page links to, or shows as a picture.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page).join("\n");
    let inline = prose.split("](").skip(1).filter_map(|rest| {
        // A link may have round brackets in it, in pairs.
        let mut depth = 1;
        let end = rest.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        })?;
        Some(rest[..end].to_owned())
    });
    let named = prose.lines().filter_map(|line| Some(line.strip_prefix('[')?.split_once("]: ")?.1.to_owned()));
    inline.chain(named).collect()
}

/// The anchors that mdBook makes of a page's headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).into_iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let kept = line.trim_start_matches('#').trim().chars().filter_map(|c| match c {
                c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
                c if c.is_whitespace() => Some('-'),
                _ => None,
            });
            kept.collect()
        })
        .collect()
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(plain.pop(), "{} is outside of the book", path.display()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// Whether a page of docs.rs is of an item that there is, by the dump of the public API.
fn is_documented(link: &str) -> bool {
    let Some((crate_name, rest)) = link.split_once("/latest/") else { return false };
    let api = match crate_name {
        "anyscope" => "docs/api/anyscope.txt",
        "anyscope-core" => "docs/api/anyscope-core.txt",
        _ => return false,
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let mut parts: Vec<&str> = rest.split('/').collect();
    let file = parts.pop().unwrap_or_default();
    let path = parts.join("::");
    let api = fs::read_to_string(root().join(api)).unwrap();
    if file == "index.html" {
        return api.lines().any(|line| line == format!("pub mod {path}"));
    }
    let Some((kind, name)) = file.strip_suffix(".html").and_then(|file| file.split_once('.')) else { return false };
    api.lines().any(|line| {
        let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let words: Vec<&str> = words.map(|word| word.trim_end_matches(':')).collect();
        // What is another crate's is written down as a `use`, and isn't told of what kind it is.
        words.windows(2).any(|pair| (pair[0] == kind || pair[0] == "use") && pair[1] == format!("{path}::{name}"))
    })
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let mut dead = Vec::new();
    for name in &pages {
        let page = fs::read_to_string(book().join(name)).unwrap();
        for link in links(&page) {
            let alive = if let Some(item) = link.strip_prefix("https://docs.rs/") {
                !item.starts_with("anyscope") || is_documented(item)
            } else if link.starts_with("https://") || link.starts_with("http://") {
                true
            } else {
                let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
                let target = match file {
                    "" => name.clone(),
                    file => plain(&name.parent().unwrap().join(file)),
                };
                let is_page = pages.contains(&target);
                let there = || anchors(&fs::read_to_string(book().join(&target)).unwrap()).contains(anchor);
                match anchor {
                    "" => {
                        is_page
                            || (target.extension().is_some_and(|kind| kind == "svg" || kind == "png")
                                && book().join(&target).is_file())
                    }
                    _ => is_page && there(),
                }
            };
            if !alive {
                dead.push(format!("{}: {link}", name.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn the_summary_has_every_page_once() {
    let summary = fs::read_to_string(book().join("SUMMARY.md")).unwrap();
    let mut listed: Vec<PathBuf> = links(&summary).into_iter().map(PathBuf::from).collect();
    listed.push("SUMMARY.md".into());
    listed.sort();
    assert_eq!(listed, pages().into_iter().collect::<Vec<_>>());
}

/// A picture that is cut off from its text, by a new name say, and one that says nothing to who can't see it.
#[test]
fn pictures_are_shown_and_have_words() {
    let shown: String = pages().iter().map(|page| fs::read_to_string(book().join(page)).unwrap()).collect();
    for entry in fs::read_dir(book().join("pictures")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(shown.contains(&format!("](pictures/{name})")), "{name} is on no page");
        let picture = fs::read_to_string(book().join("pictures").join(&name)).unwrap();
        assert!(picture.contains("<title id=\"title\">") && picture.contains("<desc id=\"desc\">"), "{name}");
    }
    for alone in shown.split("![").skip(1) {
        assert!(!alone.starts_with(']'), "a picture without words");
    }
}

/// The doctests are of the chapters that there are.
#[test]
fn every_chapter_is_compiled() {
    let tested = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for page in pages() {
        let name = page.display().to_string();
        let page = fs::read_to_string(book().join(&page)).unwrap();
        if !name.contains('/') && page.contains("```rust") {
            assert!(tested.contains(&format!("docs/book/src/{name}\"")), "{name}");
        }
        for line in page.lines().filter(|line| !name.contains('/') && line.trim_start().starts_with("```rust")) {
            assert!(!line.contains("ignore"), "{name} has a snippet that nobody compiles");
        }
    }
}
