//! Durations as people write them.

use std::time::Duration;
use syn::{Error, LitStr, Result};

const UNITS: [(&str, Duration); 4] = [
    ("ms", Duration::from_millis(1)),
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_secs(60)),
    ("h", Duration::from_secs(3600)),
];

/// Reads `500ms`, `5s`, `2m`, `1h`, and several of them in a row: `1m 30s`.
pub(crate) fn parse(literal: &LitStr) -> Result<Duration> {
    match read(&literal.value()) {
        Ok(Duration::ZERO) => Err(Error::new(literal.span(), "nothing ends in no time: give it some, as in \"5s\"")),
        Ok(duration) => Ok(duration),
        Err(message) => Err(Error::new(literal.span(), message)),
    }
}

fn read(text: &str) -> std::result::Result<Duration, String> {
    let how = "a duration is written as \"500ms\", \"5s\", \"2m\", \"1h\" or \"1m 30s\"";
    let mut total = Duration::ZERO;
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return Err(how.to_owned());
    }
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let after = after.trim_start();
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len()));
        if digits.is_empty() {
            return Err(how.to_owned());
        }
        if unit.is_empty() {
            return Err(format!("`{digits}` has no unit: {how}"));
        }
        let Some((_, unit)) = UNITS.into_iter().find(|(name, _)| *name == unit) else {
            return Err(format!("unknown unit `{unit}`: {how}"));
        };
        let part = digits.parse().ok().and_then(|number: u32| unit.checked_mul(number));
        let sum = part.and_then(|part| total.checked_add(part));
        total = sum.ok_or_else(|| format!("`{digits}` is too much: use a larger unit"))?;
        rest = after.trim_start();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        let milliseconds = |text| read(text).unwrap().as_millis();
        assert_eq!(milliseconds("500ms"), 500);
        assert_eq!(milliseconds("5s"), 5_000);
        assert_eq!(milliseconds("2m"), 120_000);
        assert_eq!(milliseconds("1h"), 3_600_000);
        assert_eq!(milliseconds("1m30s"), 90_000);
        assert_eq!(milliseconds(" 1 m 30 s "), 90_000);
        assert_eq!(milliseconds("4294967295h"), 4_294_967_295 * 3_600_000);
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        let message = |text| read(text).unwrap_err();
        assert!(message("").starts_with("a duration is written as"));
        assert!(message("s").starts_with("a duration is written as"));
        assert!(message("-5s").starts_with("a duration is written as"));
        assert!(message("1.5s").starts_with("`1` has no unit"));
        assert!(message("5").starts_with("`5` has no unit"));
        assert!(message("5 minutes").starts_with("unknown unit `minutes`"));
        assert!(message("5µs").starts_with("unknown unit `µs`"));
        assert!(message("4294967296ms").contains("too much"));
    }
}
