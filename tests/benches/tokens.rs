//! Speed of tokens, as ratios: the whole check in wasmtime, from the token to the principal, stands
//! beside native `jsonwebtoken` on AWS-LC, which verifies and deserializes the same tokens in the same
//! run.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::Criterion;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use keystile::sandbox::{IssuerDocument, Sandbox, SandboxOptions};
use keystile::{Request, Timestamp, Verdict};
use keystile_validator::jwt::{Algorithm as Name, DEFAULT_CACHED_TOKENS, Issuer, IssuerSettings, TokenType};
use keystile_validator::wire::{Item, Message, decode_verdict};
use serde::{Deserialize, Serialize};
use serde_json::json;

use report::Report;

mod report;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://api.example";
/// So many different tokens that the validator does not remember one when it comes again.
const TOKENS: usize = 5 * DEFAULT_CACHED_TOKENS;

fn main() {
    let mut criterion = Criterion::default().configure_from_args().without_plots();
    let mut report = Report::default();
    let now = Timestamp::from_unix(jsonwebtoken::get_current_timestamp()).unwrap();
    let signers = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256, Algorithm::HS256].map(Signer::generate);
    for signer in &signers {
        bench_algorithm(&mut criterion, &mut report, signer, now);
    }
    report.print("ES256, jsonwebtoken");
    println!("\n{:<40} {:>10}", "ratio to jsonwebtoken", "");
    for Signer { name, .. } in &signers {
        let ratio = report.ratio(&format!("{name}, sandbox"), &format!("{name}, jsonwebtoken"));
        println!("{name:<40} {ratio:>9.2}×");
    }
    for Signer { name, .. } in &signers {
        let ratio = report.ratio(&format!("{name}, seen before"), "ES256, sandbox");
        println!("{:<40} {ratio:>9.3}×", format!("{name} seen before, to ES256 in the sandbox"));
    }
    bench_loading();
}

/// The claims of an access token (RFC 9068).
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    iat: u64,
    jti: String,
    client_id: String,
    sid: String,
    org_id: String,
    scope: String,
}

/// A key, and how it signs and verifies.
struct Signer {
    name: &'static str,
    algorithm: Algorithm,
    encoding: EncodingKey,
    decoding: DecodingKey,
    jwk: serde_json::Value,
}

impl Signer {
    fn generate(algorithm: Algorithm) -> Signer {
        let (name, encoding) = match algorithm {
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                ("ES256", EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()))
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().unwrap();
                ("EdDSA", EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()))
            }
            Algorithm::RS256 => {
                let der = RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
                let body = STANDARD.encode(der.as_ref());
                let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
                ("RS256", EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap())
            }
            _ => {
                let mut secret = [0; 32];
                aws_lc_rs::rand::fill(&mut secret).unwrap();
                ("HS256", EncodingKey::from_secret(&secret))
            }
        };
        let jwk = Jwk::from_encoding_key(&encoding, algorithm).unwrap();
        let decoding = DecodingKey::from_jwk(&jwk).unwrap();
        let mut jwk = serde_json::to_value(&jwk).unwrap();
        jwk["kid"] = name.into();
        Signer { name, algorithm, encoding, decoding, jwk }
    }

    fn tokens(&self, now: Timestamp) -> Vec<String> {
        let header = Header { typ: Some("at+jwt".into()), kid: Some(self.name.into()), ..Header::new(self.algorithm) };
        let token = |number: usize| {
            let claims = Claims {
                iss: ISSUER.into(),
                sub: "usr_0192f8e0a1b27c3d8e4f5a6b7c8d9e0f".into(),
                aud: AUDIENCE.into(),
                exp: now.unix() + 86_400,
                iat: now.unix() - 60,
                jti: format!("{number:032x}"),
                client_id: "console".into(),
                sid: "ses_0192f8e0a1b27c3d8e4f5a6b7c8d9e10".into(),
                org_id: "org_42".into(),
                scope: "invoices:read invoices:write".into(),
            };
            jsonwebtoken::encode(&header, &claims, &self.encoding).unwrap()
        };
        (0..TOKENS).map(token).collect()
    }

    /// As the host tells the validator of it.
    fn issuer(&self) -> Issuer {
        issuer(ISSUER, [self])
    }
}

fn issuer<'a>(name: &str, signers: impl IntoIterator<Item = &'a Signer>) -> Issuer {
    let (keys, names): (Vec<_>, Vec<_>) =
        signers.into_iter().map(|signer| (signer.jwk.clone(), Name::from_name(signer.name).unwrap())).unzip();
    let settings = IssuerSettings {
        audiences: vec![AUDIENCE.into()],
        token_type: Some(TokenType::AccessToken),
        secrets: true,
        ..IssuerSettings::new(name, names)
    };
    let issuer = Issuer::new(settings, json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert!(issuer.problems().is_empty(), "{:?}", issuer.problems());
    issuer
}

/// Tokens of one algorithm: by `jsonwebtoken`, in the sandbox, and in the sandbox when it has seen the
/// very token before.
fn bench_algorithm(criterion: &mut Criterion, report: &mut Report, signer: &Signer, now: Timestamp) {
    let tokens = signer.tokens(now);
    let name = signer.name;

    let mut validation = Validation::new(signer.algorithm);
    validation.leeway = 0;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let mut next = tokens.iter().cycle();
    report.time(criterion, &format!("{name}, jsonwebtoken"), || {
        let token = next.next().unwrap();
        jsonwebtoken::decode::<Claims>(token, &signer.decoding, &validation).unwrap().claims.exp
    });

    let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
    sandbox.set_issuers(vec![IssuerDocument::new(ISSUER, signer.issuer().to_json())]);
    let request = Request::at(now);
    let mut next = tokens.iter().cycle();
    report.time(criterion, &format!("{name}, sandbox"), || judge(&sandbox, next.next().unwrap(), &request));
    report.time(criterion, &format!("{name}, seen before"), || judge(&sandbox, &tokens[0], &request));
    assert_eq!(sandbox.counters().failures(), 0);
}

/// One token through the sandbox: the message, the guest, the verdict with its principal.
fn judge(sandbox: &Sandbox, token: &str, request: &Request) -> Verdict {
    let items = [Item { credential: token.as_bytes(), record: None }];
    let verdict = sandbox
        .check_tokens(
            |buffer| Message { request, formats: NO_FORMATS, items: &items }.write_to(buffer).ok(),
            |answer| decode_verdict(answer).ok().map(|(verdict, _)| verdict),
        )
        .unwrap();
    assert!(verdict.is_allow());
    verdict
}

/// An issuer with four keys, whose tables are built when the sandbox is told of it.
fn bench_loading() {
    let algorithms = [Algorithm::ES256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];
    let mut signers = algorithms.map(Signer::generate);
    for (number, signer) in signers.iter_mut().enumerate() {
        signer.jwk["kid"] = number.to_string().into();
    }
    let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
    let mut times: Vec<Duration> = (0..31)
        .map(|number| {
            // Another name each time: nothing is there already.
            let name = format!("https://{number}.example");
            let document = IssuerDocument::new(name.as_str(), issuer(&name, &signers).to_json());
            let started = Instant::now();
            sandbox.set_issuers(black_box(vec![document]));
            sandbox.prepare_issuers();
            started.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "an issuer with 4 keys is loaded: median {:.1} ms, slowest {:.1} ms",
        times[times.len() / 2].as_secs_f64() * 1e3,
        times[times.len() - 1].as_secs_f64() * 1e3
    );
    assert_eq!(sandbox.counters().failures(), 0);
}

/// Key formats in binary form: none.
const NO_FORMATS: &[u8] = &[1, 0];
