//! Durations as people type them: `90d`, `24h`, `30m`, `45s`, `2w`, and a bare `0`.

/// Reads a duration into whole seconds.
///
/// # Errors
/// A message in two halves when the text is not a duration.
pub(super) fn parse_duration(text: &str) -> Result<u64, String> {
    let failed = || "not a duration · give a number with s, m, h, d or w, such as 24h or 90d".to_owned();
    if text == "0" {
        return Ok(0);
    }
    let unit = text.chars().last().and_then(|last| UNITS.iter().find(|(unit, _)| *unit == last));
    let (unit, seconds) = unit.ok_or_else(failed)?;
    let number = text.strip_suffix(*unit).unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(failed());
    }
    let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*seconds));
    total.filter(|total| *total <= LONGEST).ok_or_else(|| "the duration is too long · give at most 3000000d".to_owned())
}

/// Writes a duration in the largest unit that needs no fraction.
pub(super) fn format_duration(seconds: u64) -> String {
    let whole = UNITS
        .iter()
        .rev()
        .filter(|(unit, _)| *unit != 'w')
        .find(|(_, size)| seconds != 0 && seconds.is_multiple_of(*size));
    match whole {
        Some((unit, size)) => format!("{}{unit}", seconds / size),
        None => "0".to_owned(),
    }
}

/// Each unit with its seconds, shortest first.
const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];
/// Longer than any time that RFC 3339 can write.
const LONGEST: u64 = 3_000_000 * 86_400;

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
        ] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for bad in
            ["", "90", "d", "-1d", "+1d", "1.5h", "1 d", " 1d", "1D", "1dd", "1h30m", "90days", "١d", "1µ", "never"]
        {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for long in ["18446744073709551616s", "18446744073709551615w", "3000001d"] {
            assert!(parse_duration(long).is_err_and(|error| error.contains("too long")), "{long}");
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
