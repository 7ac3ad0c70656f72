//! Values of options that the library has no text form for.

use std::net::IpAddr;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use keystile_validator::jwt::FORBIDDEN_CLAIMS;

use keystile::text::{DurationError, parse_duration, parse_rfc3339};
use keystile::{
    Algorithm, AuditHash, Checkpoint, Checksum, Digest, Rate, ScopeClaim, Separator, Timestamp, TokenType, UnknownName,
};

/// A point in time as people give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// `never`, or `none`.
    Never,
    /// So many seconds from now.
    In(u64),
    /// This time.
    At(Timestamp),
}

impl When {
    /// The time it means.
    pub(super) fn from(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            When::Never => None,
            When::In(seconds) => Some(now.saturating_add(seconds)),
            When::At(at) => Some(at),
        }
    }
}

/// Reads `90d`, an RFC 3339 time, `never` or `none`.
pub(super) fn parse_when(text: &str) -> Result<When, String> {
    if text == "never" || text == "none" {
        return Ok(When::Never);
    }
    match parse_duration(text) {
        Ok(seconds) => Ok(When::In(seconds)),
        Err(error @ DurationError::TooLong) => Err(error.to_string()),
        Err(_) => parse_rfc3339(text).map(When::At).ok_or_else(|| {
            "not a time · give a duration such as 90d, an RFC 3339 time such as 2030-01-31T00:00:00Z, or never"
                .to_owned()
        }),
    }
}

/// Reads an RFC 3339 time.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    parse_rfc3339(text).ok_or_else(|| "not an RFC 3339 time · give one such as 2030-01-31T00:00:00Z".to_owned())
}

/// Reads an IP address.
pub(super) fn parse_address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "not an address · give an IPv4 or IPv6 address, such as 192.0.2.7 or 2001:db8::1".to_owned())
}

/// Reads a duration, or `none`.
pub(super) fn parse_max_lifetime(text: &str) -> Result<MaxLifetime, String> {
    if text == "none" {
        return Ok(MaxLifetime(None));
    }
    parse_duration(text).map(|seconds| MaxLifetime(Some(seconds))).map_err(|error| error.to_string())
}

/// The longest lifetime of keys in seconds; `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MaxLifetime(pub(super) Option<u64>);

/// Reads `600/60s` or `600/1m`.
pub(super) fn parse_rate(text: &str) -> Result<Rate, String> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let seconds = |text: &str| parse_duration(text).ok().and_then(|seconds| u32::try_from(seconds).ok());
    let parts = text.split_once('/').and_then(|(limit, window)| digits(limit).zip(seconds(window)));
    // What is no rate at all gets the library's message for one that is out of bounds.
    let (limit, window) = parts.unwrap_or_default();
    Rate::new(limit, window).map_err(|error| error.to_string())
}

/// Reads `name=value`.
pub(super) fn parse_metadata(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("not a metadata entry · give name=value".to_owned()),
    }
}

/// Reads `_` or `.`.
pub(super) fn parse_separator(text: &str) -> Result<Separator, String> {
    let one = <[u8; 1]>::try_from(text.as_bytes()).ok();
    one.and_then(|[byte]| Separator::from_byte(byte)).ok_or_else(|| "not a separator · give `_` or `.`".to_owned())
}

/// Reads `crc32` or `none`.
pub(super) fn parse_checksum(text: &str) -> Result<Checksum, String> {
    match text {
        "crc32" => Ok(Checksum::Crc32),
        "none" => Ok(Checksum::None),
        _ => Err("not a checksum · give crc32 or none".to_owned()),
    }
}

/// Reads `SEQUENCE:HASH`, as `audit verify` prints it.
pub(super) fn parse_checkpoint(text: &str) -> Result<Checkpoint, String> {
    let failed = || "not a checkpoint · give SEQUENCE:HASH as `keystile audit verify` printed it".to_owned();
    let (sequence, hash) = text.split_once(':').ok_or_else(failed)?;
    let sequence = sequence.parse().map_err(|_| failed())?;
    let hash = Digest::from_hex(hash).map_err(|_| failed())?;
    Ok(Checkpoint { sequence, hash: AuditHash(*hash.as_bytes()) })
}

/// Reads a time as seconds since 1970.
pub(super) fn parse_unix(text: &str) -> Result<Timestamp, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let time = digits.then(|| text.parse().ok()).flatten().and_then(|seconds| Timestamp::from_unix(seconds).ok());
    time.ok_or_else(|| "not a time · give seconds since 1970, such as 1700000000".to_owned())
}

/// Reads the name of a signature algorithm.
pub(super) fn parse_algorithm() -> impl TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(Algorithm::ALL.iter().map(|algorithm| algorithm.as_str())).try_map(|name| name.parse())
}

/// Reads the name of a signature algorithm that needs no shared secret.
pub(super) fn parse_public_algorithm() -> impl TypedValueParser<Value = Algorithm> {
    let public = Algorithm::ALL.iter().filter(|algorithm| !algorithm.is_hmac());
    PossibleValuesParser::new(public.map(|algorithm| algorithm.as_str())).try_map(|name| name.parse())
}

/// Reads the name of a type of token.
pub(super) fn parse_token_type() -> impl TypedValueParser<Value = TokenType> {
    let types = [TokenType::AccessToken, TokenType::Jwt].map(TokenType::as_str);
    PossibleValuesParser::new(types).try_map(|name| TokenType::from_name(&name).ok_or(NoSuchName))
}

/// Reads the name of a claim with scopes.
pub(super) fn parse_scope_claim() -> impl TypedValueParser<Value = ScopeClaim> {
    let claims = ScopeClaim::ALL.iter().map(|claim| claim.as_str());
    PossibleValuesParser::new(claims).try_map(|name| ScopeClaim::from_name(&name).ok_or(NoSuchName))
}

/// A claim that is forbidden unless it is allowed.
pub(super) fn parse_forbidden_claim() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(FORBIDDEN_CLAIMS)
}

/// A name that is not on the list, which the parser has looked through before.
#[derive(Debug)]
struct NoSuchName;

impl std::fmt::Display for NoSuchName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unknown name · see the help for those there are")
    }
}

impl std::error::Error for NoSuchName {}

/// Reads a name out of a fixed list, and lets the help name them all.
pub(super) fn named<T>(names: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = UnknownName> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read() {
        assert_eq!(parse_when("90d"), Ok(When::In(7_776_000)));
        assert_eq!(parse_when("never"), Ok(When::Never));
        assert_eq!(parse_when("none"), Ok(When::Never));
        let at = Timestamp::from_unix(1_700_000_000).unwrap();
        assert_eq!(parse_when("2023-11-14T22:13:20Z"), Ok(When::At(at)));
        assert_eq!(parse_when("2023-11-14T23:13:20+01:00"), Ok(When::At(at)));
        for bad in ["", "soon", "90", "2023-11-14", "99999999999w"] {
            assert!(parse_when(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_read() {
        for text in ["600/60s", "600/1m"] {
            assert_eq!(parse_rate(text).unwrap().to_string(), "600/60s");
        }
        for bad in ["", "600", "0/60s", "600/0", "+6/60s", "600/32d", "-1/1s", "600/60", "/60s", "4294967296/1s"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn entries_and_checkpoints_read() {
        assert_eq!(parse_metadata("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_metadata("a="), Ok(("a".into(), String::new())));
        assert!(parse_metadata("=b").is_err() && parse_metadata("a").is_err());
        let text = format!("7:{}", "ab".repeat(32));
        let checkpoint = parse_checkpoint(&text).unwrap();
        assert_eq!(format!("{}:{}", checkpoint.sequence, checkpoint.hash), text);
        assert!(parse_checkpoint("7").is_err() && parse_checkpoint("7:ab").is_err() && parse_checkpoint(":").is_err());
    }
}
