//! Points in time: whole seconds since the Unix epoch, UTC.

use core::fmt;

/// The last second of the year 9999: the latest time that RFC 3339 can write.
pub const MAX_TIMESTAMP: u64 = 253_402_300_799;

/// A point in time: whole seconds since the Unix epoch, UTC, from 1970 to the end of 9999.
///
/// ```
/// use keystile_validator::Timestamp;
/// let t = Timestamp::from_unix(1_700_000_000)?;
/// assert_eq!(t.saturating_add(60).unix(), 1_700_000_060);
/// assert!(Timestamp::from_unix(u64::MAX).is_err());
/// # Ok::<(), keystile_validator::TimestampError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest time there is: 9999-12-31T23:59:59Z.
    pub const MAX: Timestamp = Timestamp(MAX_TIMESTAMP);

    /// A time from seconds since the Unix epoch.
    ///
    /// # Errors
    /// [`TimestampError`] when it is after the year 9999.
    pub const fn from_unix(seconds: u64) -> Result<Timestamp, TimestampError> {
        if seconds <= MAX_TIMESTAMP { Ok(Timestamp(seconds)) } else { Err(TimestampError { seconds }) }
    }

    /// Seconds since the Unix epoch.
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// This time and so many seconds, at most [`Timestamp::MAX`].
    pub const fn saturating_add(self, seconds: u64) -> Timestamp {
        let sum = self.0.saturating_add(seconds);
        if sum > MAX_TIMESTAMP { Timestamp::MAX } else { Timestamp(sum) }
    }

    /// This time less so many seconds, at least the Unix epoch.
    ///
    /// ```
    /// use keystile_validator::Timestamp;
    /// let time = Timestamp::from_unix(90)?;
    /// assert_eq!(time.saturating_sub(60).unix(), 30);
    /// assert_eq!(time.saturating_sub(91).unix(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn saturating_sub(self, seconds: u64) -> Timestamp {
        Timestamp(self.0.saturating_sub(seconds))
    }

    /// Seconds from `earlier` to this time; 0 when `earlier` is later.
    pub const fn seconds_since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A time after the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimestampError {
    /// The seconds since the Unix epoch that were given.
    pub seconds: u64,
}

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seconds since the Unix epoch is after the year 9999 · give a time up to {MAX_TIMESTAMP}",
            self.seconds
        )
    }
}

impl core::error::Error for TimestampError {}
