//! Whatever a row holds that no Keystile writes: whoever wants to take something away can, everywhere and at once.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::tests::{UNBOUND, mixed, past_all_precautions, tables};
use super::*;
use crate::login::tests::{EMAIL, World, world};
use crate::sessions::LoggedIn;
use crate::{
    Algorithm, AuditReport, ClaimMapping, Client, Grace, IssuerKeys, KeyEncryptionKey, KeyId, NewIssuer, NewKey,
    NewStore, NewToken, NewUser, RevokeReason, Rotation, SigningKeyRotation, TokensOf, User,
};

/// How every value of a column is damaged.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// One bit is changed: it may be readable, and wrong.
    Bit,
    /// No Keystile can read it.
    Unreadable,
}

/// Takes something away; why not, when it does not.
type Containment = Box<dyn Fn(&Keystile) -> Result<(), String>>;

/// A containment, and what must be refused after it.
struct Case {
    name: &'static str,
    contain: Containment,
    refused: Vec<String>,
}

/// A store in which there is much to take away, and every way to do so.
struct Scene {
    world: World,
    folder: tempfile::TempDir,
    cases: Vec<Case>,
    /// Allowed until the end, as long as the store can be read at all.
    canaries: Vec<String>,
}

fn case<T, E: std::fmt::Display>(
    name: &'static str,
    refused: Vec<String>,
    contain: impl Fn(&Keystile) -> Result<T, E> + 'static,
) -> Case {
    let contain = move |keystile: &Keystile| contain(keystile).map(drop).map_err(|error| error.to_string());
    Case { name, contain: Box::new(contain), refused }
}

impl Scene {
    fn new() -> Scene {
        let world = world();
        let mut scene = Scene { folder: tempfile::tempdir().unwrap(), world, cases: Vec::new(), canaries: Vec::new() };
        scene.fill();
        scene
    }

    fn user(&self, email: &str) -> User {
        let new = NewUser { name: Some("n".into()), ..NewUser::new(email.parse().unwrap()) };
        self.world.keystile.users().create(new).unwrap()
    }

    /// A key with two valid secrets, and a session that was begun with it.
    fn key(&self, owner: &str) -> (KeyId, Vec<String>, LoggedIn) {
        let keystile = &self.world.keystile;
        let metadata = [("team".to_owned(), "core".to_owned())].into();
        let new = NewKey { name: "k".into(), owner: Some(owner.into()), metadata, ..NewKey::default() };
        let created = keystile.keys().create(new).unwrap();
        let rotation =
            Rotation { grace: Grace::from_now(86_400 * 30), request_id: Some("once".into()), ..Rotation::default() };
        let rotated = keystile.keys().rotate(created.key.id, rotation).unwrap().secret.unwrap();
        let device =
            Client { description: Some("a device".into()), address: "192.0.2.1".parse().ok(), ..Client::default() };
        let begun = keystile.login_with_key(rotated.expose_secret(), device).unwrap();
        let secrets = [created.secret, rotated].map(|secret| secret.expose_secret().to_owned());
        assert!(keystile.verify(&secrets[0], &keystile.request()).is_allow());
        let credentials = secrets.into_iter().chain([begun.access_token.expose_secret().to_owned()]);
        (created.key.id, credentials.collect(), begun)
    }

    fn token(keystile: &Keystile, user: &str) -> (String, String) {
        let token = NewToken { user: user.to_owned(), scopes: Vec::new(), environment: None, ttl: None };
        let issued = keystile.tokens().issue(token).unwrap();
        (issued.token_id, issued.token.expose_secret().to_owned())
    }

    /// Another store, whose tokens are let in.
    fn issuer(&self, name: &str) -> Keystile {
        let kek = self.folder.path().join(format!("{name}-kek"));
        KeyEncryptionKey::generate().unwrap().write_new(&kek).unwrap();
        let path = self.folder.path().join(format!("{name}.db"));
        let options = || {
            let clock = std::sync::Arc::clone(&self.world.clock);
            Keystile::options().clock(clock).on_demand(true).key_encryption_key_file(&kek)
        };
        options().create(&path, NewStore::default()).unwrap();
        let other = options().open(&path).unwrap();
        other.change_settings(|settings| settings.tokens.issuer = Some(format!("https://{name}.org"))).unwrap();
        other.signing_keys().rotate(SigningKeyRotation::default()).unwrap();
        for email in ["eve@x.org", "mal@x.org"] {
            other.users().create(NewUser::new(email.parse().unwrap())).unwrap();
        }
        let new = NewIssuer {
            name: name.to_owned(),
            issuer: format!("https://{name}.org"),
            keys: IssuerKeys::Given(other.signing_keys().jwks().unwrap()),
            algorithms: vec![Algorithm::EdDsa],
            audiences: Vec::new(),
            any_audience: true,
            forbidden_claims: Vec::new(),
            wildcard_scopes: true,
            token_type: None,
            leeway: 0,
            claims: ClaimMapping::default(),
            environment: None,
            any_environment: true,
        };
        self.world.keystile.issuers().add(new).unwrap();
        other
    }

    fn fill(&mut self) {
        let (one, two, three) = (self.issuer("one"), self.issuer("two"), self.issuer("three"));
        let token_of = |other: &Keystile| Scene::token(other, "eve@x.org").1;
        let mut cases = Vec::new();

        let (id, refused, _) = self.key(EMAIL);
        cases
            .push(case("keys revoke", refused, move |it| it.keys().revoke(id, RevokeReason::KeyCompromise, Some("n"))));
        let (id, refused, _) = self.key(EMAIL);
        cases.push(case("keys suspend", refused, move |it| it.keys().suspend(id)));
        let (_, _, begun) = self.key(EMAIL);
        let token = begun.access_token.expose_secret().to_owned();
        cases.push(case("sessions end", vec![token], move |it| it.sessions().end(begun.session_id)));
        let (_, _, begun) = self.key(EMAIL);
        let token = begun.access_token.expose_secret().to_owned();
        let refresh = begun.refresh_token.expose_secret().to_owned();
        cases.push(case("logout", vec![token], move |it| it.logout(&refresh)));

        let user = self.user("dan@x.org").id;
        let tokens = [(); 2].map(|()| self.key("dan@x.org").2.access_token.expose_secret().to_owned());
        cases.push(case("sessions end --user", tokens.into(), move |it| it.sessions().end_all(user)));
        let user = self.user("bob@x.org").id;
        let (_, mut refused, _) = self.key("bob@x.org");
        refused.push(Scene::token(&self.world.keystile, &user.to_string()).1);
        cases.push(case("users suspend", refused, move |it| it.users().suspend(user)));
        let user = self.user("cid@x.org").id;
        let (_, mut refused, _) = self.key("cid@x.org");
        refused.push(Scene::token(&self.world.keystile, &user.to_string()).1);
        cases.push(case("users delete", refused, move |it| it.users().delete(user)));

        cases.push(case("issuers disable", vec![token_of(&one)], |it| it.issuers().disable("one")));
        cases.push(case("issuers remove", vec![token_of(&two)], |it| it.issuers().remove("two")));
        let (id, token) = Scene::token(&three, "eve@x.org");
        cases.push(case("tokens revoke --issuer", vec![token], move |it| it.tokens().revoke_id(Some("three"), &id)));
        let token = Scene::token(&three, "mal@x.org").1;
        let subject = three.users().find(&"mal@x.org".parse().unwrap()).unwrap().id.to_string();
        let all = move |it: &Keystile| it.tokens().revoke_all("three", TokensOf::Subject(&subject));
        cases.push(case("tokens revoke --subject", vec![token], all));

        self.user("ops@x.org");
        let keystile = &self.world.keystile;
        keystile.signing_keys().rotate(SigningKeyRotation { at_once: true, ..SigningKeyRotation::default() }).unwrap();
        let (id, token) = Scene::token(keystile, "ops@x.org");
        cases.push(case("tokens revoke by id", vec![token], move |it| it.tokens().revoke_id(None, &id)));
        let token = Scene::token(keystile, "ops@x.org").1;
        cases.push(case("tokens revoke", vec![token.clone()], move |it| it.tokens().revoke(&token)));
        // Revoked already, by what is then damaged, and again.
        let (id, token) = Scene::token(keystile, "ops@x.org");
        keystile.tokens().revoke_id(None, &id).unwrap();
        cases.push(case("tokens revoke again", vec![token], move |it| it.tokens().revoke_id(None, &id)));
        let token = Scene::token(keystile, "ops@x.org").1;
        keystile.signing_keys().rotate(SigningKeyRotation { at_once: true, ..SigningKeyRotation::default() }).unwrap();
        keystile.signing_keys().rotate(SigningKeyRotation::default()).unwrap();
        let rotation = SigningKeyRotation { at_once: true, refuse_older: true, ..SigningKeyRotation::default() };
        cases.push(case("signing-keys rotate --refuse-older", vec![token], move |it| {
            it.signing_keys().rotate(rotation)
        }));

        self.user("nan@x.org");
        let (_, canaries, _) = self.key("nan@x.org");
        self.canaries = canaries;
        self.cases = cases;
    }
}

/// One copy of the store, damaged while processes have it open.
struct Copy {
    path: PathBuf,
    /// Looks everything up in the store.
    here: Keystile,
    /// Holds it in memory, as it was before the damage, and follows it.
    following: Keystile,
}

impl Copy {
    fn of(scene: &Scene, original: &Path, name: &str, damage: impl FnOnce(&Connection)) -> Copy {
        let path = scene.folder.path().join(name);
        for end in ["", "-wal", "-shm", "-reserve"] {
            let _ = std::fs::remove_file(scene.folder.path().join(format!("{name}{end}")));
        }
        std::fs::copy(original, &path).unwrap();
        let (here, following) = (open(scene, &path, true), open(scene, &path, false));
        past_all_precautions(&path, damage);
        Copy { path, here: here.unwrap(), following: following.unwrap() }
    }
}

fn open(scene: &Scene, path: &Path, on_demand: bool) -> Result<Keystile, crate::OpenError> {
    let kek = scene.world.path.with_file_name("kek");
    let clock = std::sync::Arc::clone(&scene.world.clock);
    Keystile::options().clock(clock).on_demand(on_demand).key_encryption_key_file(kek).open(path)
}

fn allows(keystile: &Keystile, credential: &str) -> bool {
    keystile.preview(credential, &keystile.request()).is_allow()
}

/// Whether it comes to refuse a credential.
fn comes_to_refuse(keystile: &Keystile, credential: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while allows(keystile, credential) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Damages all values of a column; says of how many rows. Of the trail the newest entry is enough.
fn damage(raw: &Connection, table: &str, column: &str, how: Damage, state: &mut u64) -> usize {
    let keys: Vec<String> =
        tables(raw)[table].iter().filter(|(_, is_key)| *is_key).map(|(name, _)| name.clone()).collect();
    let newest = if table == "audit" { " ORDER BY sequence DESC LIMIT 1" } else { "" };
    let listed = keys.join(", ");
    let query = format!("SELECT {column}, {listed} FROM {table} WHERE {column} IS NOT NULL{newest}");
    let mut statement = raw.prepare(&query).unwrap();
    let mut found = statement.query([]).unwrap();
    let mut rows: Vec<Vec<Value>> = Vec::new();
    while let Some(row) = found.next().unwrap() {
        rows.push((0..=keys.len()).map(|at| row.get(at).unwrap()).collect());
    }
    drop(found);
    let condition: Vec<_> = keys.iter().enumerate().map(|(at, key)| format!("{key} IS ?{}", at + 2)).collect();
    for row in &mut rows {
        let is_text = matches!(row[0], Value::Text(_));
        row[0] = damaged(std::mem::replace(&mut row[0], Value::Null), how, state);
        let value = if is_text { "CAST(?1 AS TEXT)" } else { "?1" };
        let sql = format!("UPDATE {table} SET {column} = {value} WHERE {}", condition.join(" AND "));
        // One that is unique, and becomes that of another row, stays as it is.
        let _ = raw.execute(&sql, params_from_iter(row.iter()));
    }
    rows.len()
}

fn damaged(value: Value, how: Damage, state: &mut u64) -> Value {
    let flip = |mut bytes: Vec<u8>, state: &mut u64| {
        if bytes.is_empty() {
            bytes.push(0xff);
        }
        let bit = mixed(state) % (bytes.len() as u64 * 8);
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        Value::Blob(bytes)
    };
    match (value, how) {
        (Value::Integer(number), Damage::Bit) => Value::Integer(number ^ (1 << (mixed(state) % 64))),
        (Value::Integer(number), Damage::Unreadable) => Value::Integer(-1 - number.abs()),
        (Value::Text(text), Damage::Bit) => flip(text.into_bytes(), state),
        (Value::Text(text), Damage::Unreadable) => Value::Blob([&[0xff], text.as_bytes()].concat()),
        (Value::Blob(bytes), Damage::Bit) => flip(bytes, state),
        (Value::Blob(bytes), Damage::Unreadable) => Value::Blob([&bytes[..], &[0]].concat()),
        (other, _) => panic!("{other:?}"),
    }
}

/// What a damaged column keeps a containment from, and why: it says of whom or of what the row is, and nothing else
/// does. The trail tells that it was changed.
const SAYS_WHOSE_IT_IS: &[(&str, &str)] = &[
    // The id, and what else rows are found by.
    ("keys.id", ""),
    ("keys.pk", ""),
    ("keys.owner", "users"),
    ("secrets.key_pk", ""),
    ("secrets.digest", ""),
    ("users.id", ""),
    ("users.pk", ""),
    ("users.email", "users"),
    ("sessions.id", ""),
    ("sessions.user_pk", "sessions end --user"),
    ("issuers.name", "issuers"),
    ("issuers.name", "tokens revoke -"),
    ("issuers.issuer", "tokens revoke -"),
    ("jwks_cache.name", "issuers"),
    ("signing_keys.kid", ""),
    ("position.store_id", "tokens"),
    ("position.store_id", "logout"),
    ("settings.", "tokens"),
    // A new signing key is sealed, and a refresh token is checked by what is sealed.
    ("position.store_id", "signing-keys"),
    ("sealing.check_value", "signing-keys"),
    ("sessions.refresh_key", "logout"),
    // Who has signed a token that is at hand is known by readable issuers and keys only; it is revoked by its id.
    ("issuers.", "tokens revoke"),
    ("jwks_cache.", "tokens revoke"),
    ("signing_keys.", "tokens revoke"),
];

fn is_exempt(column: &str, case: &str) -> bool {
    SAYS_WHOSE_IT_IS.iter().any(|(exempt, of)| {
        (*exempt == column || (exempt.ends_with('.') && column.starts_with(exempt))) && case.starts_with(of)
    })
}

fn whatever_is_damaged(how: Damage, part: usize) {
    let scene = Scene::new();
    let original = scene.folder.path().join("original.db");
    scene.world.keystile.backup(&original).unwrap();
    let mut kept = Vec::new();
    let mut number = 0;
    for (table, columns) in tables(&Connection::open(&original).unwrap()) {
        for (column, _) in columns {
            number += 1;
            if number % PARTS != part {
                continue;
            }
            let what = format!("{table}.{column}");
            let seed = std::env::var("KEYSTILE_FLIP_SEED").map_or(1_u64, |seed| seed.parse().unwrap());
            let rows = Cell::new(0);
            let copy = || {
                Copy::of(&scene, &original, "damaged.db", |raw| {
                    let mut state = what.bytes().fold(seed, |state, byte| state.wrapping_mul(31) + u64::from(byte));
                    rows.set(damage(raw, &table, &column, how, &mut state));
                })
            };
            let mut there = copy();
            // What was done to this copy.
            let mut done = Vec::new();
            if rows.get() == 0 {
                continue;
            }
            for case in &scene.cases {
                if is_exempt(&what, case.name) {
                    continue;
                }
                // One that denies everything by now shows nothing.
                if !scene.canaries.iter().any(|canary| allows(&there.following, canary)) {
                    drop(there);
                    there = copy();
                    done.clear();
                }
                done.push(case);
                let result = (case.contain)(&there.here);
                let again = open(&scene, &there.path, true);
                for (at, credential) in case.refused.iter().enumerate() {
                    let here = !allows(&there.here, credential);
                    // It follows what is in the store: where that still allows, there is nothing to wait for.
                    let following = here && comes_to_refuse(&there.following, credential);
                    let refused = [here, !again.as_ref().is_ok_and(|again| allows(again, credential)), following];
                    if refused.contains(&false) {
                        kept.push(format!("{what}: {} {at}: {refused:?} {result:?}", case.name));
                    }
                }
            }
            let Copy { path, here, following } = there;
            drop(following);
            let again = open(&scene, &path, false);
            for case in done {
                for credential in &case.refused {
                    if again.as_ref().is_ok_and(|again| allows(again, credential)) {
                        kept.push(format!("{what}: {}: allowed after a new start", case.name));
                    }
                }
            }
            drop(again);
            // Nothing of what was done has covered the damage up.
            let is_bound = !UNBOUND.iter().any(|unbound| *unbound == what || *unbound == format!("{table}.*"));
            if is_bound {
                // An error tells it, too: of a trail that cannot be read itself, or of a store with another id.
                let report = here.verify_audit(None);
                let is_told = here.doctor(&path).map_or(true, |health| health.severity() != Severity::Ok);
                if matches!(report, Ok(AuditReport::Intact { .. })) || !is_told {
                    kept.push(format!("{what}: the damage is not told any more: {report:?}"));
                }
            }
        }
    }
    assert!(kept.is_empty(), "{} of what was taken away is still there:\n{}", kept.len(), kept.join("\n"));
}

/// One test for a part of the columns: they take minutes, so they share the processor's cores.
macro_rules! parts {
    ($($test:ident: $how:expr, $part:expr;)*) => {$(
        #[test]
        fn $test() {
            whatever_is_damaged($how, $part);
        }
    )*};
}

/// How many parts the columns are tried in.
const PARTS: usize = 3;

parts! {
    whatever_cannot_be_read_keeps_nobody_from_taking_away_1: Damage::Unreadable, 0;
    whatever_cannot_be_read_keeps_nobody_from_taking_away_2: Damage::Unreadable, 1;
    whatever_cannot_be_read_keeps_nobody_from_taking_away_3: Damage::Unreadable, 2;
    a_changed_bit_in_every_row_keeps_nobody_from_taking_away_1: Damage::Bit, 0;
    a_changed_bit_in_every_row_keeps_nobody_from_taking_away_2: Damage::Bit, 1;
    a_changed_bit_in_every_row_keeps_nobody_from_taking_away_3: Damage::Bit, 2;
}

/// Times that say that something is over already, whether or not they are times: what is not refused can be ended.
#[test]
fn a_time_that_says_it_is_over_keeps_nobody_from_taking_away() {
    let scene = Scene::new();
    let original = scene.folder.path().join("original.db");
    scene.world.keystile.backup(&original).unwrap();
    let columns = [("users", "suspended_at"), ("users", "deleted_at"), ("sessions", "ended_at")];
    let times = [-1, 1, i64::MAX];
    for ((table, column), time) in columns.into_iter().flat_map(|column| times.map(|time| (column, time))) {
        let there = Copy::of(&scene, &original, "damaged.db", |raw| {
            assert!(raw.execute(&format!("UPDATE {table} SET {column} = ?1"), [time]).unwrap() > 0);
        });
        for case in &scene.cases {
            let result = (case.contain)(&there.here);
            for credential in &case.refused {
                assert!(!allows(&there.here, credential), "{table}.{column}: {} {result:?}", case.name);
                assert!(comes_to_refuse(&there.following, credential), "{table}.{column}: {} {result:?}", case.name);
            }
        }
    }
}

/// A revocation that cannot be read denies everything, and is not swept away.
#[test]
fn a_revocation_that_cannot_be_read_is_kept() {
    let scene = Scene::new();
    let keystile = &scene.world.keystile;
    past_all_precautions(&scene.world.path, |raw| {
        assert!(raw.execute("UPDATE revocations SET expires_at = -1", []).unwrap() > 0);
    });
    let count = || {
        let raw = Connection::open(&scene.world.path).unwrap();
        raw.query_row("SELECT count(*) FROM revocations WHERE expires_at = -1", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let before = count();
    scene.world.clock.advance(86_400 * 3);
    for id in ["one", "two"] {
        keystile.tokens().revoke_id(None, id).unwrap();
        scene.world.clock.advance(86_400 * 3);
    }
    assert_eq!(count(), before);
}

/// The scene itself: everything is allowed before, and refused after.
#[test]
fn everything_that_is_taken_away_was_there() {
    let scene = Scene::new();
    let following = scene.world.follow();
    for case in &scene.cases {
        for (at, credential) in case.refused.iter().enumerate() {
            let was_revoked = case.name == "tokens revoke again";
            assert_eq!(allows(&following, credential), !was_revoked, "{} {at}", case.name);
        }
        (case.contain)(&scene.world.keystile).unwrap();
        for (at, credential) in case.refused.iter().enumerate() {
            assert!(!allows(&scene.world.keystile, credential), "{} {at}", case.name);
            assert!(comes_to_refuse(&following, credential), "{} {at}", case.name);
        }
    }
    assert!(scene.canaries[..2].iter().all(|canary| allows(&following, canary)));
}
