//! The table of counts: what is committed, shown, and compared.

use crate::case::{Case, Limit, Subject, Targets, is_ours};
use serde_json::json;
use std::fmt::Write as _;

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) case: String,
    pub(crate) runtime: String,
    pub(crate) subject: String,
    pub(crate) instructions: f64,
    pub(crate) atomics: f64,
    pub(crate) allocs: f64,
    pub(crate) bytes: f64,
    /// What is to be reached, in words, and whether it is; both empty for a peer.
    pub(crate) target: String,
    pub(crate) met: String,
}

const COLUMNS: [&str; 10] =
    ["scenario", "case", "runtime", "subject", "instructions", "atomics", "allocs", "bytes", "target", "met"];

impl Row {
    /// A line without figures yet.
    pub(crate) fn new(case: &Case, subject: &Subject) -> Self {
        Self {
            scenario: case.scenario.to_owned(),
            case: case.name.clone(),
            runtime: case.runtime.to_string(),
            subject: subject.name.to_owned(),
            instructions: 0.0,
            atomics: 0.0,
            allocs: 0.0,
            bytes: 0.0,
            target: String::new(),
            met: String::new(),
        }
    }

    /// The names of what was counted, which no other line has.
    pub(crate) fn key(&self) -> [&str; 4] {
        [&self.scenario, &self.case, &self.runtime, &self.subject]
    }

    fn is_of(&self, case: &Case) -> bool {
        self.scenario == case.scenario && self.case == case.name && self.runtime == case.runtime.to_string()
    }

    fn cells(&self) -> [String; 10] {
        let [scenario, case, runtime, subject] = self.key().map(str::to_owned);
        let [instructions, atomics, allocs, bytes] =
            [self.instructions, self.atomics, self.allocs, self.bytes].map(figure);
        let (target, met) = (self.target.clone(), self.met.clone());
        [scenario, case, runtime, subject, instructions, atomics, allocs, bytes, target, met]
    }

    pub(crate) fn to_json(&self, target: Option<f64>) -> String {
        json!({
            "scenario": self.scenario,
            "case": self.case,
            "runtime": self.runtime,
            "subject": self.subject,
            "instructions_per_op": rounded(self.instructions),
            "atomics_per_op": rounded(self.atomics),
            "target": target,
            "allocs_per_op": rounded(self.allocs),
            "bytes_per_item": rounded(self.bytes),
        })
        .to_string()
    }
}

/// A count as people read it.
pub(crate) fn figure(count: f64) -> String {
    // A difference of next to nothing isn't less than nothing.
    let count = count.max(0.0);
    if count >= 99.95 { format!("{count:.0}") } else { format!("{count:.1}") }
}

fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

/// Fills in targets, and whether they are met, from the figures of all subjects of a case.
pub(crate) fn judge(rows: &mut [Row], cases: &[Case]) {
    for case in cases {
        let peers = peers(rows, case);
        let base = base(rows, case).cloned();
        for row in rows.iter_mut().filter(|row| row.is_of(case) && is_ours(&row.subject)) {
            (row.target, row.met) = verdict(row, &case.targets, &peers, base.as_ref());
        }
    }
}

/// The limit of a row in instructions, as a figure.
pub(crate) fn target(rows: &[Row], row: &Row, cases: &[Case]) -> Option<f64> {
    let case = cases.iter().find(|case| row.is_of(case) && is_ours(&row.subject))?;
    let peers = peers(rows, case);
    let peers: Vec<(&str, f64)> = peers.iter().map(|(name, took)| (&**name, *took)).collect();
    let limit = case.targets.instructions.resolve(&peers);
    limit.or_else(|| base(rows, case).map(|base| 1.5 * base.instructions))
}

/// What a case is to be no dearer than.
fn base<'a>(rows: &'a [Row], case: &Case) -> Option<&'a Row> {
    let name = case.targets.no_dearer_than.as_ref()?;
    rows.iter().find(|row| row.scenario == case.scenario && row.case == *name && is_ours(&row.subject))
}

fn peers(rows: &[Row], case: &Case) -> Vec<(String, f64)> {
    let peers = rows.iter().filter(|row| row.is_of(case) && !is_ours(&row.subject));
    peers.map(|row| (row.subject.clone(), row.instructions)).collect()
}

fn verdict(row: &Row, targets: &Targets, peers: &[(String, f64)], base: Option<&Row>) -> (String, String) {
    let peers: Vec<(&str, f64)> = peers.iter().map(|(name, took)| (&**name, *took)).collect();
    let mut words = Vec::new();
    let mut missed = Vec::new();
    let mut check = |what: &str, limit: f64, figure: f64| {
        // Half a unit is what the table rounds away.
        if figure > limit + 0.5_f64.min(limit * 0.05 + 0.05) {
            missed.push(format!("no: {what} x{:.2}", figure / limit.max(f64::MIN_POSITIVE)));
        }
    };
    if let Some(limit) = targets.instructions.resolve(&peers) {
        words.push(match targets.instructions {
            Limit::OfPeer(times, peer) => format!("<= {limit:.0} ({times} x {peer})"),
            Limit::OfBest(times) => format!("<= {limit:.0} ({times} x the best)"),
            Limit::Most(_) | Limit::None => format!("<= {limit:.0}"),
        });
        check("instructions", limit, row.instructions);
    }
    if let Some(limit) = targets.allocs {
        words.push(format!("allocs <= {limit}"));
        check("allocs", limit, row.allocs);
    }
    if let Some(limit) = targets.bytes {
        words.push(format!("bytes <= {limit}"));
        check("bytes", limit, row.bytes);
    }
    if let Some(base) = base {
        words.push(format!("<= 1.5 x {}, bytes <= 1.1 x", base.case));
        check("instructions", 1.5 * base.instructions, row.instructions);
        check("bytes", 1.1 * base.bytes, row.bytes);
    }
    let met = match (words.is_empty(), missed.is_empty()) {
        (true, _) => String::new(),
        (false, true) => "yes".to_owned(),
        (false, false) => missed.join("; "),
    };
    (words.join("; "), met)
}

/// Puts the rows together, aligned, with bars between the cells.
pub(crate) fn render(rows: &[Row]) -> String {
    let cells: Vec<[String; 10]> = rows.iter().map(Row::cells).collect();
    let width = |column: usize| {
        let head = COLUMNS[column].len();
        cells.iter().map(|row| row[column].chars().count()).fold(head, usize::max)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: [&str; 10]| {
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            // Figures stand to the right.
            let padded = if (4..8).contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            write!(text, "| {padded} ").expect("a string takes everything");
        }
        text.push_str("|\n");
    };
    line(COLUMNS);
    let rules: [String; 10] = std::array::from_fn(|column| match column {
        4..8 => format!("{:->width$}", ":", width = widths[column]),
        _ => "-".repeat(widths[column]),
    });
    line(rules.each_ref().map(|rule| &**rule));
    for row in &cells {
        line(row.each_ref().map(|cell| &**cell));
    }
    text
}

/// Reads what [`render`] wrote; other lines are skipped.
pub(crate) fn parse(text: &str) -> Result<Vec<Row>, String> {
    let lines = text.lines().filter(|line| line.starts_with("| "));
    // The head, and the line below it.
    lines.filter(|line| !line.starts_with("| scenario") && !line.starts_with("| --")).map(row).collect()
}

fn row(line: &str) -> Result<Row, String> {
    let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
    let [scenario, case, runtime, subject, instructions, atomics, allocs, bytes, target, met] = cells[..] else {
        return Err(format!("not ten cells: {line}"));
    };
    let figure = |cell: &str| cell.parse::<f64>().map_err(|_| format!("no figure, but `{cell}`: {line}"));
    Ok(Row {
        scenario: scenario.to_owned(),
        case: case.to_owned(),
        runtime: runtime.to_owned(),
        subject: subject.to_owned(),
        instructions: figure(instructions)?,
        atomics: figure(atomics)?,
        allocs: figure(allocs)?,
        bytes: figure(bytes)?,
        target: target.to_owned(),
        met: met.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(subject: &str, instructions: f64) -> Row {
        Row {
            scenario: "S1".to_owned(),
            case: "ready".to_owned(),
            runtime: "tokio".to_owned(),
            subject: subject.to_owned(),
            instructions,
            atomics: 1.4,
            allocs: 1.0,
            bytes: 136.0,
            target: String::new(),
            met: String::new(),
        }
    }

    #[test]
    fn a_table_reads_as_it_was_written() {
        let mut rows = vec![of("anyscope", 512.0), of("tokio::spawn", 1978.0)];
        rows[0].target = "<= 500".to_owned();
        rows[0].met = "no: instructions x1.02".to_owned();
        assert_eq!(parse(&render(&rows)), Ok(rows));
    }

    #[test]
    fn a_line_of_another_form_is_refused() {
        assert!(parse("| S1 | ready | tokio |").is_err());
        let line = render(&[of("anyscope", 1.0)]).replace(" 1.4 ", " few ");
        assert!(parse(&line).is_err());
    }

    #[test]
    fn the_verdict_names_what_is_missed() {
        let peers = [("tokio::spawn".to_owned(), 2000.0), ("JoinSet".to_owned(), 1000.0)];
        let targets = |instructions| Targets { instructions, allocs: Some(1.0), ..Targets::default() };
        let verdict = |limit, took| verdict(&of("anyscope", took), &targets(limit), &peers, None).1;
        assert_eq!(verdict(Limit::Most(500.0), 500.0), "yes");
        assert_eq!(verdict(Limit::Most(500.0), 550.0), "no: instructions x1.10");
        assert_eq!(verdict(Limit::OfPeer(0.25, "tokio::spawn"), 500.0), "yes");
        assert_eq!(verdict(Limit::OfBest(1.0), 1100.0), "no: instructions x1.10");
    }
}
