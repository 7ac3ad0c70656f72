//! Imports: staged out of sight, in force all at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystile_validator::{Code, Timestamp};

use super::*;
use crate::clock::Clock as _;
use crate::{KeyQuery, Keystile, ManualClock, NewKey, NewStore, RevokeReason, Severity};

struct Setup {
    _folder: tempfile::TempDir,
    path: PathBuf,
    clock: Arc<ManualClock>,
}

impl Setup {
    fn new() -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix(1_900_000_000).unwrap()));
        Keystile::create(&path, NewStore::default()).unwrap();
        Setup { _folder: folder, path, clock }
    }

    fn open(&self, on_demand: bool) -> Keystile {
        Keystile::options().clock(Arc::clone(&self.clock)).on_demand(on_demand).open(&self.path).unwrap()
    }
}

fn secret(number: usize) -> String {
    format!("secret number {number}")
}

fn imported(number: usize) -> ImportedKey {
    ImportedKey::new(Digest::of(secret(number).as_bytes()), format!("key {number}"), Environment::new("live").unwrap())
}

fn code(keystile: &Keystile, number: usize) -> Option<Code> {
    keystile.verify(secret(number), &keystile.request()).code()
}

fn count(keystile: &Keystile) -> u64 {
    keystile.inner.store().read().unwrap().key_counts(keystile.inner.now()).unwrap().keys
}

fn actions(keystile: &Keystile) -> Vec<String> {
    keystile.audit(None, 0, 10_000).unwrap().into_iter().map(|entry| entry.action).collect()
}

const MANY: usize = 2 * MAX_STAGED_AT_ONCE + MAX_STAGED_AT_ONCE / 2;

/// Begins an import and stages two writes of it.
fn staged(keystile: &Keystile) -> Import<'_> {
    let mut import = keystile.keys().begin_import();
    (0..MANY).for_each(|number| import.add(imported(number)).unwrap());
    assert_eq!(import.staged, 2 * MAX_STAGED_AT_ONCE);
    import
}

#[test]
fn staged_keys_are_not_in_force_and_in_no_list() {
    let setup = Setup::new();
    let (keystile, other, on_demand) = (setup.open(false), setup.open(false), setup.open(true));
    let import = staged(&keystile);
    for keystile in [&keystile, &other, &on_demand] {
        assert_eq!(code(keystile, 0), Some(Code::Malformed));
        assert_eq!(count(keystile), 0);
        assert_eq!(keystile.keys().list(&KeyQuery::default()).unwrap().keys, []);
        assert_eq!(keystile.inner.store().read().unwrap().key_count().unwrap(), 0);
    }
    other.inner.follow().unwrap();
    assert_eq!(other.secrets_in_memory(), 0);

    let Imported { id, keys } = import.complete().unwrap();
    assert_eq!(keys, MANY as u64);
    other.inner.follow().unwrap();
    for keystile in [&keystile, &other, &on_demand, &setup.open(false)] {
        assert_eq!(code(keystile, 0), None);
        assert_eq!(code(keystile, MANY - 1), None);
        assert_eq!(count(keystile), MANY as u64);
        let query = KeyQuery { import: Some(id), limit: 1_000, ..KeyQuery::default() };
        assert_eq!(keystile.keys().list(&query).unwrap().keys.len(), 1_000);
        let query = KeyQuery { import: Some(ImportId::from_bytes([0; 16])), ..KeyQuery::default() };
        assert_eq!(keystile.keys().list(&query).unwrap().keys, []);
    }
    assert_eq!(other.secrets_in_memory(), MANY as u64);
}

/// Nothing of an import holds the store between two of its writes.
#[test]
fn others_write_while_keys_are_staged() {
    let setup = Setup::new();
    let (keystile, other) = (setup.open(true), setup.open(true));
    let mut import = keystile.keys().begin_import();
    for number in 0..MAX_STAGED_AT_ONCE {
        import.add(imported(number)).unwrap();
    }
    let created = other.keys().create(NewKey { name: "made meanwhile".into(), ..NewKey::default() }).unwrap();
    for number in MAX_STAGED_AT_ONCE..MANY {
        import.add(imported(number)).unwrap();
    }
    other.keys().revoke(created.key.id, RevokeReason::KeyCompromise, None).unwrap();
    import.complete().unwrap();
    let verdict = other.verify(created.secret.expose_secret(), &other.request());
    assert_eq!(verdict.code(), Some(Code::Revoked));

    // Between two changes of others there are never more entries than one write stages, and its end.
    let actions = actions(&keystile);
    let mut runs = actions.split(|action| !action.starts_with("key.imported"));
    assert!(runs.all(|run| run.len() <= 2 * MAX_STAGED_AT_ONCE), "a write staged too much");
    let position = |wanted: &str| actions.iter().position(|action| action == wanted).unwrap();
    assert!(position("key.created") == MAX_STAGED_AT_ONCE + 1, "{}", position("key.created"));
    assert!(
        position("key.created") < position("key.revoked") && position("key.revoked") < position("import.completed")
    );
}

#[test]
fn an_import_that_fails_or_is_dropped_leaves_nothing() {
    let setup = Setup::new();
    let keystile = setup.open(false);
    drop(staged(&keystile));
    assert_eq!(actions(&keystile).last().unwrap(), "import.discarded");

    // The last key is there twice: what was staged before it goes.
    let twice = (0..MANY).chain([0]).map(imported);
    let error = keystile.keys().import(twice).unwrap_err();
    assert!(matches!(error, ImportKeysError::DuplicateDigest { index: MANY }), "{error:?}");
    let mut misfit = imported(MANY);
    misfit.name = "a\0b".into();
    let error = keystile.keys().import((0..MANY).map(imported).chain([misfit])).unwrap_err();
    assert!(matches!(error, ImportKeysError::Field { index: MANY, .. }), "{error:?}");

    let rows = |table: &str| -> i64 {
        let connection = rusqlite::Connection::open(&setup.path).unwrap();
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("imports"), rows("keys"), rows("secrets")), (0, 0, 0));
    // The digests are free again.
    assert_eq!(keystile.keys().import((0..MANY).map(imported)).unwrap().keys, MANY as u64);
    assert_eq!((rows("imports"), rows("keys"), rows("secrets")), (1, MANY as i64, MANY as i64));
}

/// One entry for each write that deletes, which names what it deletes: also when it ends with a full one.
#[test]
fn what_a_discarded_import_leaves_in_the_trail_is_bounded() {
    for (begun, last) in [(MANY, 0), (2 * MAX_STAGED_AT_ONCE, 0), (MAX_STAGED_AT_ONCE, 1)] {
        let setup = Setup::new();
        let keystile = setup.open(true);
        let mut import = keystile.keys().begin_import();
        (0..begun).for_each(|number| import.add(imported(number)).unwrap());
        if last > 0 {
            import.add(imported(begun)).unwrap();
            import.stage(false).unwrap();
        }
        let (id, keys) = (import.id.unwrap().to_string(), import.staged);
        let before = keystile.recent_audit(&crate::AuditQuery::default()).unwrap().entries[0].sequence;
        setup.clock.advance(60);
        drop(import);
        let entries = keystile.audit(None, before, 100).unwrap();
        assert!(entries.iter().all(|entry| entry.subject.as_deref() == Some(&*id) && entry.at == setup.clock.now()));
        let told: Vec<_> =
            entries.iter().map(|entry| (&*entry.action, &*entry.detail, entry.rows.iter().count())).collect();
        let full = format!(r#"{{"keys":{MAX_STAGED_AT_ONCE}}}"#);
        let all = format!(r#"{{"keys":{keys}}}"#);
        let mut expected = vec![("import.discarding", &*full, MAX_STAGED_AT_ONCE); keys / MAX_STAGED_AT_ONCE];
        expected.push(("import.discarded", &*all, keys % MAX_STAGED_AT_ONCE + 1));
        assert_eq!(told, expected);
        assert!(matches!(keystile.verify_audit(None).unwrap(), crate::AuditReport::Intact { .. }));
    }
}

#[test]
fn more_keys_than_fit_are_refused_and_leave_nothing() {
    let setup = Setup::new();
    let keystile = setup.open(true);
    let mut import = keystile.keys().begin_import();
    import.staged = MAX_IMPORT - 1;
    import.add(imported(1)).unwrap();
    let error = import.add(imported(2)).unwrap_err();
    assert!(matches!(error, ImportKeysError::Count { given } if given == MAX_IMPORT + 1), "{error:?}");
    let error = keystile.keys().import([]).unwrap_err();
    assert!(matches!(error, ImportKeysError::Count { given: 0 }), "{error:?}");
}

/// A process that is killed discards nothing.
#[test]
fn what_a_killed_import_has_staged_is_discarded_by_the_next_one() {
    let setup = Setup::new();
    let keystile = setup.open(true);
    std::mem::forget(staged(&keystile));

    let error = keystile.keys().import([imported(0)]).unwrap_err();
    assert!(matches!(error, ImportKeysError::Running { .. }), "{error:?}");
    assert!(warnings(&keystile, &setup.path).is_empty(), "it may still be alive");
    setup.clock.advance(LEASE_SECONDS);
    let found = warnings(&keystile, &setup.path);
    assert!(
        found.len() == 1 && found[0].contains(&format!("its {} keys are staged", 2 * MAX_STAGED_AT_ONCE)),
        "{found:?}"
    );

    assert_eq!(keystile.keys().import([imported(0)]).unwrap().keys, 1);
    assert_eq!(count(&keystile), 1);
    assert!(warnings(&keystile, &setup.path).is_empty());
}

fn warnings(keystile: &Keystile, path: &Path) -> Vec<String> {
    let findings = keystile.doctor(path).unwrap().findings.into_iter();
    let of_imports = findings.filter(|finding| finding.check == "imports" && finding.severity == Severity::Warning);
    of_imports.map(|finding| finding.message).collect()
}

/// A lease from a clock that was ahead holds nobody up.
#[test]
fn a_lease_beyond_the_longest_one_has_ended() {
    let setup = Setup::new();
    let keystile = setup.open(true);
    let now = setup.clock.now();
    setup.clock.set(now.saturating_add(86_400));
    std::mem::forget(staged(&keystile));
    setup.clock.set(now);
    assert_eq!(keystile.keys().import([imported(0)]).unwrap().keys, 1);
}

#[test]
fn an_import_whose_keys_were_discarded_ends_with_an_error() {
    let setup = Setup::new();
    let (keystile, other) = (setup.open(true), setup.open(true));
    let import = staged(&keystile);
    setup.clock.advance(LEASE_SECONDS);
    other.keys().import([imported(0)]).unwrap();
    let error = import.complete().unwrap_err();
    assert!(matches!(error, ImportKeysError::Discarded), "{error:?}");
    assert_eq!(count(&keystile), 1);
}

/// Whoever names a staged key by its id, as the trail does, can revoke it; it stays so.
#[test]
fn a_staged_key_can_be_revoked() {
    let setup = Setup::new();
    let keystile = setup.open(false);
    let import = staged(&keystile);
    let entries = keystile.audit(None, 0, 10).unwrap();
    let first = entries.iter().find(|entry| entry.action == "key.imported").unwrap();
    let id = first.subject.as_deref().unwrap().parse().unwrap();
    keystile.keys().revoke(id, RevokeReason::KeyCompromise, None).unwrap();
    assert_eq!(code(&keystile, 0), Some(Code::Malformed));
    import.complete().unwrap();
    assert_eq!(code(&keystile, 0), Some(Code::Revoked));
    assert_eq!(code(&keystile, 1), None);
}

/// What was taken away from a staged key is not given back by importing it once more.
#[test]
fn a_staged_key_that_was_taken_away_is_kept_when_its_import_is_discarded() {
    let setup = Setup::new();
    let (keystile, follower) = (setup.open(true), setup.open(false));
    let import = staged(&keystile);
    let entries = keystile.audit(None, 0, MANY).unwrap();
    let ids: Vec<crate::KeyId> = entries
        .iter()
        .filter(|entry| entry.action == "key.imported")
        .map(|entry| entry.subject.as_deref().unwrap().parse().unwrap())
        .collect();
    let keys = keystile.keys();
    // The second one lies in another write than the others; of the last one nobody can read the limits.
    let [revoked, later, suspended, rotated, damaged] = [0, MAX_STAGED_AT_ONCE + 1, 2, 3, 4];
    for number in [revoked, later, damaged] {
        keys.revoke(ids[number], RevokeReason::KeyCompromise, None).unwrap();
    }
    keys.suspend(ids[suspended]).unwrap();
    let rotation = crate::Rotation { grace: crate::Grace::NONE, ..crate::Rotation::default() };
    keys.rotate(ids[rotated], rotation).unwrap();
    let raw = rusqlite::Connection::open(&setup.path).unwrap();
    raw.execute("UPDATE keys SET metadata = 'x' WHERE id = ?1", [ids[damaged].as_bytes()]).unwrap();
    drop(raw);
    let backup = setup.path.with_file_name("staged.db");
    keystile.backup(&backup).unwrap();

    drop(import);
    let expected = [
        (revoked, Code::Revoked),
        (later, Code::Revoked),
        (suspended, Code::Suspended),
        (rotated, Code::Suspended),
        (damaged, Code::Revoked),
    ];
    follower.inner.follow().unwrap();
    for keystile in [&keystile, &follower] {
        for (number, expected) in expected {
            assert_eq!(code(keystile, number), Some(expected), "{number}");
            let error = keystile.keys().import([imported(number)]).unwrap_err();
            assert!(matches!(error, ImportKeysError::DuplicateDigest { .. }), "{error:?}");
        }
        assert_eq!(code(keystile, 1), Some(Code::Malformed));
        assert_eq!(count(keystile), expected.len() as u64);
    }
    keys.resume(ids[rotated]).unwrap();
    assert_eq!(code(&keystile, rotated), Some(Code::Rotated));
    assert_eq!(actions(&keystile).iter().filter(|action| *action == "key.kept").count(), expected.len());
    // The trail goes on to tell of the damage, and of nothing else.
    let differing = |keystile: &Keystile| match keystile.verify_audit(None).unwrap() {
        crate::AuditReport::Differs { differences, .. } => {
            let rows: BTreeSet<_> = differences.iter().map(|it| it.what.row().unwrap().text()).collect();
            Vec::from_iter(rows)
        }
        report => panic!("{report:?}"),
    };
    assert_eq!(differing(&keystile), [ids[damaged].to_string()]);

    // The same of an import that was in progress when a backup was made.
    let fresh = setup.path.with_file_name("fresh.db");
    Keystile::restore(&backup, &fresh, "tests").unwrap();
    let restored = Keystile::open(&fresh).unwrap();
    for (number, expected) in expected {
        assert_eq!(code(&restored, number), Some(expected), "{number}");
    }
    assert_eq!(differing(&restored), [ids[damaged].to_string()]);
}

#[test]
fn a_backup_made_meanwhile_holds_none_of_the_keys_once_it_is_restored() {
    let setup = Setup::new();
    let keystile = setup.open(true);
    let import = staged(&keystile);
    let backup = setup.path.with_file_name("backup.db");
    keystile.backup(&backup).unwrap();
    let fresh = setup.path.with_file_name("fresh.db");
    Keystile::restore(&backup, &fresh, "tests").unwrap();
    let restored = Keystile::open(&fresh).unwrap();
    assert_eq!(restored.keys().import((0..MANY).map(imported)).unwrap().keys, MANY as u64);

    // In the store itself, the import ends with an error: the store is another one now.
    Keystile::restore(&backup, &setup.path, "tests").unwrap();
    let error = import.complete().unwrap_err();
    assert!(matches!(error, ImportKeysError::Discarded), "{error:?}");
    assert_eq!(count(&keystile), 0);
}

/// What is staged after a failure would come into force without what has failed.
#[test]
fn an_import_that_has_failed_once_imports_nothing() {
    let setup = Setup::new();
    let keystile = setup.open(false);
    for failing_at in [0, MAX_STAGED_AT_ONCE] {
        let mut import = keystile.keys().begin_import();
        let mut errors = Vec::new();
        for number in 0..failing_at + MAX_STAGED_AT_ONCE {
            // The same digest twice within one write.
            let number = if number == failing_at + 1 { failing_at } else { number };
            errors.extend(import.add(imported(number)).err());
        }
        assert!(
            matches!(errors[..], [ImportKeysError::DuplicateDigest { index }] if index == failing_at + 1),
            "{errors:?}"
        );
        for number in 5_000..5_000 + MAX_STAGED_AT_ONCE {
            assert!(matches!(import.add(imported(number)), Err(ImportKeysError::Failed)));
        }
        assert!(matches!(import.complete(), Err(ImportKeysError::Failed)));
        assert!(count(&keystile) == 0 && code(&keystile, 2).is_some());
    }
    keystile.keys().import((0..3).map(imported)).unwrap();
    assert_eq!((count(&keystile), code(&keystile, 2)), (3, None));
}
