//! Every operation of the library that changes a store leaves a trail that names its rows, and that they agree with.

use std::collections::BTreeSet;
use std::path::Path;

use keystile_validator::jwt::{Algorithm, ClaimMapping, TokenType};

use super::AuditReport;
use crate::login::tests::{EMAIL, PASSWORD, World, password, world};
use crate::{
    Client, Digest, Grace, ImportedKey, IssuerKeys, IssuerUpdate, KeyChange, KeyFormat, Login, NewIssuer, NewKey,
    NewToken, NewUser, PasswordChange, Refresh, RevokeReason, Rotation, SigningKeyRotation, TokensOf, UserChange,
};

const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const OTHER_JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"new","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

fn issuer(name: &str) -> NewIssuer {
    NewIssuer {
        name: name.into(),
        issuer: format!("https://{name}.example.com"),
        keys: IssuerKeys::Given(JWKS.to_owned()),
        algorithms: vec![Algorithm::Es256],
        audiences: vec!["shop".into()],
        any_audience: false,
        forbidden_claims: vec!["nonce".into()],
        wildcard_scopes: false,
        token_type: None,
        leeway: 5,
        claims: ClaimMapping::default(),
        environment: Some("live".parse().unwrap()),
        any_environment: false,
    }
}

fn from(address: &str) -> Client {
    let address = Some(address.parse().unwrap());
    Client { id: Some("web".into()), description: Some("Firefox".into()), address, ..Client::default() }
}

/// Does everything that changes a store once, at least; after each thing it calls `after` with the operation, as
/// [`OPERATIONS`] names it. In the end the store has rows in every table.
pub(crate) fn do_everything(world: &World, after: &mut dyn FnMut(&str)) {
    let keystile = &world.keystile;
    let (keys, users, sessions) = (keystile.keys(), keystile.users(), keystile.sessions());
    let (tokens, issuers) = (keystile.tokens(), keystile.issuers());

    keystile.add_format("other", KeyFormat::with_defaults("ot").unwrap()).unwrap();
    after("formats.rs add_format");
    keystile.change_settings(|settings| settings.max_lifetime = Some(9_000_000)).unwrap();
    after("settings.rs change_settings");
    let mut settings = keystile.settings().unwrap();
    settings.tokens.audience = Some("shop".into());
    keystile.set_settings(&settings).unwrap();
    after("settings.rs set_settings");

    let full = NewKey {
        name: "full".into(),
        owner: Some("billing".into()),
        scopes: vec!["a:read".parse().unwrap()],
        addresses: vec!["10.0.0.0/8".parse().unwrap()],
        rate: Some(crate::Rate::new(5, 60).unwrap()),
        metadata: [("plan".to_owned(), "pro".to_owned())].into(),
        ..NewKey::default()
    };
    let full = keys.create(full).unwrap();
    after("keys/create.rs create");
    let key = |owner: Option<&str>| {
        keys.create(NewKey { name: "k".into(), owner: owner.map(str::to_owned), ..NewKey::default() }).unwrap()
    };
    let change = KeyChange { name: Some("renamed".into()), ..KeyChange::default() };
    keys.update(full.key.id, change).unwrap();
    after("keys/update.rs update");
    keys.suspend(full.key.id).unwrap();
    after("keys/state.rs suspend");
    keys.resume(full.key.id).unwrap();
    after("keys/state.rs resume");
    let rotated = key(None);
    let rotation =
        Rotation { grace: Grace::from_first_use(60), request_id: Some("request".into()), ..Rotation::default() };
    let secret = keys.rotate(rotated.key.id, rotation).unwrap().secret.unwrap();
    after("keys/rotate.rs rotate");
    // The first use starts the grace.
    assert!(keystile.verify(secret.expose_secret(), &keystile.request()).is_allow());
    keystile.flush().unwrap();
    after("keystile.rs flush");
    let revoked = key(None);
    keys.revoke(revoked.key.id, RevokeReason::KeyCompromise, Some("leaked")).unwrap();
    after("keys/state.rs revoke");
    let imported = |number: u8| ImportedKey::new(Digest::of(&[number]), "imported", "live".parse().unwrap());
    keys.import([imported(1)]).unwrap();
    after("keys/import.rs import");
    let mut import = keys.begin_import();
    import.add(imported(2)).unwrap();
    import.complete().unwrap();
    after("keys/import.rs complete");

    let new = |email: &str| NewUser {
        name: Some("Ada".into()),
        organization: Some("org".into()),
        ..NewUser::new(email.parse().unwrap())
    };
    let other = users.create(new("other@example.com")).unwrap();
    after("users/create.rs create");
    let change = UserChange { admin: Some(true), ..UserChange::default() };
    users.update(other.id, change).unwrap();
    after("users/update.rs update");
    users.suspend(other.id).unwrap();
    after("users/state.rs suspend");
    users.resume(other.id).unwrap();
    after("users/state.rs resume");
    users.unlock(other.id).unwrap();
    after("users/state.rs unlock");
    users.generate_password(other.id).unwrap();
    after("users/password.rs generate_password");
    users.reset_password(other.id, &password(PASSWORD)).unwrap();
    after("users/password.rs reset_password");

    let wrong = password("wrong password");
    assert!(keystile.login(&Login { email: EMAIL, password: &wrong, client: from("192.0.2.1") }).is_err());
    assert!(keystile.login(&Login { email: "no@x.org", password: &wrong, client: from("192.0.2.2") }).is_err());
    let log_in = || {
        let right = password(PASSWORD);
        keystile.login(&Login { email: EMAIL, password: &right, client: from("192.0.2.1") }).unwrap()
    };
    let first = log_in();
    after("login/mod.rs login");
    let refresh = Refresh { client_id: Some("web"), ..Refresh::default() };
    keystile.refresh(first.refresh_token.expose_secret(), &refresh).unwrap();
    after("login/mod.rs refresh");
    let acting = key(Some(EMAIL));
    keystile.login_with_key(acting.secret.expose_secret(), from("192.0.2.1")).unwrap();
    after("login/mod.rs login_with_key");
    let second = log_in();
    keystile.logout(second.refresh_token.expose_secret()).unwrap();
    after("login/mod.rs logout");
    let third = log_in();
    sessions.end_others(world.user.id, third.session_id).unwrap();
    after("sessions/end.rs end_others");
    sessions.end(third.session_id).unwrap();
    after("sessions/end.rs end");
    log_in();
    sessions.end_all(world.user.id).unwrap();
    after("sessions/end.rs end_all");
    log_in();
    let (old, new_one) = (password(PASSWORD), password("another good password"));
    users.change_password(world.user.id, PasswordChange { old, new: new_one, keep: None, address: None }).unwrap();
    after("users/password.rs change_password");
    let (old, back) = (password("another good password"), password(PASSWORD));
    users.change_password(world.user.id, PasswordChange { old, new: back, keep: None, address: None }).unwrap();
    log_in();

    let token = NewToken { user: EMAIL.into(), scopes: Vec::new(), environment: None, ttl: None };
    let issued = tokens.issue(token).unwrap();
    after("tokens/issue.rs issue");
    tokens.revoke(issued.token.expose_secret()).unwrap();
    after("tokens/revoke.rs revoke");
    tokens.revoke_id(None, "a-token-id").unwrap();
    after("tokens/revoke.rs revoke_id");
    issuers.add(issuer("acme")).unwrap();
    after("issuers/change.rs add");
    tokens.revoke_all("acme", TokensOf::Subject("somebody")).unwrap();
    after("tokens/revoke.rs revoke_all");
    keystile.signing_keys().rotate(SigningKeyRotation { at_once: true, ..SigningKeyRotation::default() }).unwrap();
    after("signing_keys/mod.rs rotate");
    issuers.update("acme", IssuerUpdate { leeway: Some(7), ..IssuerUpdate::default() }).unwrap();
    after("issuers/change.rs update");
    issuers.disable("acme").unwrap();
    after("issuers/change.rs disable");
    issuers.enable("acme").unwrap();
    after("issuers/change.rs enable");
    issuers.set_keys("acme", OTHER_JWKS).unwrap();
    after("issuers/refresh.rs set_keys");
    issuers.add(issuer("gone")).unwrap();
    issuers.remove("gone").unwrap();
    after("issuers/change.rs remove");

    let by_claims = ClaimMapping {
        organization: Some("org".into()),
        roles: Some("roles".into()),
        environment: Some("env".into()),
        ..ClaimMapping::default()
    };
    let token_type = Some(TokenType::AccessToken);
    issuers.add(NewIssuer { claims: by_claims, environment: None, token_type, ..issuer("claims") }).unwrap();
    // What is left as it is: suspended, not valid yet, in the middle of a rotation.
    let off = users.create(new("off@example.com")).unwrap();
    let later = key(Some("off@example.com"));
    let not_before = Some(Some(keystile.request().now.saturating_add(60)));
    keys.update(later.key.id, KeyChange { not_before, ..KeyChange::default() }).unwrap();
    users.suspend(off.id).unwrap();
    let rotation = Rotation { grace: Grace::from_first_use(60), ..Rotation::default() };
    keys.rotate(full.key.id, rotation).unwrap();

    let gone = users.create(new("gone@example.com")).unwrap();
    users.delete(gone.id).unwrap();
    after("users/state.rs delete");
}

/// Public operations that change a store. The second part says what is special: no row of a change is bound, because
/// only counts change; or the operation is not in [`do_everything`], and why.
const OPERATIONS: &[(&str, &str)] = &[
    ("formats.rs add_format", ""),
    ("issuers/change.rs add", ""),
    ("issuers/change.rs disable", ""),
    ("issuers/change.rs enable", ""),
    ("issuers/change.rs remove", ""),
    ("issuers/change.rs update", ""),
    ("issuers/refresh.rs refresh", "elsewhere: it needs a server, see the tests of issuers"),
    ("issuers/refresh.rs set_keys", ""),
    ("keys/create.rs create", ""),
    ("keys/import.rs add", "elsewhere: it stages, and `complete` is the change"),
    ("keys/import.rs complete", ""),
    ("keys/import.rs import", ""),
    ("keys/rotate.rs rotate", ""),
    ("keys/state.rs resume", ""),
    ("keys/state.rs revoke", ""),
    ("keys/state.rs suspend", ""),
    ("keys/update.rs update", ""),
    ("keystile.rs flush", ""),
    ("login/mod.rs login", ""),
    ("login/mod.rs login_with_key", ""),
    ("login/mod.rs logout", ""),
    ("login/mod.rs refresh", ""),
    ("sessions/end.rs end", ""),
    ("sessions/end.rs end_all", ""),
    ("sessions/end.rs end_others", ""),
    ("settings.rs change_settings", ""),
    ("settings.rs set_settings", ""),
    ("signing_keys/mod.rs rotate", ""),
    ("timekeeping.rs accept_clock", "elsewhere: it needs a clock that is behind, see the tests of the clock"),
    ("tokens/issue.rs issue", ""),
    ("tokens/revoke.rs revoke", ""),
    ("tokens/revoke.rs revoke_all", ""),
    ("tokens/revoke.rs revoke_id", ""),
    ("users/create.rs create", ""),
    ("users/password.rs change_password", ""),
    ("users/password.rs generate_password", ""),
    ("users/password.rs reset_password", ""),
    ("users/state.rs delete", ""),
    ("users/state.rs resume", ""),
    ("users/state.rs suspend", ""),
    ("users/state.rs unlock", "no row"),
    ("users/update.rs update", ""),
];

/// Public methods that change no bound row.
const READING: &[&str] = &[
    "doctor.rs doctor",
    "explain.rs explain",
    "formats.rs formats",
    "issuers/list.rs list",
    "issuers/list.rs show",
    "keys/concern.rs counts",
    "keys/import.rs begin_import",
    "keys/list.rs find_by_secret",
    "keys/list.rs list",
    "keys/list.rs show",
    "keys/report.rs report",
    "keys/usage.rs usage",
    "keystile.rs audit",
    "keystile.rs backup",
    "keystile.rs erase_deleted",
    "keystile.rs is_erased",
    "keystile.rs issuers",
    "keystile.rs keys",
    "keystile.rs preview",
    "keystile.rs readable_audit",
    "keystile.rs ready",
    "keystile.rs recent_audit",
    "keystile.rs request",
    "keystile.rs sandbox_counters",
    "keystile.rs secrets_in_memory",
    "keystile.rs signing_keys",
    "keystile.rs tokens",
    "keystile.rs try_preview",
    "keystile.rs try_verify",
    "keystile.rs try_verify_batch",
    "keystile.rs verify",
    "keystile.rs verify_audit",
    "keystile.rs verify_batch",
    "login/mod.rs passwords_hashed",
    "login/mod.rs sessions",
    "login/mod.rs users",
    "security_events.rs security_events",
    "sessions/list.rs list",
    "sessions/list.rs show",
    "settings.rs settings",
    "signing_keys/mod.rs jwks",
    "signing_keys/mod.rs list",
    "timekeeping.rs time",
    "tokens/own_issuer.rs issuer",
    "users/list.rs find",
    "users/list.rs id_of",
    "users/list.rs list",
    "users/list.rs locked_until",
    "users/list.rs show",
];

/// The public methods of a turnstile and its parts, as `file name`.
fn public_methods(folder: &Path, found: &mut BTreeSet<String>) {
    const TYPES: [&str; 8] = ["Keystile", "Keys", "Users", "Sessions", "Tokens", "SigningKeys", "Issuers", "Import"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            public_methods(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let mut is_ours = false;
        for line in text.lines() {
            if line.starts_with("impl") {
                let of = line.trim_start_matches("impl").trim_start_matches("<'a>").trim();
                let of: String = of.chars().take_while(|c| c.is_alphanumeric()).collect();
                is_ours = TYPES.contains(&of.as_str());
            }
            if let Some(method) = line.strip_prefix("    pub fn ").filter(|_| is_ours) {
                let (method, rest) = method.split_once('(').unwrap();
                if rest.is_empty() || rest.contains("self") {
                    found.insert(format!("{name} {}", method.split('<').next().unwrap()));
                }
            }
        }
    }
}

/// A new public method is in one of the lists, or this says so.
#[test]
fn every_public_method_is_known() {
    let mut found = BTreeSet::new();
    public_methods(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let known: BTreeSet<String> =
        OPERATIONS.iter().map(|(name, _)| *name).chain(READING.iter().copied()).map(str::to_owned).collect();
    let differ: Vec<_> = found.symmetric_difference(&known).collect();
    assert!(differ.is_empty(), "say whether these change a store: {differ:#?}");
}

#[test]
fn every_operation_leaves_the_trail_intact_and_names_its_rows() {
    let world = world();
    let mut done = BTreeSet::new();
    let mut seen = world.keystile.audit(None, 0, 1_000).unwrap().len() as u64;
    do_everything(&world, &mut |operation| {
        let report = world.keystile.verify_audit(None).unwrap();
        assert!(matches!(report, AuditReport::Intact { .. }), "{operation}: {report:#?}");
        let entries = world.keystile.audit(None, seen, 1_000).unwrap();
        seen += entries.len() as u64;
        assert!(!entries.is_empty(), "{operation} left no entry");
        let special = OPERATIONS.iter().find(|(name, _)| *name == operation).map(|(_, special)| *special);
        let names_rows = entries.iter().any(|entry| !entry.rows.is_empty());
        assert_eq!(names_rows, special == Some(""), "{operation}: {entries:#?}");
        done.insert(operation.to_owned());
    });
    for (operation, special) in OPERATIONS {
        assert_eq!(done.contains(*operation), !special.starts_with("elsewhere"), "{operation}");
    }
    // What puts one store in the place of another does, too.
    let backup = world.path.with_file_name("backup");
    world.keystile.backup(&backup).unwrap();
    world.keystile.keys().create(NewKey { name: "later".into(), ..NewKey::default() }).unwrap();
    crate::Keystile::restore(&backup, &world.path, "tests").unwrap();
    let report = world.keystile.verify_audit(None).unwrap();
    assert!(matches!(report, AuditReport::Intact { .. }), "{report:#?}");
}
