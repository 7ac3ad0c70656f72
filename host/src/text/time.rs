//! Times: as RFC 3339, and as people say them.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use keystile_validator::Timestamp;

use super::duration::amount;

/// A time as RFC 3339 writes it, in UTC, to the second.
///
/// ```
/// use keystile::{Timestamp, text::rfc3339};
/// assert_eq!(rfc3339(Timestamp::from_unix(1_700_000_000)?), "2023-11-14T22:13:20Z");
/// # Ok::<(), keystile::TimestampError>(())
/// ```
pub fn rfc3339(time: Timestamp) -> String {
    // By the calendar, not by jiff's time line, which ends some hours before the year 9999 does.
    let since = SignedDuration::from_secs(i64::try_from(time.unix()).unwrap_or(i64::MAX));
    let moment = EPOCH.checked_add(since).unwrap_or(DateTime::MAX);
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time from RFC 3339; fractions of a second are cut off. `None`: it is none, or lies before 1970.
///
/// ```
/// use keystile::text::parse_rfc3339;
/// assert_eq!(parse_rfc3339("2023-11-14T23:13:20.9+01:00").map(|time| time.unix()), Some(1_700_000_000));
/// assert_eq!(parse_rfc3339("tomorrow"), None);
/// ```
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_second()).ok().and_then(|seconds| Timestamp::from_unix(seconds).ok())
}

/// How long ago, or in how long, in the largest unit that fits: `2m ago`, `in 6d`, `now`.
///
/// ```
/// use keystile::{Timestamp, text::relative};
/// let (now, later) = (Timestamp::from_unix(1_000)?, Timestamp::from_unix(1_090)?);
/// assert_eq!((relative(now, later).as_str(), relative(later, now).as_str()), ("in 1m", "1m ago"));
/// assert_eq!(relative(now, now), "now");
/// # Ok::<(), keystile::TimestampError>(())
/// ```
pub fn relative(now: Timestamp, at: Timestamp) -> String {
    let (ahead, behind) = (at.seconds_since(now), now.seconds_since(at));
    let seconds = match ahead.max(behind) {
        // What was to last 90 days says so a second later too.
        long if long >= 3_600 => long.saturating_add(30) / 60 * 60,
        short => short,
    };
    match amount(seconds) {
        None => "now".to_owned(),
        Some(amount) if ahead > 0 => format!("in {amount}"),
        Some(amount) => format!("{amount} ago"),
    }
}

/// A time for reading closely: absolute and relative.
///
/// ```
/// use keystile::{Timestamp, text::exact};
/// let (now, at) = (Timestamp::from_unix(1_700_000_090)?, Timestamp::from_unix(1_700_000_000)?);
/// assert_eq!(exact(now, at), "2023-11-14T22:13:20Z (1m ago)");
/// # Ok::<(), keystile::TimestampError>(())
/// ```
pub fn exact(now: Timestamp, at: Timestamp) -> String {
    format!("{} ({})", rfc3339(at), relative(now, at))
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
    fn times_are_relative() {
        let now = Timestamp::from_unix(1_700_000_000).unwrap();
        let at = |offset: i64| Timestamp::from_unix(1_700_000_000_u64.saturating_add_signed(offset)).unwrap();
        for (offset, text) in [
            (0, "now"),
            (1, "in 1s"),
            (-59, "59s ago"),
            (-149, "2m ago"),
            (86_399, "in 1d"),
            (3_600, "in 1h"),
            (6 * 86_400 + 86_300, "in 6d"),
            (90 * 86_400 - 5, "in 90d"),
            (-400 * 86_400, "400d ago"),
        ] {
            assert_eq!(relative(now, at(offset)), text);
        }
    }
}
