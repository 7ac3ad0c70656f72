//! Texts for people: what may be shown, how wide it is, times and durations.

use jiff::civil::{Date, DateTime};
use keystile::Timestamp;
pub(crate) use keystile::text::{format_duration, is_line, is_treacherous, parse_duration, printable, relative};
use keystile::text::{parse_rfc3339, rfc3339};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// At most so many columns of a text, cut between what people see as characters.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let wide = width(grapheme);
        if used + wide + 1 > columns {
            break;
        }
        kept.push_str(grapheme);
        used += wide;
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// A text in lines of at most so many columns, broken at spaces where there are any.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut rest = word;
        loop {
            let line = lines.last().map_or(0, |line| width(line));
            let gap = usize::from(line > 0);
            if line + gap + width(rest) <= columns {
                push(&mut lines, rest, gap);
                break;
            }
            if line > 0 {
                lines.push(String::new());
                continue;
            }
            // A word that no line holds is broken, at least one character a line.
            let mut end = 0;
            for (at, grapheme) in rest.grapheme_indices(true) {
                if end > 0 && width(&rest[..at + grapheme.len()]) > columns {
                    break;
                }
                end = at + grapheme.len();
            }
            push(&mut lines, &rest[..end], 0);
            rest = &rest[end..];
            if rest.is_empty() {
                break;
            }
            lines.push(String::new());
        }
    }
    lines
}

fn push(lines: &mut [String], word: &str, gap: usize) {
    if let Some(line) = lines.last_mut() {
        if gap > 0 {
            line.push(' ');
        }
        line.push_str(word);
    }
}

/// A time to the minute, for reading.
pub(crate) fn minute(time: Timestamp) -> String {
    let text = rfc3339(time);
    format!("{} {} UTC", &text[..10], &text[11..16])
}

/// A day (its start, in UTC) or an RFC 3339 time.
pub(crate) fn parse_date(text: &str) -> Option<Timestamp> {
    let seconds = match text.parse::<Date>() {
        Ok(day) if text.len() == 10 => {
            let since = day.to_datetime(jiff::civil::Time::midnight()).duration_since(EPOCH);
            since.as_secs()
        }
        _ => return parse_rfc3339(text),
    };
    u64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_unix(seconds).ok())
}

/// How long ago: `41d`.
pub(crate) fn age(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.seconds_since(at);
    let unit = UNITS.iter().find(|(size, _)| seconds >= *size);
    unit.map_or_else(|| "0s".to_owned(), |(size, unit)| format!("{}{unit}", seconds / size))
}

/// What is left until then, in two units: `23h 10m`.
pub(crate) fn countdown(now: Timestamp, at: Timestamp) -> String {
    let left = at.seconds_since(now);
    let mut parts = Vec::new();
    let mut rest = left;
    for (size, unit) in UNITS {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// Largest first.
const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(seconds).unwrap()
    }

    #[test]
    fn texts_are_cut_by_what_people_see() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("abc", 0, ""),
            ("👩‍👩‍👧 family", 3, "👩‍👩‍👧…"),
        ] {
            assert_eq!(cut(text, columns), expected);
            assert!(width(&cut(text, columns)) <= columns);
        }
    }

    #[test]
    fn texts_wrap_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3), [""]);
        assert_eq!(wrap("日本", 1), ["日", "本"]);
    }

    #[test]
    fn times_read_and_write() {
        assert_eq!(minute(at(1_700_000_000)), "2023-11-14 22:13 UTC");
        assert_eq!(parse_date("2023-11-14"), Some(at(1_699_920_000)));
        assert_eq!(parse_date("2023-11-14T22:13:20Z"), Some(at(1_700_000_000)));
        for bad in ["", "tomorrow", "2023-13-01", "1969-01-01", "20231114T22"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_left_is_counted_down() {
        assert_eq!(countdown(at(0), at(83_400)), "23h 10m");
        assert_eq!(countdown(at(0), at(86_401)), "1d");
        assert_eq!(countdown(at(5), at(0)), "0s");
        assert_eq!(age(at(41 * 86_400 + 5), at(0)), "41d");
        assert_eq!(age(at(0), at(9)), "0s");
    }
}
