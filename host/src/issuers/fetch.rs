//! Fetching a key set over HTTP.
//!
//! Whom this asks: only URLs that an operator has set, never one that came in a token (`jku`, `x5u`,
//! `iss`), so nobody else can make this host send requests. An operator may name a machine of an inner
//! network: issuers stand there too. A redirect is followed within the same scheme, host and port only,
//! so whoever answers cannot turn the request elsewhere. Of the answer, nothing but signing keys and a
//! category of what went wrong leaves this module.
//!
//! How: HTTPS with the roots of this system, TLS by rustls on AWS-LC; plain HTTP to loopback addresses
//! only. No cookies, no credentials, no proxy, also none that the environment names. The content type is
//! ignored, since issuers differ in it; what counts is whether the answer is a key set. Answers are not
//! decompressed: one that is compressed unasked is no key set.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::header::{CACHE_CONTROL, ETAG, LOCATION};
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Error};

use super::error::IssuerFieldError;
use super::issuer::JwksUrl;
use super::problem::{FetchProblem, KeySetProblem};

/// Largest key set that is taken in, in bytes.
pub const MAX_JWKS_LEN: usize = keystile_validator::jwt::MAX_KEY_SET_LEN;
/// Most redirects that are followed.
pub const MAX_REDIRECTS: usize = 3;
/// How long a key set is taken for fresh when the issuer does not say, in seconds.
pub const DEFAULT_MAX_AGE: u32 = 600;
/// What an issuer can say of how long its keys are fresh, in seconds.
pub const MAX_AGE_BOUNDS: std::ops::RangeInclusive<u32> = 60..=86_400;
/// Longest entity tag that is kept, in bytes.
const MAX_ETAG_LEN: usize = 256;

/// How long a fetch may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchLimits {
    /// To find the address, connect and agree on encryption.
    pub(crate) connect: Duration,
    /// To wait for the next bytes.
    pub(crate) read: Duration,
    /// From start to end, with all redirects.
    pub(crate) whole: Duration,
}

impl FetchLimits {
    /// In the background, or when an operator asks.
    pub(crate) const PATIENT: FetchLimits =
        FetchLimits { connect: Duration::from_secs(5), read: Duration::from_secs(5), whole: Duration::from_secs(10) };
    /// While somebody waits for a verdict.
    pub(crate) const SHORT: FetchLimits =
        FetchLimits { connect: Duration::from_secs(2), read: Duration::from_secs(2), whole: Duration::from_secs(3) };
}

/// What a fetch gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// The text of the set; `None`: it is still the one with the entity tag that was named.
    pub(crate) text: Option<String>,
    /// What the issuer calls this state of it.
    pub(crate) etag: Option<String>,
    /// How long it is fresh, in seconds.
    pub(crate) max_age: u32,
}

/// Fetches key sets.
#[derive(Clone)]
pub(crate) struct Fetcher {
    roots: RootCerts,
}

impl Default for Fetcher {
    fn default() -> Fetcher {
        Fetcher { roots: RootCerts::PlatformVerifier }
    }
}

impl Fetcher {
    /// Trusts other roots than those of this system.
    #[cfg(test)]
    pub(super) fn with_roots(roots: RootCerts) -> Fetcher {
        Fetcher { roots }
    }

    /// Fetches a set; with an entity tag, only one that is newer.
    pub(crate) fn fetch(
        &self,
        url: &JwksUrl,
        etag: Option<&str>,
        limits: FetchLimits,
    ) -> Result<Fetched, FetchProblem> {
        let started = Instant::now();
        // Made anew each time, which is rarely: so changed roots of the system are taken up, and no
        // connection is kept.
        let agent = self.agent(limits);
        let mut target = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let left = limits.whole.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(FetchProblem::TimedOut);
            }
            let mut request = agent.get(target.as_str()).header("accept", ACCEPT);
            if let Some(etag) = etag {
                request = request.header("if-none-match", etag);
            }
            let response =
                request.config().timeout_global(Some(left)).build().call().map_err(|error| problem(&error))?;
            match response.status() {
                StatusCode::OK => return read(response),
                StatusCode::NOT_MODIFIED if etag.is_some() => {
                    let headers = response.headers();
                    let etag = etag_of(headers).or_else(|| etag.map(str::to_owned));
                    return Ok(Fetched { text: None, etag, max_age: max_age(headers) });
                }
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => target = redirected(&target, response.headers())?,
                status => return Err(FetchProblem::Status(status.as_u16())),
            }
        }
        Err(FetchProblem::TooManyRedirects)
    }

    fn agent(&self, limits: FetchLimits) -> Agent {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls =
            TlsConfig::builder().root_certs(self.roots.clone()).unversioned_rustls_crypto_provider(provider).build();
        Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MAX_HEADERS_LEN)
            .input_buffer_size(BUFFER_LEN)
            .output_buffer_size(BUFFER_LEN)
            .max_idle_connections(0)
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_send_request(Some(limits.read))
            .timeout_recv_response(Some(limits.read))
            .timeout_per_read(Some(limits.read))
            .timeout_per_write(Some(limits.read))
            .user_agent(USER_AGENT)
            .build()
            .new_agent()
    }
}

/// Reads the body, and no more of it than a set may have.
fn read(mut response: Response<Body>) -> Result<Fetched, FetchProblem> {
    let too_large = FetchProblem::KeySet(KeySetProblem::TooLarge);
    let announced = response.body().content_length().unwrap_or_default();
    if announced > MAX_JWKS_LEN as u64 {
        return Err(too_large);
    }
    let mut bytes = Vec::new();
    let most = (MAX_JWKS_LEN as u64).saturating_add(1);
    let reader = response.body_mut().with_config().limit(u64::MAX).reader();
    reader.take(most).read_to_end(&mut bytes).map_err(|error| io_problem(&error))?;
    if bytes.len() > MAX_JWKS_LEN {
        return Err(too_large);
    }
    let text = String::from_utf8(bytes).map_err(|_| FetchProblem::KeySet(KeySetProblem::Malformed))?;
    let headers = response.headers();
    Ok(Fetched { text: Some(text), etag: etag_of(headers), max_age: max_age(headers) })
}

/// Where a redirect leads: a URL or an absolute path of the same origin. Other relative references are
/// not understood.
fn redirected(from: &JwksUrl, headers: &HeaderMap) -> Result<JwksUrl, FetchProblem> {
    let mut locations = headers.get_all(LOCATION).iter();
    let (Some(location), None) = (locations.next(), locations.next()) else { return Err(FetchProblem::BadRedirect) };
    let location = location.to_str().map_err(|_| FetchProblem::BadRedirect)?;
    // A fragment is for browsers.
    let location = location.split('#').next().unwrap_or_default();
    let (scheme, rest) = from.as_str().split_once("://").ok_or(FetchProblem::BadRedirect)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let target = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        location.to_owned()
    };
    match target.parse::<JwksUrl>() {
        Ok(target) if target.origin() == from.origin() => Ok(target),
        Ok(_) => Err(FetchProblem::RedirectElsewhere),
        // URLs, but none to follow.
        Err(IssuerFieldError::UrlInsecure | IssuerFieldError::UrlCredentials) => Err(FetchProblem::RedirectElsewhere),
        Err(_) => Err(FetchProblem::BadRedirect),
    }
}

/// How long an answer is fresh: `max-age`, within bounds. What must not be stored at all is fetched
/// again as soon as the bounds allow.
fn max_age(headers: &HeaderMap) -> u32 {
    let mut age: Option<u32> = None;
    for header in headers.get_all(CACHE_CONTROL) {
        for directive in header.to_str().unwrap_or_default().split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let named = |known: &str| name.trim().eq_ignore_ascii_case(known);
            let seconds = if named("max-age") {
                let digits = value.trim().trim_matches('"');
                let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                // What is too large for a number is long, and what is none is nothing.
                is_number.then(|| digits.parse().unwrap_or(u32::MAX))
            } else {
                (named("no-cache") || named("no-store")).then_some(0)
            };
            // Of several, the most careful one.
            age = [age, seconds].into_iter().flatten().min();
        }
    }
    age.unwrap_or(DEFAULT_MAX_AGE).clamp(*MAX_AGE_BOUNDS.start(), *MAX_AGE_BOUNDS.end())
}

/// The entity tag, when it is one that can be sent back.
fn etag_of(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (!etag.is_empty() && etag.len() <= MAX_ETAG_LEN).then(|| etag.to_owned())
}

/// The category of a failure. Its text could hold parts of the URL.
fn problem(error: &Error) -> FetchProblem {
    match error {
        Error::Timeout(_) => FetchProblem::TimedOut,
        Error::Tls(_) | Error::Rustls(_) | Error::TlsRequired | Error::Pem(_) => FetchProblem::Tls,
        Error::Io(error) => io_problem(error),
        Error::HostNotFound | Error::ConnectionFailed => FetchProblem::Unreachable,
        _ => FetchProblem::BadAnswer,
    }
}

fn io_problem(error: &io::Error) -> FetchProblem {
    let inner = error.get_ref();
    if let Some(inner) = inner.and_then(|inner| inner.downcast_ref::<Error>()) {
        return problem(inner);
    }
    if inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
        return FetchProblem::Tls;
    }
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => FetchProblem::TimedOut,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            FetchProblem::BadAnswer
        }
        _ => FetchProblem::Unreachable,
    }
}

const ACCEPT: &str = "application/jwk-set+json, application/json";
const USER_AGENT: &str = concat!("keystile/", env!("CARGO_PKG_VERSION"));
/// Longest headers of an answer, in bytes.
const MAX_HEADERS_LEN: usize = 16 * 1024;
const BUFFER_LEN: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use ureq::tls::Certificate;

    use super::super::test_server::{Answer, Server, TLS_CERTIFICATE};
    use super::*;

    /// Shorter than any test waits, longer than a busy machine takes.
    const LIMITS: FetchLimits =
        FetchLimits { connect: Duration::from_secs(5), read: Duration::from_secs(5), whole: Duration::from_secs(20) };
    const IMPATIENT: FetchLimits = FetchLimits {
        connect: Duration::from_millis(400),
        read: Duration::from_millis(400),
        whole: Duration::from_millis(800),
    };

    fn fetch(server: &Server) -> Result<Fetched, FetchProblem> {
        Fetcher::default().fetch(&server.url("/keys"), None, LIMITS)
    }

    fn set_problem(problem: KeySetProblem) -> Result<Fetched, FetchProblem> {
        Err(FetchProblem::KeySet(problem))
    }

    #[test]
    fn a_set_is_fetched_as_it_is() {
        let server = Server::new(|_| {
            Answer::ok("{\"keys\": []}").header("Cache-Control", "public, max-age=900").header("ETag", "\"7\"")
        });
        let fetched = fetch(&server).unwrap();
        assert_eq!(fetched, Fetched { text: Some("{\"keys\": []}".into()), etag: Some("\"7\"".into()), max_age: 900 });
        let [request] = &server.requests()[..] else { panic!("{:?}", server.requests()) };
        assert!(request.starts_with("GET /keys HTTP/1.1\r\n"), "{request}");
        let lower = request.to_ascii_lowercase();
        assert!(
            lower.contains("accept: application/jwk-set+json") && lower.contains("user-agent: keystile/"),
            "{lower}"
        );
        for unwanted in ["cookie", "authorization", "accept-encoding: gzip", "if-none-match", "proxy"] {
            assert!(!lower.contains(unwanted), "{lower}");
        }
    }

    #[test]
    fn a_known_state_is_not_sent_again() {
        let server = Server::new(|_| Answer::status(304).header("Cache-Control", "max-age=120"));
        let known = Fetcher::default().fetch(&server.url("/keys"), Some("\"7\""), LIMITS).unwrap();
        assert_eq!(known, Fetched { text: None, etag: Some("\"7\"".into()), max_age: 120 });
        assert!(server.requests()[0].to_ascii_lowercase().contains("if-none-match: \"7\""));
        // Unasked, it is no answer.
        assert_eq!(fetch(&server), Err(FetchProblem::Status(304)));
    }

    #[test]
    fn ages_are_read_and_bounded() {
        for (values, expected) in [
            (&[][..], 600),
            (&["public"], 600),
            (&["max-age=900"], 900),
            (&["Max-Age = 900"], 900),
            (&["max-age=\"900\""], 900),
            (&["s-maxage=5, max-age=900"], 900),
            (&["max-age=0"], 60),
            (&["max-age=59"], 60),
            (&["max-age=86401"], 86_400),
            (&["max-age=99999999999999999999"], 86_400),
            (&["max-age=-1"], 600),
            (&["max-age=+900"], 600),
            (&["max-age="], 600),
            (&["max-age=soon, max-age=900"], 900),
            (&["no-store"], 60),
            (&["max-age=900, no-cache"], 60),
            (&["max-age=900", "max-age=300"], 300),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CACHE_CONTROL, value.parse().unwrap());
            }
            assert_eq!(max_age(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn a_tag_that_is_too_long_is_not_kept() {
        for (len, kept) in [(0, false), (1, true), (MAX_ETAG_LEN, true), (MAX_ETAG_LEN + 1, false)] {
            let headers = HeaderMap::from_iter([(ETAG, "x".repeat(len).parse().unwrap())]);
            assert_eq!(etag_of(&headers).is_some(), kept, "{len}");
        }
        let headers = HeaderMap::from_iter([(ETAG, ureq::http::HeaderValue::from_bytes(b"\xff").unwrap())]);
        assert_eq!(etag_of(&headers), None);
    }

    #[test]
    fn ten_mebibytes_are_refused_without_being_read() {
        // Announced: not one byte of it is read.
        let announced = Server::new(|_| Answer::ok("").header("Content-Length", "10485760").hang());
        assert_eq!(fetch(&announced), set_problem(KeySetProblem::TooLarge));
        // Not announced: the server notices that nobody reads on, long before the end.
        let endless = Server::new(|_| Answer::ok("").chunks(vec![b' '; 64 * 1024], 160));
        assert_eq!(fetch(&endless), set_problem(KeySetProblem::TooLarge));
        assert!(endless.sent() < 10 * 1024 * 1024, "{} bytes", endless.sent());
    }

    #[test]
    fn a_set_of_the_largest_size_is_taken() {
        for (len, fits) in [(MAX_JWKS_LEN, true), (MAX_JWKS_LEN + 1, false)] {
            let server = Server::new(move |_| Answer::ok(" ".repeat(len)));
            match fetch(&server) {
                Ok(fetched) => assert!(fits && fetched.text.unwrap().len() == len),
                other => assert!(!fits && other == set_problem(KeySetProblem::TooLarge)),
            }
        }
    }

    #[test]
    fn redirects_of_the_same_origin_are_followed_three_times() {
        let server = Server::new(|path| match path {
            "/keys" => Answer::redirect(302, "/1"),
            "/1" => Answer::redirect(301, "/2?a=b#c"),
            "/2?a=b" => Answer::redirect(308, "/3"),
            "/3" => Answer::ok("found"),
            _ => Answer::status(404),
        });
        assert_eq!(fetch(&server).unwrap().text.as_deref(), Some("found"));
        assert_eq!(server.requests().len(), 4);
        let server = Server::new(|path| match path {
            "/keys" => Answer::redirect(303, "/1"),
            "/1" => Answer::redirect(307, "/2"),
            "/2" => Answer::redirect(302, "/3"),
            "/3" => Answer::redirect(302, "/4"),
            _ => Answer::ok("too far"),
        });
        assert_eq!(fetch(&server), Err(FetchProblem::TooManyRedirects));
        assert_eq!(server.requests().len(), 4);
    }

    #[test]
    fn a_cycle_of_redirects_ends() {
        let server = Server::new(|path| Answer::redirect(302, if path == "/keys" { "/other" } else { "/keys" }));
        assert_eq!(fetch(&server), Err(FetchProblem::TooManyRedirects));
        assert_eq!(server.requests().len(), 1 + MAX_REDIRECTS);
    }

    #[test]
    fn redirects_elsewhere_are_not_followed() {
        let other = Server::new(|_| Answer::ok("{\"keys\": []}"));
        let (url, port) = (other.url("/keys"), other.port());
        let targets = [
            url.as_str().to_owned(),
            format!("//127.0.0.1:{port}/keys"),
            format!("http://[::1]:{port}/keys"),
            "https://127.0.0.1/keys".to_owned(),
            "https://evil.example/keys".to_owned(),
            "http://evil.example/keys".to_owned(),
            format!("http://user:word@127.0.0.1:{port}/keys"),
        ];
        for target in targets {
            let location = target.clone();
            let server = Server::new(move |_| Answer::redirect(302, &location));
            assert_eq!(fetch(&server), Err(FetchProblem::RedirectElsewhere), "{target}");
            assert_eq!(server.requests().len(), 1);
        }
        for location in ["", "keys", "?a", "#a", "ftp://127.0.0.1/", "javascript:alert(1)", "/a b", "/\u{e9}"] {
            let server = Server::new(move |_| Answer::redirect(302, location));
            assert_eq!(fetch(&server), Err(FetchProblem::BadRedirect), "{location}");
        }
        let server = Server::new(|_| Answer::status(302));
        assert_eq!(fetch(&server), Err(FetchProblem::BadRedirect));
        assert_eq!(other.requests().len(), 0, "nobody asked it");
    }

    #[test]
    fn whoever_never_answers_is_not_waited_for() {
        let silent = Server::new(|_| Answer::nothing().hang());
        let started = Instant::now();
        assert_eq!(Fetcher::default().fetch(&silent.url("/keys"), None, IMPATIENT), Err(FetchProblem::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(4));
    }

    /// Each byte comes within the time for one read, but the whole never ends.
    #[test]
    fn a_slow_drip_ends_with_the_whole_time() {
        for answer in [Answer::drip_head as fn() -> Answer, Answer::drip_body] {
            let server = Server::new(move |_| answer());
            let started = Instant::now();
            assert_eq!(Fetcher::default().fetch(&server.url("/keys"), None, IMPATIENT), Err(FetchProblem::TimedOut));
            assert!(started.elapsed() < Duration::from_secs(4));
        }
    }

    /// Redirects share the time of the whole.
    #[test]
    fn slow_redirects_end_with_the_whole_time() {
        let server = Server::new(|_| Answer::redirect(302, "/keys").after(Duration::from_millis(300)));
        let limits = FetchLimits { whole: Duration::from_millis(500), ..LIMITS };
        assert_eq!(Fetcher::default().fetch(&server.url("/keys"), None, limits), Err(FetchProblem::TimedOut));
        assert!(server.requests().len() <= 2);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for status in [201, 204, 206, 400, 401, 403, 404, 429, 500, 502, 503] {
            let server = Server::new(move |_| Answer::status(status));
            assert_eq!(fetch(&server), Err(FetchProblem::Status(status)));
        }
        let garbage = Server::new(|_| Answer::raw(b"garbage\r\n\r\n"));
        assert_eq!(fetch(&garbage), Err(FetchProblem::BadAnswer));
        let cut = Server::new(|_| Answer::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"));
        assert_eq!(fetch(&cut), Err(FetchProblem::BadAnswer));
        let binary = Server::new(|_| Answer::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe"));
        assert_eq!(fetch(&binary), set_problem(KeySetProblem::Malformed));
        let heads = Server::new(|_| Answer::ok("").header("X", &"x".repeat(MAX_HEADERS_LEN)));
        assert_eq!(fetch(&heads), Err(FetchProblem::BadAnswer));
        let gone = Server::new(|_| Answer::ok("")).url("/keys");
        assert_eq!(Fetcher::default().fetch(&gone, None, LIMITS), Err(FetchProblem::Unreachable));
        let nowhere = "https://keys.invalid/".parse().unwrap();
        assert_eq!(Fetcher::default().fetch(&nowhere, None, LIMITS), Err(FetchProblem::Unreachable));
    }

    #[test]
    fn a_self_signed_certificate_is_refused() {
        let server = Server::with_tls(|_| Answer::ok("{\"keys\": []}"));
        assert_eq!(fetch(&server), Err(FetchProblem::Tls));
        assert_eq!(server.requests().len(), 0, "the request was never sent");
        // It is the trust that is missing: with the certificate as a root, the same server is asked.
        let certificate = Certificate::from_pem(TLS_CERTIFICATE.as_bytes()).unwrap();
        let trusting = Fetcher::with_roots(RootCerts::from([certificate.clone()]));
        let fetched = trusting.fetch(&server.url("/keys"), None, LIMITS).unwrap();
        assert_eq!(fetched.text.as_deref(), Some("{\"keys\": []}"));
        // And it is trusted for its own name only.
        let renamed: JwksUrl = server.url("/keys").as_str().replace("127.0.0.1", "localhost").parse().unwrap();
        assert_eq!(trusting.fetch(&renamed, None, LIMITS), Err(FetchProblem::Tls));
        // What speaks no TLS at all is not asked in the clear.
        let plain = Server::new(|_| Answer::ok("{\"keys\": []}"));
        let url: JwksUrl = format!("https://127.0.0.1:{}/keys", plain.port()).parse().unwrap();
        assert!(trusting.fetch(&url, None, IMPATIENT).is_err() && plain.requests().is_empty());
    }
}
