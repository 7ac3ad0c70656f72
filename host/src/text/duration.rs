//! Durations as people type them: `90d`, `24h`, `30m`, `45s`, `2w`, and a bare `0`.

use std::fmt;

/// Longest duration that [`parse_duration`] takes, in seconds: longer than any time that RFC 3339 can write.
pub const MAX_DURATION: u64 = 3_000_000 * 86_400;

/// Reads a duration into whole seconds: a number with `s`, `m`, `h`, `d` or `w`, or a bare `0`.
///
/// # Errors
/// [`DurationError`] when the text is none, or longer than [`MAX_DURATION`].
///
/// ```
/// use keystile::text::{DurationError, parse_duration};
/// assert_eq!(parse_duration("90d"), Ok(7_776_000));
/// assert_eq!(parse_duration("90 days"), Err(DurationError::Form));
/// ```
pub fn parse_duration(text: &str) -> Result<u64, DurationError> {
    if text == "0" {
        return Ok(0);
    }
    let unit = text.chars().last().and_then(|last| UNITS.iter().find(|(unit, _)| *unit == last));
    let (unit, seconds) = unit.ok_or(DurationError::Form)?;
    let number = text.strip_suffix(*unit).unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DurationError::Form);
    }
    let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*seconds));
    total.filter(|total| *total <= MAX_DURATION).ok_or(DurationError::TooLong)
}

/// Writes a duration in the largest unit up to days that needs no fraction, as [`parse_duration`] reads it.
///
/// ```
/// use keystile::text::format_duration;
/// assert_eq!([86_400, 90_000, 90, 0].map(format_duration), ["1d", "25h", "90s", "0"]);
/// ```
pub fn format_duration(seconds: u64) -> String {
    let whole = descending().find(|(_, size)| seconds != 0 && seconds.is_multiple_of(*size));
    whole.map_or_else(|| "0".to_owned(), |(unit, size)| format!("{}{unit}", seconds / size))
}

/// About how long, in the largest unit up to days that fits; `None`: no time.
pub(super) fn amount(seconds: u64) -> Option<String> {
    descending().find(|(_, size)| seconds >= *size).map(|(unit, size)| format!("{}{unit}", seconds / size))
}

/// What durations are written in: nobody reads weeks.
fn descending() -> impl Iterator<Item = &'static (char, u64)> {
    UNITS.iter().rev().filter(|(unit, _)| *unit != 'w')
}

/// Each unit with its seconds, shortest first.
const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];

/// A text that is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DurationError {
    /// It is not a number with a unit.
    Form,
    /// It is longer than [`MAX_DURATION`].
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DurationError::Form => "not a duration · give a number with s, m, h, d or w, such as 24h or 90d",
            DurationError::TooLong => "the duration is too long · give at most 3000000d",
        })
    }
}

impl std::error::Error for DurationError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("45s", 45),
            ("30m", 1_800),
            ("24h", 86_400),
            ("90d", 7_776_000),
            ("2w", 1_209_600),
            ("007d", 604_800),
            ("3000000d", MAX_DURATION),
        ] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for bad in
            ["", "90", "d", "-1d", "+1d", "1.5h", "1 d", " 1d", "1D", "1dd", "1h30m", "90days", "١d", "1µ", "never"]
        {
            assert_eq!(parse_duration(bad), Err(DurationError::Form), "{bad}");
        }
        for long in ["18446744073709551616s", "18446744073709551615w", "3000001d"] {
            assert_eq!(parse_duration(long), Err(DurationError::TooLong), "{long}");
        }
    }

    #[test]
    fn durations_write_as_they_read() {
        for (seconds, text) in
            [(0, "0"), (45, "45s"), (60, "1m"), (90, "90s"), (86_400, "1d"), (7_776_000, "90d"), (90_000, "25h")]
        {
            assert_eq!(format_duration(seconds), text);
            assert_eq!(parse_duration(text), Ok(seconds));
        }
    }
}
