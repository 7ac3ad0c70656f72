//! What is told: for each system the life of one key, then an imported key and the audit trail.

use zeroize::Zeroizing;

use super::teller::{BREAK, Question, Teller};
use crate::cli::failure::Failure;
use crate::cli::output::{BAD, GOOD};
use crate::{
    Digest, Environment, Grace, ImportedKey, KeyId, NewKey, Request, RevokeReason, Rotation, Scope, Secret, SecretInfo,
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

    let key = teller.keystile().keys().suspend(id)?;
    teller.did("keystile keys suspend ID", Some(key.display()), "")?;
    verdict(teller, &second, &[], None, "", "suspended")?;
    let key = teller.keystile().keys().resume(id)?;
    teller.did("keystile keys resume ID", Some(key.display()), "")?;
    verdict(teller, &second, &[], None, "", "allow")?;
    let key = teller.keystile().keys().revoke(id, RevokeReason::KeyCompromise, None)?;
    teller.did("keystile keys revoke ID --reason key_compromise", Some(key.display()), "")?;
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
    let options = chapter.scopes.iter().map(|scope| format!("--scope {}", crate::cli::session::quoted(scope)));
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
    let imported = teller.keystile().keys().import(vec![key])?;
    let shown = imported.first().and_then(|key| key.active_secret().map(|secret: &SecretInfo| secret.display.clone()));
    teller.did("keystile keys import keys.jsonl", shown.as_deref(), IMPORT_LINE)?;
    verdict(teller, OLD_SECRET, &["read"], None, "", "allow")?;
    verdict(teller, &mistyped(OLD_SECRET), &[], None, "one character mistyped", "malformed")
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

/// 24 hours.
const GRACE: u64 = 86_400;
/// The secret of a key that never was one.
const OLD_SECRET: &[u8] = b"old_5f2c9a7e41d8b36f";
const IMPORT_LINE: &str = r#"{"digest": "…", "name": "from the old system", "scopes": ["read"]}"#;
