//! A picture of a trace, for where no viewer is at hand: its tracks, slices and arrows as SVG, much as Perfetto draws them.
//!
//! ```text
//! cargo run --example trace -- trace.json
//! cargo run --example trace-picture -- trace.json trace.svg
//! ```
//!
//! It reads what `anyscope::trace` and the simulator's `to_chrome` write, also where the end of it is missing.

#![forbid(unsafe_code)]

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::{env, fs, io};

const LABELS: f64 = 330.0;
const CHART: f64 = 1170.0;
const ROW: f64 = 15.0;
const GAP: f64 = 5.0;
/// Where the times stand.
const AXIS: f64 = 22.0;

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("trace-picture TRACE.json PICTURE.svg"));
    };
    let picture = Picture::read(&fs::read_to_string(from)?)?;
    fs::write(&to, picture.draw())?;
    println!("{to}: {} tracks, {} arrows", picture.tracks.len(), picture.arrows.len());
    Ok(())
}

#[derive(Default)]
struct Picture {
    /// By thread.
    tracks: BTreeMap<u64, Track>,
    /// By process: the label, and where it stands.
    groups: BTreeMap<u64, (String, u64)>,
    arrows: BTreeMap<u64, Arrow>,
    end: f64,
}

#[derive(Default)]
struct Track {
    group: u64,
    label: String,
    sort: u64,
    slices: Vec<Slice>,
    instants: Vec<(f64, String)>,
    open: Vec<usize>,
}

struct Slice {
    name: String,
    category: String,
    depth: usize,
    begin: f64,
    end: Option<f64>,
}

#[derive(Default)]
struct Arrow {
    what: String,
    /// The track, the depth of the slice, and the time.
    ends: Vec<(u64, usize, f64)>,
}

/// Of groups or tracks, where the upper edge of each is.
type Places = Vec<(u64, f64)>;

impl Picture {
    fn read(text: &str) -> io::Result<Self> {
        let text = text.trim_end();
        let whole = if text.ends_with(']') { text.to_owned() } else { format!("{}]", text.trim_end_matches(',')) };
        let events: Vec<Value> = serde_json::from_str(&whole)?;
        let mut picture = Self::default();
        for event in &events {
            picture.add(event);
        }
        Ok(picture)
    }

    fn add(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (name, ts) = (text(&event["name"]), event["ts"].as_f64().unwrap_or_default());
        let (group, id) = (event["pid"].as_u64().unwrap_or_default(), event["tid"].as_u64().unwrap_or_default());
        if event["s"] == "g" {
            return;
        }
        self.end = self.end.max(ts);
        let track = self.tracks.entry(id).or_default();
        track.group = group;
        match event["ph"].as_str().unwrap_or_default() {
            "M" => match name.as_str() {
                "thread_name" => track.label = text(&event["args"]["name"]),
                "thread_sort_index" => track.sort = event["args"]["sort_index"].as_u64().unwrap_or_default(),
                "process_name" => self.groups.entry(group).or_default().0 = text(&event["args"]["name"]),
                "process_sort_index" => {
                    self.groups.entry(group).or_default().1 = event["args"]["sort_index"].as_u64().unwrap_or_default();
                }
                _ => {}
            },
            "B" => {
                let (depth, category) = (track.open.len(), text(&event["cat"]));
                track.open.push(track.slices.len());
                track.slices.push(Slice { name, category, depth, begin: ts, end: None });
            }
            "E" => {
                if let Some(slice) = track.open.pop() {
                    track.slices[slice].end = Some(ts);
                }
            }
            "i" => track.instants.push((ts, name)),
            "s" | "f" => {
                let arrow = self.arrows.entry(event["id"].as_u64().unwrap_or_default()).or_default();
                arrow.what = name;
                arrow.ends.push((id, track.open.len().saturating_sub(1), ts));
            }
            _ => {}
        }
    }

    fn x(&self, ts: f64) -> f64 {
        LABELS + CHART * ts / self.end.max(1.0)
    }

    /// Groups in their order, and in each its tracks: each with the place of its upper edge.
    fn rows(&self) -> (Places, Places, f64) {
        let (mut groups, mut rows, mut y) = (Vec::new(), Vec::new(), AXIS);
        let mut order: Vec<_> = self.groups.iter().map(|(group, (_, sort))| (*sort, *group)).collect();
        order.sort_unstable();
        for (_, group) in order {
            groups.push((group, y));
            y += ROW + GAP;
            let mut members: Vec<_> = self.tracks.iter().filter(|(_, track)| track.group == group).collect();
            members.sort_by_key(|(id, track)| (track.sort, **id));
            for (id, track) in members {
                rows.push((*id, y));
                let depth = track.slices.iter().map(|slice| slice.depth).max().unwrap_or_default();
                y += ROW * (depth + 1) as f64 + GAP;
            }
        }
        (groups, rows, y)
    }

    fn draw(&self) -> String {
        let (groups, rows, height) = self.rows();
        let width = LABELS + CHART + 10.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"10\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        for tenth in 0..=10 {
            let ts = self.end * f64::from(tenth) / 10.0;
            let (x, shown) = (self.x(ts), ts / 1000.0);
            let _ = writeln!(svg, r##"<line x1="{x:.1}" x2="{x:.1}" y1="{AXIS}" y2="{height}" stroke="#eee"/>"##);
            let anchor = if tenth == 10 { "end" } else { "middle" };
            let _ =
                writeln!(svg, r##"<text x="{x:.1}" y="14" fill="#666" text-anchor="{anchor}">{shown:.2} ms</text>"##);
        }
        for (group, y) in groups {
            let label = escaped(&self.groups[&group].0);
            let _ = writeln!(svg, r##"<rect x="0" y="{y}" width="{width}" height="{ROW}" fill="#e8eef7"/>"##);
            let _ = writeln!(svg, r##"<text x="4" y="{}" font-weight="bold">{label}</text>"##, y + 11.0);
        }
        for (id, y) in &rows {
            self.draw_track(&mut svg, &self.tracks[id], *y);
        }
        let places: BTreeMap<u64, f64> = rows.into_iter().collect();
        for arrow in self.arrows.values() {
            let [from, to] = arrow.ends[..] else { continue };
            let place = |(track, depth, ts): (u64, usize, f64)| {
                (self.x(ts), places.get(&track).copied().unwrap_or_default() + ROW * (depth as f64 + 0.5))
            };
            let ((x1, y1), (x2, y2)) = (place(from), place(to));
            let color = if arrow.what == "spawn" { "#2a7d2a" } else { "#b3261e" };
            let bend = ((x2 - x1) / 2.0).max(12.0);
            let _ = writeln!(
                svg,
                r#"<path d="M{x1:.1} {y1:.1} C{:.1} {y1:.1} {:.1} {y2:.1} {:.1} {y2:.1}" fill="none" stroke="{color}" stroke-opacity="0.75"/>"#,
                x1 + bend,
                x2 - bend,
                x2 - 4.0
            );
            let _ = writeln!(svg, r#"<path d="M{:.1} {:.1} l5 3 l-5 3 z" fill="{color}"/>"#, x2 - 5.0, y2 - 3.0);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_track(&self, svg: &mut String, track: &Track, y: f64) {
        let _ = writeln!(svg, r##"<text x="14" y="{}" fill="#333">{}</text>"##, y + 11.0, escaped(&track.label));
        for slice in &track.slices {
            let (x, end) = (self.x(slice.begin), self.x(slice.end.unwrap_or(self.end)));
            let (wide, top) = ((end - x).max(1.0), y + ROW * slice.depth as f64);
            let color = match slice.category.as_str() {
                "group" => "#9db7e0",
                "task" => "#c3d7f2",
                "wait" => "#ececec",
                _ => "#f2a33a",
            };
            let (name, high) = (escaped(&slice.name), ROW - 1.0);
            let _ = writeln!(
                svg,
                r#"<rect x="{x:.1}" y="{top:.1}" width="{wide:.1}" height="{high}" fill="{color}"><title>{name}</title></rect>"#
            );
            // What fits, at about 5 a character.
            let room = ((wide - 6.0) / 5.0).max(0.0) as usize;
            if room >= 3 {
                let shown: String = slice.name.chars().take(room).collect();
                let _ = writeln!(svg, r#"<text x="{:.1}" y="{:.1}">{}</text>"#, x + 3.0, top + 11.0, escaped(&shown));
            }
        }
        for (ts, name) in &track.instants {
            let (x, name) = (self.x(*ts), escaped(name));
            let color = if name == "completed" { "#2a7d2a" } else { "#b3261e" };
            let _ = writeln!(
                svg,
                r#"<path d="M{x:.1} {:.1} l-4 7 h8 z" fill="{color}"><title>{name}</title></path>"#,
                y + ROW
            );
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
