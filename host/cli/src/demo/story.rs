//! What is told: for each system the life of one key, then an imported key, a user who logs in, a token
//! of somebody else, and the audit trail.

use keystile_validator::jwt::FORBIDDEN_CLAIMS;
use serde_json::json;
use zeroize::Zeroizing;

use super::identity_provider::IdentityProvider;
use super::teller::{BREAK, Question, Teller};
use crate::failure::{Exit, Failure};
use crate::output::{BAD, GOOD};
use keystile::{
    Algorithm, ClaimMapping, Client, Digest, Environment, Grace, ImportedKey, IssuerKeys, Key, KeyId, KeyQuery, Login,
    NewIssuer, NewKey, NewUser, Password, Refresh, Request, RevokeReason, Rotation, Scope, Secret,
};

/// The life of one key of one system.
pub(super) struct Chapter {
    system: &'static str,
    title: &'static str,
    environment: &'static str,
    scopes: &'static [&'static str],
    owner: Option<&'static str>,
    /// A scope that the key has, and one that it has not.
    granted: &'static str,
    refused: &'static str,
    other_environment: &'static str,
}

/// One for each system.
pub(super) const CHAPTERS: &[Chapter] = &[
    Chapter {
        system: "callcov",
        title: "CallCov: nested environments, sk_test_staging_…",
        environment: "test_staging",
        scopes: &["analysis:read"],
        owner: None,
        granted: "analysis:read",
        refused: "analysis:write",
        other_environment: "test",
    },
    Chapter {
        system: "cerevox",
        title: "Cerevox: keys that act for a user, cvx_live_…",
        environment: "live",
        scopes: &["documents:*"],
        owner: Some("ada@example.com"),
        granted: "documents:read",
        refused: "accounts:read",
        other_environment: "test",
    },
    Chapter {
        system: "coreplexml",
        title: "CorePlexML: a dot before the body, cpx_live.…",
        environment: "live",
        scopes: &["read", "predict"],
        owner: None,
        granted: "predict",
        refused: "write",
        other_environment: "test",
    },
    Chapter {
        system: "hippocortex",
        title: "Hippocortex: a test key never touches live data, hx_test_…",
        environment: "test",
        scopes: &["read"],
        owner: None,
        granted: "read",
        refused: "write",
        other_environment: "live",
    },
];

/// Tells the life of one key.
pub(super) fn tell(chapter: &Chapter, teller: &mut Teller<'_, '_>) -> Result<(), Failure> {
    teller.chapter(chapter.system, chapter.title)?;
    let (id, first) = create(chapter, teller)?;
    let first = first.expose_secret().as_bytes();

    verdict(teller, first, &[chapter.granted], None, "", "allow")?;
    verdict(teller, first, &[chapter.refused], None, "", "insufficient_scope")?;
    verdict(teller, first, &[], Some(chapter.other_environment), "", "wrong_environment")?;
    verdict(teller, &mistyped(first), &[], None, "one character mistyped", "unknown_key")?;

    let second = rotate(id, teller)?;
    verdict(teller, &second, &[], None, "the new secret", "allow")?;
    verdict(teller, first, &[], None, "the old secret", "allow")?;
    teller.later(GRACE, "24 hours later")?;
    verdict(teller, &second, &[], None, "the new secret", "allow")?;
    verdict(teller, first, &[], None, "the old secret", "rotated")?;

    let suspended = teller.keystile().keys().suspend(id)?.value;
    teller.did("keystile keys suspend ID", suspended.as_ref().map(Key::display), "")?;
    verdict(teller, &second, &[], None, "", "suspended")?;
    let key = teller.keystile().keys().resume(id)?;
    teller.did("keystile keys resume ID", Some(key.display()), "")?;
    verdict(teller, &second, &[], None, "", "allow")?;
    let revoked = teller.keystile().keys().revoke(id, RevokeReason::KeyCompromise, None)?.value;
    teller.did("keystile keys revoke ID --reason key_compromise", revoked.as_ref().map(Key::display), "")?;
    verdict(teller, &second, &[], None, "", "revoked")
}

fn create(chapter: &Chapter, teller: &mut Teller<'_, '_>) -> Result<(KeyId, Secret), Failure> {
    let created = teller.keystile().keys().create(NewKey {
        name: "demo".to_owned(),
        owner: chapter.owner.map(str::to_owned),
        format: Some(chapter.system.to_owned()),
        environment: Environment::new(chapter.environment).ok(),
        scopes: scopes(chapter.scopes),
        ..NewKey::default()
    })?;
    let Chapter { system, environment, .. } = chapter;
    let mut command = format!("keystile keys create --name demo --format {system} --env {environment}{BREAK}");
    let options = chapter.scopes.iter().map(|scope| format!("--scope {}", crate::context::quoted(scope)));
    let options = options.chain(chapter.owner.map(|owner| format!("--owner {owner}")));
    command.push_str(&options.collect::<Vec<_>>().join(" "));
    let shown = created.key.display().to_owned();
    teller.did(&command, Some(&shown), &format!("made {shown}, shown once; a digest is kept"))?;
    Ok((created.key.id, created.secret))
}

fn rotate(id: KeyId, teller: &mut Teller<'_, '_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let rotation = Rotation { grace: Grace::from_now(GRACE), ..Rotation::default() };
    let rotated = teller.keystile().keys().rotate(id, rotation)?;
    let shown = rotated.key.display().to_owned();
    teller.did(
        "keystile keys rotate ID --grace 24h",
        Some(&shown),
        &format!("made {shown}; the old secret works 24 hours more"),
    )?;
    Ok(Zeroizing::new(rotated.secret.map(|secret| secret.expose_secret().as_bytes().to_vec()).unwrap_or_default()))
}

/// Tells of a key that was made elsewhere: its digest moves, its secret stays where it is.
pub(super) fn tell_import(teller: &mut Teller<'_, '_>) -> Result<(), Failure> {
    teller.chapter("import", "A key of another system goes on working: only its digest moves")?;
    let key = ImportedKey {
        digest: Digest::of(OLD_SECRET),
        name: "from the old system".to_owned(),
        display: Some("old_…".to_owned()),
        owner: None,
        environment: Environment::new("live").map_err(Failure::usage)?,
        scopes: scopes(&["read"]),
        addresses: Vec::new(),
        rate: None,
        metadata: Default::default(),
        not_before: None,
        expires_at: None,
    };
    let import = Some(teller.keystile().keys().import([key])?.id);
    let imported = teller.keystile().keys().list(&KeyQuery { import, ..KeyQuery::default() })?.keys;
    let shown = imported.first().map(|key| key.display().to_owned());
    teller.did("keystile keys import keys.jsonl", shown.as_deref(), IMPORT_LINE)?;
    verdict(teller, OLD_SECRET, &["read"], None, "", "allow")?;
    verdict(teller, &mistyped(OLD_SECRET), &[], None, "one character mistyped", "malformed")
}

/// Tells of a user who logs in, and whose token is refused the moment it is revoked.
pub(super) fn tell_login(teller: &mut Teller<'_, '_>) -> Result<(), Failure> {
    teller.chapter("login", "Users log in: access tokens can be revoked, a refresh token is of use once")?;
    let password = |text: &str| Password::new(text.to_owned()).map_err(unexpected);
    let email = EMAIL.parse().map_err(Failure::usage)?;
    teller.keystile().users().create(NewUser { password: Some(password(PASSWORD)?), ..NewUser::new(email) })?;
    teller.did(&format!("keystile users create {EMAIL} --password-stdin"), None, "")?;

    let wrong = password("wrong password")?;
    let refused = teller.keystile().login(&Login { email: EMAIL, password: &wrong, client: Client::default() });
    teller.expect("log in with a wrong password", "refused", if refused.is_err() { "refused" } else { "logged in" })?;
    let client = Client { scopes: scopes(&["read"]), ..Client::default() };
    let first =
        teller.keystile().login(&Login { email: EMAIL, password: &password(PASSWORD)?, client }).map_err(unexpected)?;
    teller.did("log in with the right one", None, "an access token for 30 minutes, and a refresh token")?;
    let token = first.access_token.expose_secret().as_bytes();
    verdict(teller, token, &["read"], None, "the access token", "allow")?;
    verdict(teller, token, &["write"], None, "", "insufficient_scope")?;
    verdict(teller, &mistyped(token), &[], None, "one character changed", "bad_signature")?;
    let refresh_token = first.refresh_token.expose_secret();
    verdict(teller, refresh_token.as_bytes(), &[], None, "the refresh token", "malformed")?;

    teller.later(TOKEN_LIFETIME, "30 minutes later")?;
    verdict(teller, token, &[], None, "the access token", "expired")?;
    let second = teller.keystile().refresh(refresh_token, &Refresh::default()).map_err(unexpected)?;
    teller.did("refresh", None, "a new access token, and a new refresh token")?;
    let token = second.access_token.expose_secret().as_bytes();
    verdict(teller, token, &["read"], None, "the new one", "allow")?;
    teller.keystile().tokens().revoke(second.access_token.expose_secret())?;
    teller.did("keystile tokens revoke -", None, "")?;
    verdict(teller, token, &[], None, "the new one", "revoked")?;

    let third = teller.keystile().refresh(second.refresh_token.expose_secret(), &Refresh::default());
    let third = third.map_err(unexpected)?;
    let token = third.access_token.expose_secret().as_bytes();
    verdict(teller, token, &[], None, "the session goes on", "allow")?;
    teller.keystile().logout(third.refresh_token.expose_secret()).map_err(unexpected)?;
    teller.did("log out", None, "")?;
    verdict(teller, token, &[], None, "the session is over", "revoked")
}

/// Tells of a token that somebody else has signed, known by the keys that they publish.
pub(super) fn tell_issuer(teller: &mut Teller<'_, '_>) -> Result<(), Failure> {
    teller.chapter("issuer", "Tokens of an identity provider (Clerk: RS256), by the keys it publishes")?;
    let provider = IdentityProvider::start()?;
    let claims = |seconds: u64, now: u64| {
        json!({
            "iss": IdentityProvider::ISSUER, "sub": "user_2abc", "org_id": "org_9xyz", "sid": "sess_1",
            "iat": now, "nbf": now, "exp": now + seconds,
        })
    };
    let now = teller.keystile().request().now.unix();
    let token = provider.sign(&claims(3_600, now))?;
    let token = token.expose_secret().as_bytes();
    verdict(teller, token, &[], None, "nobody knows who signed it", "unknown_issuer")?;

    let new = NewIssuer {
        name: "clerk".to_owned(),
        issuer: IdentityProvider::ISSUER.to_owned(),
        keys: IssuerKeys::Url(provider.jwks_url().parse().map_err(Failure::usage)?),
        algorithms: vec![Algorithm::Rs256],
        audiences: Vec::new(),
        any_audience: true,
        forbidden_claims: FORBIDDEN_CLAIMS.iter().copied().map(String::from).collect(),
        wildcard_scopes: false,
        token_type: None,
        leeway: 0,
        claims: ClaimMapping::default(),
        environment: None,
        any_environment: false,
    };
    teller.keystile().issuers().add(new)?;
    teller.keystile().issuers().refresh("clerk")?;
    let command = format!(
        "keystile issuers add clerk --issuer {}{BREAK}--jwks-url http://127.0.0.1/.well-known/jwks.json{BREAK}--alg RS256 --any-audience",
        IdentityProvider::ISSUER
    );
    teller.did(&command, None, "its keys were fetched; they are fetched again by themselves")?;
    verdict(teller, token, &[], None, "its token", "allow")?;
    verdict(teller, &mistyped(token), &[], None, "one character changed", "bad_signature")?;
    let short = provider.sign(&claims(60, now))?;
    drop(provider);
    teller.later(60, "a minute later; the provider is down")?;
    verdict(teller, token, &[], None, "its token", "allow")?;
    verdict(teller, short.expose_secret().as_bytes(), &[], None, "one for a minute", "expired")
}

/// Tells that every change above is in the audit trail. Whether it is.
pub(super) fn tell_audit(teller: &mut Teller<'_, '_>) -> Result<bool, Failure> {
    teller.chapter("audit", "Every change is in the audit trail, each entry chained to the one before")?;
    let (intact, entries) = super::audit(teller.keystile())?;
    teller.did("keystile audit verify", None, "")?;
    if intact {
        teller.show(&format!("  {GOOD}✓{GOOD:#} intact, {entries} entries"))?;
    } else {
        teller.show(&format!("  {BAD}✗{BAD:#} broken at entry {entries}"))?;
    }
    Ok(intact)
}

fn verdict(
    teller: &mut Teller<'_, '_>,
    secret: &[u8],
    all_of: &[&str],
    environment: Option<&str>,
    remark: &str,
    expected: &'static str,
) -> Result<(), Failure> {
    let request = Request {
        all_of: scopes(all_of),
        environment: environment.and_then(|name| Environment::new(name).ok()),
        ..teller.keystile().request()
    };
    let options = all_of.iter().map(|scope| format!("--scope {scope}"));
    let options: Vec<_> = options.chain(environment.map(|name| format!("--env {name}"))).collect();
    teller.ask(&Question { secret, request, options: &options.join(" "), remark, expected })
}

/// What the story does not tell of, because it does not happen.
fn unexpected(error: impl std::error::Error) -> Failure {
    Failure::new(Exit::CannotSay, "demo", format!("{error}"))
}

fn scopes(names: &[&str]) -> Vec<Scope> {
    names.iter().filter_map(|name| Scope::new(*name).ok()).collect()
}

/// The secret with another character near its end, where every format has its body.
fn mistyped(secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut mistyped = Zeroizing::new(secret.to_vec());
    let place = mistyped.len().saturating_sub(12);
    if let Some(byte) = mistyped.get_mut(place) {
        *byte = if *byte == b'x' { b'y' } else { b'x' };
    }
    mistyped
}

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
/// 30 minutes: how long an access token is valid unless a setting says otherwise.
const TOKEN_LIFETIME: u64 = 1_800;
/// 24 hours.
const GRACE: u64 = 86_400;
/// The secret of a key that never was one.
const OLD_SECRET: &[u8] = b"old_5f2c9a7e41d8b36f";
const IMPORT_LINE: &str = r#"{"digest": "…", "name": "from the old system", "scopes": ["read"]}"#;
