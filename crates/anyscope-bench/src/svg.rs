//! A drawing of what `compare` measured: a block for each case, a bar for each subject.

use crate::measure::compare::Timed;
use std::fmt::Write as _;

const LINE: usize = 18;
const GAP: usize = 14;
const LEFT: usize = 190;
const BARS: usize = 420;
const WIDTH: usize = LEFT + BARS + 130;

/// Draws all of it.
pub(crate) fn draw(timed: &[Timed]) -> String {
    let mut body = String::new();
    let mut y = GAP;
    for case in timed.chunk_by(|one, next| one.key() == next.key()) {
        let (scenario, name, runtime) = case[0].key();
        y += LINE;
        text(&mut body, 10, y, "start", "bold", &format!("{scenario} {name}, {runtime}"));
        let longest = case.iter().map(|line| line.took.median).fold(f64::MIN_POSITIVE, f64::max);
        for line in case {
            y += LINE;
            let scaled = |took: f64| (took / longest * BARS as f64).min(BARS as f64);
            let colour = if line.subject.starts_with("anyscope") { "#c2410c" } else { "#94a3b8" };
            text(&mut body, LEFT - 8, y, "end", "normal", line.subject);
            let length = scaled(line.took.median).max(1.0);
            put(
                &mut body,
                format_args!(
                    "<rect x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>",
                    y - LINE + 6,
                    LINE - 5
                ),
            );
            // Where half of the samples lie.
            put(
                &mut body,
                format_args!(
                    "<path d=\"M{:.1} {}H{:.1}\" stroke=\"#0f172a\" stroke-width=\"1.5\"/>",
                    LEFT as f64 + scaled(line.took.low),
                    y - LINE / 2 + 3,
                    LEFT as f64 + scaled(line.took.high)
                ),
            );
            text(&mut body, LEFT + length as usize + 8, y, "start", "normal", &nanoseconds(line.took.median));
        }
        y += GAP;
    }
    let height = y + GAP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn put(body: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(body, "{line}").expect("a string takes everything");
}

fn text(body: &mut String, x: usize, y: usize, anchor: &str, weight: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    put(
        body,
        format_args!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" font-weight=\"{weight}\" fill=\"#0f172a\">{words}</text>"
        ),
    );
}

fn nanoseconds(took: f64) -> String {
    match took {
        ..10.0 => format!("{took:.1} ns"),
        ..10_000.0 => format!("{took:.0} ns"),
        _ => format!("{:.1} us", took / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::statistics::Spread;

    fn timed(case: &str, subject: &'static str, median: f64) -> Timed {
        Timed {
            scenario: "S1",
            case: case.to_owned(),
            runtime: "tokio".to_owned(),
            subject,
            guarantees: "",
            took: Spread { median, low: median * 0.9, high: median * 1.1 },
            ratio_to_best_peer: None,
            target: None,
            percentiles: None,
            p99_ratio_to_best_peer: None,
        }
    }

    /// Tags that close in the order in which they opened, and no bare `&` or `<` in between.
    fn is_well_formed(svg: &str) -> bool {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some((words, after)) = rest.split_once('<') {
            let entities = ["&amp;", "&lt;", "&gt;"];
            let plain = entities.iter().fold(words.to_owned(), |words, entity| words.replace(entity, ""));
            let Some((tag, after)) = after.split_once('>') else { return false };
            if plain.contains(['&', '>']) || tag.contains('<') || tag.matches('"').count() % 2 != 0 {
                return false;
            }
            match (tag.strip_prefix('/'), tag.ends_with('/')) {
                (Some(name), _) if open.pop() != Some(name) => return false,
                (None, false) => open.push(tag.split(' ').next().unwrap_or_default()),
                _ => {}
            }
            rest = after;
        }
        open.is_empty() && rest.trim().is_empty()
    }

    #[test]
    fn a_drawing_is_well_formed_whatever_the_names() {
        let svg = draw(&[timed("ready", "anyscope", 20.0), timed("a < b & c", "Vec<T>", 2e6)]);
        assert!(is_well_formed(&svg), "{svg}");
        assert!(!is_well_formed(&svg.replace("&lt;", "<")));
        assert!(!is_well_formed(&svg.replace("</svg>", "")));
    }

    #[test]
    fn bars_are_drawn_to_the_scale_of_their_case() {
        let svg = draw(&[timed("ready", "anyscope", 20.0), timed("ready", "peer", 40.0), timed("else", "peer", 7.0)]);
        assert_eq!(svg.matches("width=\"420.0\"").count(), 2, "the longest of each case");
        assert_eq!(svg.matches("width=\"210.0\"").count(), 1, "half as long");
    }
}
