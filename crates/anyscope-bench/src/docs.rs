//! What of the counts stands in `docs/performance.md`, between two markers each.

use crate::case::{Case, best, is_ours};
use crate::table::{Row, figure};
use std::fmt::Write as _;

/// Writes the parts of the page anew.
pub(crate) fn renew(page: &str, rows: &[Row], cases: &[Case]) -> Result<String, String> {
    let page = put(page, "counts", &counts(rows))?;
    put(&page, "guarantees", &guarantees(cases))
}

/// Puts `text` between the markers of that name.
fn put(page: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->"));
    let found = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = found.ok_or_else(|| format!("the page has no markers for {name}"))?;
    Ok(format!("{before}{begin}{text}{end}{after}"))
}

/// A line for each case: anyscope, the best peer, the target.
fn counts(rows: &[Row]) -> String {
    let mut text = String::from(
        "| | case | runtime | instructions | atomics | allocs | bytes | the best peer | target | met |\n\
         |---|---|---|---:|---:|---:|---:|---|---|---|\n",
    );
    for case in rows.chunk_by(|one, next| one.key()[..3] == next.key()[..3]) {
        let peers = || case.iter().filter(|row| !is_ours(&row.subject));
        let least = best(peers().map(|row| row.instructions));
        let best_peer = peers().find(|row| Some(row.instructions) == least);
        for ours in case.iter().filter(|row| is_ours(&row.subject)) {
            let [scenario, name, runtime, _] = ours.key();
            let [instructions, atomics, allocs, bytes] =
                [ours.instructions, ours.atomics, ours.allocs, ours.bytes].map(figure);
            let peer = best_peer.map_or(String::new(), |peer| {
                format!("{}: {} ({})", peer.subject, figure(peer.instructions), figure(peer.atomics))
            });
            let (target, met) = (&ours.target, &ours.met);
            writeln!(
                text,
                "| {scenario} | {name} | {runtime} | {instructions} | {atomics} | {allocs} | {bytes} | {peer} | {target} | {met} |"
            )
            .expect("a string takes everything");
        }
    }
    text
}

/// Who promises what, in each scenario.
fn guarantees(cases: &[Case]) -> String {
    let mut text = String::from("| | who | what |\n|---|---|---|\n");
    let mut told = Vec::new();
    for case in cases {
        for subject in &case.subjects {
            let line = (case.scenario, subject.name, subject.guarantees);
            if !told.contains(&line) {
                let (scenario, name, guarantees) = line;
                writeln!(text, "| {scenario} | {name} | {guarantees} |").expect("a string takes everything");
                told.push(line);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_the_markers_stays() {
        let page = "before\n<!-- begin: counts -->\nold\n<!-- end: counts -->\nafter\n";
        let renewed = "before\n<!-- begin: counts -->\nnew\n<!-- end: counts -->\nafter\n";
        assert_eq!(put(page, "counts", "new\n").as_deref(), Ok(renewed));
        assert_eq!(put(renewed, "counts", "new\n").as_deref(), Ok(renewed));
    }

    #[test]
    fn a_page_without_a_marker_is_refused() {
        assert!(put("<!-- begin: counts -->\n", "counts", "").is_err());
        assert!(put("<!-- end: counts -->\n", "counts", "").is_err());
    }
}
