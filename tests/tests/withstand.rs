//! Bad input everywhere gets a clear error and loses nothing.

use std::collections::BTreeMap;
use std::path::Path;

use keystile::{
    Code, CreateKeyError, Digest, Environment, ImportKeysError, ImportedKey, KeyFieldError, KeyQuery, Keystile,
    ListKeysError, NewKey, NewStore, OpenError, RevokeReason, RotateKeyError, Rotation, Scope, Settings, StoreError,
    bounds,
};
use keystile_tests::keystile;

fn new_store() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    (folder, path)
}

fn named(name: &str) -> NewKey {
    NewKey { name: name.into(), ..NewKey::default() }
}

fn imported(secret: &str) -> ImportedKey {
    ImportedKey {
        digest: Digest::of(secret.as_bytes()),
        name: "imported".into(),
        display: None,
        owner: None,
        environment: Environment::new("live").unwrap(),
        scopes: Vec::new(),
        addresses: Vec::new(),
        rate: None,
        metadata: BTreeMap::new(),
        not_before: None,
        expires_at: None,
    }
}

fn count(keystile: &Keystile) -> usize {
    keystile.keys().list(&KeyQuery { limit: bounds::MAX_PAGE, ..KeyQuery::default() }).unwrap().keys.len()
}

#[test]
fn names_and_metadata_are_bounded_and_clean() {
    let (_folder, path) = new_store();
    let keystile = Keystile::open(&path).unwrap();
    let longest = "n".repeat(bounds::MAX_NAME_LEN);
    keystile.keys().create(named(&longest)).unwrap();
    for bad in ["", " ", "a\0b", "a\nb", "\u{1b}[31mred", "a\u{202e}b", " a", &(longest + "n")] {
        let error = keystile.keys().create(named(bad)).unwrap_err();
        assert!(matches!(error, CreateKeyError::Field(KeyFieldError::Name)), "{bad:?}: {error}");
        assert!(!error.to_string().contains(['\0', '\u{1b}', '\u{202e}']), "an error does not repeat what it refuses");
    }
    let with = |metadata: BTreeMap<String, String>| keystile.keys().create(NewKey { metadata, ..named("m") });
    let many = |count: usize| (0..count).map(|n| (format!("k{n:02}"), String::new())).collect::<BTreeMap<_, _>>();
    assert!(with(many(bounds::MAX_METADATA)).is_ok());
    assert!(matches!(
        with(many(bounds::MAX_METADATA + 1)),
        Err(CreateKeyError::Field(KeyFieldError::MetadataCount { given: 33 }))
    ));
    let entry = |name: usize, value: usize| BTreeMap::from([("n".repeat(name), "v".repeat(value))]);
    assert!(with(entry(bounds::MAX_METADATA_NAME_LEN, bounds::MAX_METADATA_VALUE_LEN)).is_ok());
    for (name, value) in [(bounds::MAX_METADATA_NAME_LEN + 1, 1), (1, bounds::MAX_METADATA_VALUE_LEN + 1), (0, 1)] {
        let error = with(entry(name, value)).unwrap_err();
        assert!(matches!(error, CreateKeyError::Field(KeyFieldError::MetadataEntry { index: 0 })), "{error}");
    }
}

#[test]
fn times_must_make_sense() {
    let (_folder, path) = new_store();
    let keystile = Keystile::open(&path).unwrap();
    let now = keystile.request().now;
    let past = NewKey { expires_at: Some(now), ..named("past") };
    assert!(matches!(keystile.keys().create(past), Err(CreateKeyError::Field(KeyFieldError::ExpiryInPast { .. }))));
    let never = NewKey {
        not_before: Some(now.saturating_add(60)),
        expires_at: Some(now.saturating_add(60)),
        ..named("never valid")
    };
    assert!(matches!(keystile.keys().create(never), Err(CreateKeyError::Field(KeyFieldError::StartsAfterExpiry))));
    assert_eq!(count(&keystile), 0);
}

#[test]
fn the_operators_longest_lifetime_holds() {
    let (_folder, path) = new_store();
    let keystile = Keystile::open(&path).unwrap();
    keystile.set_settings(&Settings { max_lifetime: Some(30 * 86_400), ..Settings::default() }).unwrap();
    let now = keystile.request().now;
    let expiring = |days: u64| NewKey { expires_at: Some(now.saturating_add(days * 86_400)), ..named("k") };
    assert!(keystile.keys().create(expiring(30)).is_ok());
    let error = keystile.keys().create(expiring(31)).unwrap_err();
    assert!(matches!(error, CreateKeyError::Field(KeyFieldError::LifetimeTooLong { .. })), "{error}");
    let unlimited = keystile.keys().create(named("no expiry given")).unwrap();
    let lives = unlimited.key.expires_at.unwrap().seconds_since(unlimited.key.created_at);
    assert_eq!(lives, 30 * 86_400, "a key without an expiry gets the longest lifetime");
    let forever = keystile::KeyChange { expires_at: Some(None), ..keystile::KeyChange::default() };
    let updated = keystile.keys().update(unlimited.key.id, forever).unwrap();
    assert_eq!(updated.expires_at, unlimited.key.expires_at, "an update is no way around it");
    assert!(keystile.set_settings(&Settings { max_lifetime: Some(59), ..Settings::default() }).is_err());
    assert!(
        keystile.set_settings(&Settings { max_lifetime: Some(3_650 * 86_400 + 1), ..Settings::default() }).is_err()
    );
}

#[test]
fn an_import_is_all_or_nothing() {
    let (_folder, path) = new_store();
    let keystile = Keystile::open(&path).unwrap();
    assert!(matches!(keystile.keys().import(Vec::new()), Err(ImportKeysError::Count { given: 0 })));
    assert_eq!(keystile.keys().import([imported("old-1"), imported("old-2")]).unwrap().keys, 2);
    let twice = vec![imported("new-1"), imported("new-2"), imported("new-1")];
    assert!(matches!(keystile.keys().import(twice), Err(ImportKeysError::DuplicateDigest { index: 2 })));
    let known = vec![imported("new-1"), imported("old-2"), imported("new-2")];
    assert!(matches!(keystile.keys().import(known), Err(ImportKeysError::DuplicateDigest { index: 1 })));
    let mut misfit = vec![imported("new-1"), imported("new-2")];
    misfit[1].name = "a\0b".into();
    assert!(matches!(keystile.keys().import(misfit), Err(ImportKeysError::Field { index: 1, .. })));
    assert_eq!(count(&keystile), 2);
    assert!(keystile.verify("old-1", &keystile.request()).is_allow());
    assert_eq!(keystile.verify("new-1", &keystile.request()).code(), Some(Code::Malformed));
    // A secret of a known format whose digest was imported from elsewhere works although its checksum
    // is none of ours.
    let foreign = format!("ks_live_{}", "A".repeat(36));
    assert_eq!(keystile.verify(&foreign, &keystile.request()).code(), Some(Code::UnknownKey));
    keystile.keys().import(vec![imported(&foreign)]).unwrap();
    assert!(keystile.verify(&foreign, &keystile.request()).is_allow());
    let on_demand = Keystile::options().on_demand(true).open(&path).unwrap();
    assert!(on_demand.verify(&foreign, &on_demand.request()).is_allow());
}

#[test]
fn a_credential_of_any_size_and_content_gets_a_verdict() {
    let (_folder, path) = new_store();
    for on_demand in [false, true] {
        let keystile = Keystile::options().on_demand(on_demand).open(&path).unwrap();
        let request = keystile.request();
        for (credential, code) in [
            (Vec::new(), Code::MissingCredential),
            (vec![0], Code::Malformed),
            (vec![0xff; 44], Code::Malformed),
            (vec![b'x'; bounds::MAX_CREDENTIAL_LEN], Code::Malformed),
            (vec![b'x'; bounds::MAX_CREDENTIAL_LEN + 1], Code::Malformed),
            (vec![b'x'; 1 << 20], Code::Malformed),
            (b"eyJhbGciOiJub25lIn0.e30".to_vec(), Code::Malformed),
            (b"eyJhbGciOiJub25lIn0.e30.".to_vec(), Code::InvalidClaim),
        ] {
            assert_eq!(keystile.verify(&credential, &request).code(), Some(code), "{} bytes", credential.len());
        }
        assert_eq!(keystile.sandbox_counters().failures(), 0);
    }
}

#[test]
fn a_request_beyond_its_bounds_is_denied() {
    let (_folder, path) = new_store();
    let keystile = Keystile::open(&path).unwrap();
    let created = keystile.keys().create(named("k")).unwrap();
    let mut request = keystile.request();
    request.any_of = vec![Scope::new("read").unwrap(); bounds::MAX_REQUEST_SCOPES + 1];
    assert_eq!(keystile.verify(created.secret.expose_secret(), &request).code(), Some(Code::Unavailable));
}

#[test]
fn lists_are_bounded() {
    let (_folder, path) = new_store();
    let keystile = Keystile::open(&path).unwrap();
    let list = |query: KeyQuery| keystile.keys().list(&query);
    assert!(list(KeyQuery { limit: bounds::MAX_PAGE, ..KeyQuery::default() }).is_ok());
    for limit in [0, bounds::MAX_PAGE + 1] {
        assert!(matches!(list(KeyQuery { limit, ..KeyQuery::default() }), Err(ListKeysError::Limit { .. })));
    }
    let search = |len: usize| list(KeyQuery { search: Some("s".repeat(len)), ..KeyQuery::default() });
    assert!(search(bounds::MAX_SEARCH_LEN).is_ok());
    assert!(matches!(search(bounds::MAX_SEARCH_LEN + 1), Err(ListKeysError::Search)));
}

#[test]
fn rotation_is_bounded_and_idempotent() {
    let (_folder, path) = new_store();
    let keystile = Keystile::open(&path).unwrap();
    let keys = keystile.keys();
    let id = keys.create(named("k")).unwrap().key.id;
    let grace = keystile::Grace::from_now;
    let rotation = |seconds, request_id: Option<&str>| Rotation {
        grace: grace(seconds),
        request_id: request_id.map(str::to_owned),
        ..Rotation::default()
    };
    assert!(matches!(keys.rotate(id, rotation(bounds::MAX_GRACE + 1, None)), Err(RotateKeyError::Grace)));
    let long = "r".repeat(bounds::MAX_REQUEST_ID_LEN + 1);
    for bad in ["", "a\nb", &long] {
        assert!(matches!(keys.rotate(id, rotation(60, Some(bad))), Err(RotateKeyError::RequestId)));
    }
    let first = keys.rotate(id, rotation(60, Some("deploy-7"))).unwrap();
    let again = keys.rotate(id, rotation(60, Some("deploy-7"))).unwrap();
    assert!(first.secret.is_some() && again.secret.is_none());
    assert_eq!(again.key.secrets.len(), 2, "the same request does not rotate twice");
    assert!(matches!(keys.rotate(id, rotation(61, Some("deploy-7"))), Err(RotateKeyError::RequestIdReused)));
    let other = keys.create(named("other")).unwrap().key.id;
    assert!(keys.rotate(other, rotation(61, Some("deploy-7"))).unwrap().secret.is_some(), "request ids are per key");
    for _ in 2..bounds::MAX_VALID_SECRETS {
        keys.rotate(id, rotation(60, None)).unwrap();
    }
    assert!(matches!(keys.rotate(id, rotation(60, None)), Err(RotateKeyError::TooManySecrets)));
    let freed = keys.rotate(id, rotation(0, None)).unwrap();
    let valid = freed.key.secrets.iter().filter(|s| s.retires_at.is_none_or(|at| keystile.request().now < at)).count();
    assert_eq!(valid, 1, "a grace of 0 retires every older secret");
}

#[test]
fn a_note_is_one_clean_line() {
    let (_folder, path) = new_store();
    let keystile = Keystile::open(&path).unwrap();
    let id = keystile.keys().create(named("k")).unwrap().key.id;
    let long = "n".repeat(bounds::MAX_NOTE_LEN + 1);
    for bad in ["", "a\nb", &long] {
        assert!(keystile.keys().revoke(id, RevokeReason::Unspecified, Some(bad)).is_err());
    }
    keystile.keys().revoke(id, RevokeReason::Unspecified, Some(&long[1..])).unwrap();
    assert!(keystile.keys().revoke(id, RevokeReason::Unspecified, None).is_err(), "revoked is for good");
    assert!(keystile.keys().resume(id).is_err());
    assert!(keystile.keys().rotate(id, Rotation::default()).is_err());
}

#[test]
fn what_is_no_store_is_not_opened_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| match Keystile::open(path) {
        Err(OpenError::Store(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(open(&folder.path().join("missing.db")), StoreError::Missing { .. }));

    let other_program = folder.path().join("other.db");
    let connection = rusqlite::Connection::open(&other_program).unwrap();
    connection.execute_batch("PRAGMA application_id = 7; CREATE TABLE t (a); INSERT INTO t VALUES (1);").unwrap();
    drop(connection);
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "my notes, not a database, and long enough to look like one, perhaps. ".repeat(20)).unwrap();
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    for path in [&other_program, &text, &empty] {
        let before = std::fs::read(path).unwrap();
        let error = open(path);
        println!("{}: {error}", path.display());
        assert_eq!(std::fs::read(path).unwrap(), before, "not a byte has changed");
        assert!(Keystile::create(path, NewStore::default()).is_err(), "and nothing is written over it");
        assert_eq!(std::fs::read(path).unwrap(), before);
    }
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), 3, "nothing was left beside them: {files:?}");
}

#[test]
fn a_newer_store_is_refused() {
    let (_folder, path) = new_store();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let Err(OpenError::Store(error)) = Keystile::open(&path) else { panic!("a newer store was opened") };
    assert!(error.to_string().contains("99"), "{error}");
}

/// As a user who may read the store, but not write it.
#[cfg(unix)]
#[test]
fn a_store_that_cannot_be_written_can_still_be_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, path) = new_store();
    let keystile_of_store = Keystile::open(&path).unwrap();
    let created = keystile_of_store.keys().create(named("k")).unwrap();
    drop(keystile_of_store);
    let mode = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&path, 0o444);
    mode(folder.path(), 0o555);
    let id = created.key.id.to_string();
    let run = |arguments: &[&str]| {
        // Root may write anywhere, so as root the program runs as somebody else.
        let program = keystile(&path);
        let mut command = std::process::Command::new("setpriv");
        if rustix_is_root() {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy_for_everyone());
        } else {
            command = std::process::Command::new(program.get_program());
        }
        command.args(arguments).env("KEYSTILE_DB", &path).output().unwrap()
    };
    let shown = run(&["--json", "keys", "show", &id]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let revoked = run(&["keys", "revoke", &id]);
    assert_eq!(revoked.status.code(), Some(4), "{}", String::from_utf8_lossy(&revoked.stderr));
    let message = String::from_utf8(revoked.stderr).unwrap();
    assert!(message.contains("try:"), "{message}");
    mode(&path, 0o000);
    let hidden = run(&["--json", "keys", "show", &id]);
    assert_eq!(hidden.status.code(), Some(4));
    let told = String::from_utf8([hidden.stdout, hidden.stderr].concat()).unwrap();
    assert!(told.contains("\"unreadable\""), "{told}");
    mode(folder.path(), 0o755);
    mode(&path, 0o600);
    let after = Keystile::open(&path).unwrap();
    assert!(after.verify(created.secret.expose_secret(), &after.request()).is_allow(), "nothing was lost");
}

#[cfg(unix)]
fn rustix_is_root() -> bool {
    let output = std::process::Command::new("id").arg("-u").output().unwrap();
    output.stdout.starts_with(b"0\n")
}

/// The program at a place that every user can reach; the build folder may be somebody's home.
#[cfg(unix)]
fn copy_for_everyone() -> &'static Path {
    use std::os::unix::fs::PermissionsExt as _;
    static COPY: std::sync::OnceLock<(tempfile::TempDir, std::path::PathBuf)> = std::sync::OnceLock::new();
    let (_, path) = COPY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("keystile");
        std::fs::copy(keystile_tests::keystile_bin(), &path).unwrap();
        (folder, path)
    });
    path
}

/// The file may not grow any more, as on a full disk: the change is refused as a whole, what was there
/// stays, and with room again everything goes on.
#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing() {
    let (folder, path) = new_store();
    let script = r#"
        trap '' XFSZ
        ulimit -f "$1"
        shift
        exec "$@"
    "#;
    let run = |blocks: u32, name: &str| {
        let command = keystile(&path);
        std::process::Command::new("bash")
            .args(["-c", script, "bash"])
            .arg(blocks.to_string())
            .arg(command.get_program())
            .args(["keys", "create", "--name", name])
            .env("KEYSTILE_DB", &path)
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let created = run(1_000_000, "with room");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let secret = String::from_utf8(created.stdout).unwrap();
    // Blocks of 1,024 bytes: not even one page of the journal.
    let refused = run(2, "without room");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{message}");
    assert!(refused.stdout.is_empty(), "no secret of a key that was not made");
    assert!(message.contains("full"), "{message}");
    let again = run(1_000_000, "with room again");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let keystile = Keystile::open(&path).unwrap();
    assert!(keystile.verify(secret.trim_end(), &keystile.request()).is_allow());
    assert_eq!(count(&keystile), 2);
    assert!(keystile.doctor(&path).unwrap().severity() < keystile::Severity::Error);
}
