//! `keystile jwt check` and `keystile jws check`: judging without a store.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_validator::jwt::{
    Algorithm, Claims, Issuer, IssuerError, IssuerSettings, Issuers, JwtError, KeyProblem, KeyRules, KeySet,
    KeySetError, SmallExponent, UnverifiedJws, UnverifiedJwt, VerifiedJws, VerifiedJwt,
};
use serde::Serialize;

use super::args::{JwsCheckArgs, JwtCheckArgs};
use super::failure::{Exit, Failure, PAIR};
use super::key_files::read_keys;
use super::lines::Lines;
use super::output::{BAD, GOOD, HINT, Output};
use super::people::{NONE, joined, printable};
use super::session::Session;
use super::verify::{Presented, Source, unreadable};
use crate::bounds::MAX_CREDENTIAL_LEN;
use crate::issuers::is_hmac;
use crate::text::rfc3339;
use crate::{Clock as _, SystemClock, Timestamp};

/// Judges one token, or one after the other.
pub(super) fn check_jwt(args: JwtCheckArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let presented = Presented { what: "token", variable: "TOKEN", command: "jwt check …" };
    let source = Source::new(args.token, session.stdin_is_terminal, &presented)?;
    let settings = IssuerSettings {
        audiences: args.audience,
        token_type: args.typ,
        leeway: args.leeway,
        // A file that is at hand may hold secrets; they count for what asks for one only.
        secrets: args.alg.iter().copied().any(is_hmac),
        ..IssuerSettings::new(args.issuer, args.alg)
    };
    let issuer = Issuer::new(settings, read_keys(&args.jwks)?.as_bytes())?;
    tell_unused(issuer.problems(), session);
    let mut issuers = Issuers::default();
    issuers.put(issuer)?;
    each(source, session, |token, output, in_json| {
        let now = args.now.unwrap_or_else(|| SystemClock.now());
        let verdict = UnverifiedJwt::parse(token).and_then(|jwt| jwt.verify(&issuers, now, None));
        let exit = exit_of(&verdict);
        if in_json {
            output.json(&match &verdict {
                Ok(jwt) => TokenVerdict::Allow(Allowed::from(jwt)),
                Err(error) => TokenVerdict::Deny(Denied::from(error)),
            })?;
        } else {
            match &verdict {
                Ok(jwt) => tell_allow(jwt.claims(), output)?,
                Err(error) => tell_deny(error, output)?,
            }
        }
        Ok(exit)
    })
}

/// Checks one signature, or one after the other.
pub(super) fn check_jws(args: JwsCheckArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let presented = Presented { what: "JWS", variable: "JWS", command: "jws check …" };
    let source = Source::new(args.jws, session.stdin_is_terminal, &presented)?;
    let rules = KeyRules { secrets: true, small_exponent: SmallExponent::Refuse };
    let text = read_keys(&args.jwk)?;
    let keys = match KeySet::from_jwks(text.as_bytes(), rules) {
        Err(KeySetError::NoKeys) => KeySet::from_jwk(text.as_bytes(), rules),
        set => set,
    };
    let keys = keys?;
    tell_unused(keys.problems(), session);
    let algorithms = if args.alg.is_empty() { Algorithm::ALL } else { &args.alg };
    let with_payload = args.payload;
    each(source, session, |jws, output, in_json| {
        let verdict = UnverifiedJws::parse(jws).and_then(|jws| jws.verify(&keys, algorithms));
        let exit = exit_of(&verdict);
        if in_json {
            output.json(&match &verdict {
                Ok(jws) => SignatureVerdict::Allow(Signed::new(jws, with_payload)),
                Err(error) => SignatureVerdict::Deny(Denied::from(error)),
            })?;
        } else {
            match &verdict {
                Ok(jws) if with_payload => output.raw(jws.payload())?,
                Ok(jws) => {
                    let header = printable(jws.header());
                    output.line(format_args!("{GOOD}allow{GOOD:#}  the signature is good  {header}"))?;
                }
                Err(error) => tell_deny(error, output)?,
            }
        }
        Ok(exit)
    })
}

/// Tells of keys that do not count.
fn tell_unused(problems: &[KeyProblem], session: &mut Session<'_>) {
    for problem in problems {
        let problem = printable(&problem.to_string()).replace(PAIR, "; ");
        session.output.hint(format_args!("not used: {problem}"));
    }
}

/// Judges whatever comes, and ends as the worst of it does.
fn each(
    source: Source,
    session: &mut Session<'_>,
    mut judge: impl FnMut(&[u8], &mut Output<'_>, bool) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let output = &mut session.output;
    let in_json = output.is_json();
    match source {
        Source::Argument(token) => judge(&token, output, in_json),
        Source::WholeInput => {
            let mut lines = Lines::new(&mut *session.stdin, MAX_CREDENTIAL_LEN);
            let token = lines.rest().map_err(unreadable)?;
            judge(token.bytes, output, in_json)
        }
        Source::EachLine => {
            let mut lines = Lines::new(&mut *session.stdin, MAX_CREDENTIAL_LEN);
            let mut worst = Exit::Done;
            while let Some(line) = lines.next().map_err(unreadable)? {
                worst = worst.max(judge(line.bytes, output, true)?);
                output.flush()?;
                if output.is_closed() {
                    // Whoever read the verdicts went away: the rest is not judged.
                    return Ok(Exit::CannotSay);
                }
            }
            Ok(worst)
        }
    }
}

fn exit_of<T>(verdict: &Result<T, JwtError>) -> Exit {
    if verdict.is_ok() { Exit::Done } else { Exit::Denied }
}

fn tell_allow(claims: &Claims, output: &mut Output<'_>) -> Result<(), Failure> {
    let scopes: Vec<&str> = claims.scopes().collect();
    output.line(format_args!(
        "{GOOD}allow{GOOD:#}  sub={} org={} scopes={} expires={}",
        printable(claims.subject().unwrap_or(NONE)),
        printable(claims.organization().unwrap_or(NONE)),
        printable(&joined(&scopes)),
        rfc3339(claims.expires_at()),
    ))
}

/// The verdict as everybody sees it, and beside it what only who checks a token should.
fn tell_deny(error: &JwtError, output: &mut Output<'_>) -> Result<(), Failure> {
    let code = error.code();
    output.line(format_args!("{BAD}deny{BAD:#}   {code} ({})  {}", code.status(), code.message()))?;
    let reason = printable(&error.to_string());
    output.note(format_args!("{HINT}why:{HINT:#} {}", reason.replace(PAIR, "; ")));
    Ok(())
}

/// The verdict on a token.
#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum TokenVerdict<'a> {
    Allow(Allowed<'a>),
    Deny(Denied),
}

/// The verdict on a signature.
#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum SignatureVerdict<'a> {
    Allow(Signed<'a>),
    Deny(Denied),
}

#[derive(Serialize)]
struct Allowed<'a> {
    principal: TokenPrincipal<'a>,
}

/// Who a token is for.
#[derive(Serialize)]
struct TokenPrincipal<'a> {
    kind: &'static str,
    issuer: &'a str,
    subject: Option<&'a str>,
    organization: Option<&'a str>,
    scopes: Vec<&'a str>,
    audiences: Vec<&'a str>,
    client_id: Option<&'a str>,
    token_id: Option<&'a str>,
    session_id: Option<&'a str>,
    issued_at: Option<String>,
    not_before: Option<String>,
    expires_at: String,
}

impl<'a> From<&'a VerifiedJwt> for Allowed<'a> {
    fn from(jwt: &'a VerifiedJwt) -> Allowed<'a> {
        let claims = jwt.claims();
        let time = |at: Option<Timestamp>| at.map(rfc3339);
        let principal = TokenPrincipal {
            kind: "token",
            issuer: claims.issuer(),
            subject: claims.subject(),
            organization: claims.organization(),
            scopes: claims.scopes().collect(),
            audiences: claims.audiences().collect(),
            client_id: claims.client_id(),
            token_id: claims.token_id(),
            session_id: claims.session_id(),
            issued_at: time(claims.issued_at()),
            not_before: time(claims.not_before()),
            expires_at: rfc3339(claims.expires_at()),
        };
        Allowed { principal }
    }
}

#[derive(Serialize)]
struct Denied {
    code: &'static str,
    status: u16,
    message: &'static str,
    /// More than a caller may be told.
    reason: String,
}

impl From<&JwtError> for Denied {
    fn from(error: &JwtError) -> Denied {
        let code = error.code();
        Denied { code: code.as_str(), status: code.status(), message: code.message(), reason: error.to_string() }
    }
}

#[derive(Serialize)]
struct Signed<'a> {
    header: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64url: Option<String>,
}

impl<'a> Signed<'a> {
    fn new(jws: &'a VerifiedJws, with_payload: bool) -> Signed<'a> {
        let payload = with_payload.then(|| jws.payload());
        let text = payload.and_then(|payload| std::str::from_utf8(payload).ok());
        Signed {
            header: serde_json::from_str(jws.header()).unwrap_or_default(),
            payload: text,
            payload_base64url: payload.filter(|_| text.is_none()).map(|payload| URL_SAFE_NO_PAD.encode(payload)),
        }
    }
}

impl From<IssuerError> for Failure {
    fn from(error: IssuerError) -> Failure {
        match error {
            IssuerError::KeySet(error) => error.into(),
            other => Failure::new(Exit::Usage, "invalid_field", other),
        }
    }
}

impl From<KeySetError> for Failure {
    fn from(error: KeySetError) -> Failure {
        Failure::new(Exit::Usage, "invalid_keys", error)
    }
}
