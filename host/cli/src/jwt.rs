//! `keystile jwt check` and `keystile jws check`: judging without a store.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_validator::jwt::{
    Algorithm, ClaimMapping, Issuer, IssuerError, IssuerSettings, Issuers, JwtError, KeyProblem, KeySetError,
    UnverifiedJws, UnverifiedJwt,
};
use serde::Serialize;

use super::args::{JwsCheckArgs, JwtCheckArgs};
use super::context::Context;
use super::failure::{Exit, Failure, PAIR};
use super::issuers::without_claims;
use super::json::VerdictJson;
use super::key_files::read_keys;
use super::output::{GOOD, HINT, Output};
use super::verify::{Presented, Source, exit_of, tell};
use keystile::sandbox::{IssuerDocument, Sandbox, SandboxOptions};
use keystile::text::printable;
use keystile::{Clock as _, Code, Request, SystemClock, Timestamp, Verdict};

/// Judges one token, or one after the other.
pub(super) fn check_jwt(args: JwtCheckArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let presented = Presented { what: "token", variable: "TOKEN", command: "jwt check …" };
    let source = Source::new(args.token, context.stdin_is_terminal, &presented)?;
    let settings = IssuerSettings {
        audiences: args.audience,
        any_audience: args.any_audience,
        forbidden_claims: without_claims(&args.allow_claim),
        token_type: args.typ,
        leeway: args.leeway,
        claims: ClaimMapping { environment: args.env_claim, ..ClaimMapping::default() },
        any_environment: args.any_env,
        // A file that is at hand may hold secrets; they count for what asks for one only.
        secrets: args.alg.iter().copied().any(Algorithm::is_hmac),
        ..IssuerSettings::new(args.issuer, args.alg)
    };
    let judge = Judge::new(Issuer::new(settings, read_keys(&args.jwks)?.as_bytes())?, context)?;
    source.each(context, |token, output, in_json| {
        let now = args.now.unwrap_or_else(|| SystemClock.now());
        let request = Request { environment: args.env.clone(), ..Request::at(now) };
        let verdict = judge.token(token, &request);
        let reason = verdict.code().and_then(|code| judge.reason_of_token(code, token, now));
        if in_json {
            output.json(&WithReason { verdict: VerdictJson::from(&verdict), reason })?;
        } else {
            tell(&verdict, output)?;
            tell_reason(reason.as_deref(), output);
        }
        Ok(exit_of(&verdict))
    })
}

/// Checks one signature, or one after the other.
pub(super) fn check_jws(args: JwsCheckArgs, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let presented = Presented { what: "JWS", variable: "JWS", command: "jws check …" };
    let source = Source::new(args.jws, context.stdin_is_terminal, &presented)?;
    let algorithms = if args.alg.is_empty() { Algorithm::ALL.to_vec() } else { args.alg };
    let settings = IssuerSettings { secrets: true, ..IssuerSettings::new(THE_KEY, algorithms) };
    let text = read_keys(&args.jwk)?;
    let issuer = match Issuer::new(settings.clone(), text.as_bytes()) {
        Err(IssuerError::KeySet(KeySetError::NoKeys)) => Issuer::with_key(settings, text.as_bytes()),
        issuer => issuer,
    };
    let judge = Judge::new(issuer?, context)?;
    let with_payload = args.payload;
    source.each(context, |jws, output, in_json| {
        let verdict = judge.signature(jws);
        // What was signed is read here, when it is known to be signed.
        let signed = UnverifiedJws::parse(jws).ok().filter(|_| verdict.is_ok());
        let exit = match (verdict, signed) {
            (Ok(()), Some(signed)) => {
                if in_json {
                    output.json(&SignatureVerdict::Allow(Signed::new(&signed, with_payload)))?;
                } else if with_payload {
                    output.raw(signed.dangerous_payload())?;
                } else {
                    let header = printable(signed.dangerous_header());
                    output.line(format_args!("{GOOD}allow{GOOD:#}  the signature is good  {header}"))?;
                }
                Exit::Done
            }
            (verdict, _) => {
                let verdict = Verdict::deny(verdict.err().unwrap_or(Code::Unavailable));
                let reason = verdict.code().and_then(|code| judge.reason_of_signature(code, jws));
                if in_json {
                    output.json(&WithReason { verdict: VerdictJson::from(&verdict), reason })?;
                } else {
                    tell(&verdict, output)?;
                    tell_reason(reason.as_deref(), output);
                }
                exit_of(&verdict)
            }
        };
        Ok(exit)
    })
}

/// The name of the issuer that holds the key of a check of signatures.
const THE_KEY: &str = "jws";

/// The validator in its sandbox, which gives the verdicts; and the same issuer outside of it, for
/// reasons.
struct Judge {
    sandbox: Sandbox,
    /// Without tables: a reason need not come fast.
    issuers: Issuers,
    name: String,
}

impl Judge {
    fn new(issuer: Issuer, context: &mut Context<'_>) -> Result<Judge, Failure> {
        tell_unused(issuer.problems(), context);
        let sandbox = Sandbox::new(SandboxOptions::default())?;
        let name = issuer.name().to_owned();
        sandbox.set_issuers(vec![IssuerDocument::new(name.as_str(), issuer.to_json())]);
        let mut issuers = Issuers::with_table_limit(0);
        issuers.put(issuer)?;
        Ok(Judge { sandbox, issuers, name })
    }

    fn token(&self, token: &[u8], request: &Request) -> Verdict {
        self.sandbox.judge_jwt(token, request)
    }

    fn signature(&self, jws: &[u8]) -> Result<(), Code> {
        self.sandbox.check_jws(&self.name, jws).unwrap_or(Err(Code::Unavailable))
    }

    /// Which rule the token breaks. `None`: it is denied for something else.
    fn reason_of_token(&self, code: Code, token: &[u8], now: Timestamp) -> Option<String> {
        let verified = UnverifiedJwt::parse(token).and_then(|jwt| jwt.verify(&self.issuers, now, None));
        reason(code, verified.err())
    }

    fn reason_of_signature(&self, code: Code, jws: &[u8]) -> Option<String> {
        let issuer = self.issuers.get(&self.name)?;
        let algorithms = &issuer.settings().algorithms;
        let verified = UnverifiedJws::parse(jws).and_then(|jws| jws.verify(issuer.keys(), algorithms));
        reason(code, verified.err())
    }
}

fn reason(code: Code, error: Option<JwtError>) -> Option<String> {
    error.filter(|error| error.code() == code).map(|error| error.to_string())
}

/// Tells of keys that do not count.
fn tell_unused(problems: &[KeyProblem], context: &mut Context<'_>) {
    for problem in problems {
        let problem = printable(&problem.to_string()).replace(PAIR, "; ");
        context.output.hint(format_args!("not used: {problem}"));
    }
}

/// What only who checks a token should see.
fn tell_reason(reason: Option<&str>, output: &mut Output<'_>) {
    if let Some(reason) = reason {
        output.note(format_args!("{HINT}why:{HINT:#} {}", printable(reason).replace(PAIR, "; ")));
    }
}

/// A verdict, and more than a caller may be told.
#[derive(Serialize)]
struct WithReason<'a> {
    #[serde(flatten)]
    verdict: VerdictJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The verdict on a good signature.
#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum SignatureVerdict<'a> {
    Allow(Signed<'a>),
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
    fn new(jws: &'a UnverifiedJws<'_>, with_payload: bool) -> Signed<'a> {
        let payload = with_payload.then(|| jws.dangerous_payload());
        let text = payload.and_then(|payload| std::str::from_utf8(payload).ok());
        Signed {
            header: serde_json::from_str(jws.dangerous_header()).unwrap_or_default(),
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
