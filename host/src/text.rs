//! Text at the edges: lines that people wrote, times as RFC 3339.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use keystile_validator::Timestamp;

/// Whether a text fits on a line of at most so many bytes: not empty, no space at its ends, no
/// control characters, and nothing that turns the direction of what follows.
pub(crate) fn is_line(text: &str, max_len: usize) -> bool {
    !text.is_empty() && text.len() <= max_len && text.trim() == text && !text.chars().any(is_treacherous)
}

/// Characters that a terminal obeys instead of showing: controls, bidirectional overrides, and the
/// invisible ones next to them.
pub(crate) fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{180e}' | '\u{e0000}'..='\u{e007f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A time as RFC 3339 writes it, in UTC: `2026-11-22T01:02:03Z`.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    // By the calendar, not by jiff's time line, which ends some hours before the year 9999 does.
    let since = SignedDuration::from_secs(i64::try_from(time.unix()).unwrap_or(i64::MAX));
    let moment = EPOCH.checked_add(since).unwrap_or(DateTime::MAX);
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time from RFC 3339; fractions of a second are cut off.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_second()).ok().and_then(|seconds| Timestamp::from_unix(seconds).ok())
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_and_write() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            let time = Timestamp::from_unix(seconds).unwrap();
            assert_eq!(rfc3339(time), text);
        }
        assert_eq!(parse_rfc3339("2023-11-14T23:13:20.9+01:00").unwrap().unix(), 1_700_000_000);
        for bad in ["", "2023-11-14", "tomorrow", "1969-12-31T23:59:59Z", "2023-13-01T00:00:00Z"] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn lines_hold_what_a_terminal_shows() {
        for good in ["a", "Ærøskøbing – 1", "日本", "a b"] {
            assert!(is_line(good, 64), "{good}");
        }
        for bad in [
            "",
            " a",
            "a ",
            "a\0b",
            "a\nb",
            "a\u{1b}[31m",
            "a\u{202e}b",
            "a\u{200b}",
            "\u{feff}a",
            "a\u{61c}",
            "\u{e0041}",
            "toolong",
        ] {
            assert!(!is_line(bad, 6), "{bad:?}");
        }
    }
}
