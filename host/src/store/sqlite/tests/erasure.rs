//! What is deleted is gone from the file, its journal and every backup made after.

use std::fs;

use super::*;
use crate::audit;
use crate::ids::{SessionId, UserId};
use crate::session::Session;
use crate::store::sqlite::erasure::REWRITTEN_AT_ONCE;
use crate::store::users::{PasswordHash, SealedRefreshKey, SessionRow};
use crate::store::{Erasure, Urgency};
use crate::user::User;

/// A number without a pattern, the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn up_to(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn mark(number: u32) -> String {
    format!("m{:016x}z", Numbers(u64::from(number)).next())
}

/// Each of its texts begins with a mark of its own, and some need overflow pages.
fn person(number: u32, numbers: &mut Numbers) -> User {
    let mut id = [3; 16];
    id[..8].copy_from_slice(&numbers.next().to_be_bytes());
    id[12..].copy_from_slice(&number.to_be_bytes());
    let long = if number.is_multiple_of(50) { 9_000 } else { numbers.up_to(40) };
    User {
        id: UserId::from_bytes(id),
        email: format!("{}{}@example.com", mark(number), "e".repeat(numbers.up_to(30) as usize)).parse().unwrap(),
        name: Some(format!("{}{}", mark(number), "n".repeat(long as usize))),
        organization: Some(format!("{}o", mark(number))),
        admin: false,
        created_at: at(0),
        created_by: "tests".to_owned(),
        updated_at: at(0),
        suspended_at: None,
        password_set_at: Some(at(0)),
        last_login_at: None,
    }
}

fn hash(number: u32, numbers: &mut Numbers) -> PasswordHash {
    PasswordHash(format!("{}$argon2id${}", mark(number), "h".repeat(50 + numbers.up_to(40) as usize)))
}

fn session(number: u32, user: &User) -> SessionRow {
    let mut id = [4; 16];
    id[..4].copy_from_slice(&number.to_le_bytes());
    SessionRow {
        session: Session {
            id: SessionId::from_bytes(id),
            user: user.id,
            client_id: Some("web".to_owned()),
            client: Some(format!("{}c", mark(number))),
            address: None,
            key: None,
            secret: None,
            environment: None,
            scopes: Vec::new(),
            created_at: at(0),
            last_used_at: at(0),
            expires_at: at(1_000),
            end: None,
        },
        key: Some(SealedRefreshKey(vec![9; 61])),
        counter: 1,
        rotated_at: None,
        tokens_until: None,
    }
}

/// How many of these marks are in the files of the folder whose name begins so.
fn marks_in(fixture: &Fixture, prefix: &str, marks: &[String]) -> usize {
    let mut bytes = Vec::new();
    for name in fixture.files().iter().filter(|name| name.starts_with(prefix)) {
        bytes.extend(fs::read(fixture.file(name)).unwrap());
    }
    let wanted: std::collections::HashSet<&[u8]> = marks.iter().map(String::as_bytes).collect();
    let len = marks[0].len();
    bytes.windows(len).filter(|window| window[0] == b'm' && wanted.contains(window)).count()
}

/// A store whose rows have moved between pages: made in no order, and changed in length.
fn crowded(count: u32) -> (Fixture, Vec<User>) {
    let fixture = Fixture::new();
    let store = fixture.open();
    let mut numbers = Numbers(7);
    let users: Vec<_> = (0..count).map(|number| person(number, &mut numbers)).collect();
    for chunk in users.chunks(100) {
        write(&store, |transaction| {
            for user in chunk {
                assert!(transaction.insert_user(user, None).unwrap());
            }
        });
    }
    write(&store, |transaction| {
        for _ in 0..count {
            let number = numbers.up_to(u64::from(count)) as u32;
            let password = hash(number, &mut numbers);
            transaction.set_password(users[number as usize].id, Some(&password), at(1)).unwrap();
            let row = session(numbers.next() as u32, &users[number as usize]);
            let client = Some(format!("{}c", mark(number)));
            let row = SessionRow { session: Session { client, ..row.session.clone() }, ..row };
            transaction.insert_session(&row).unwrap();
        }
    });
    drop(store);
    (fixture, users)
}

fn delete(store: &SqliteStore, users: &[User]) {
    for user in users {
        write(store, |transaction| {
            transaction.delete_sessions_of(user.id).unwrap();
            transaction.delete_user(user.id, at(5)).unwrap();
        });
    }
}

/// SQLite leaves copies of rows in the unused parts of pages; `secure_delete` does not reach them.
#[test]
fn deleted_users_are_in_no_page_of_the_file_nor_of_a_backup() {
    let (fixture, users) = crowded(3_000);
    let store = fixture.open();
    let (gone, kept) = users.split_at(1_500);
    let marks = |users: std::ops::Range<u32>| users.map(mark).collect::<Vec<_>>();
    assert!(marks_in(&fixture, "keys.db", &marks(0..1_500)) > 1_500);
    delete(&store, gone);
    // As a process leaves it that could not get them out of the file.
    store.backup(&fixture.file("backup")).unwrap();
    assert_eq!(marks_in(&fixture, "backup", &marks(0..1_500)), 0, "the backup");
    // Truncating the journal is not enough.
    fixture.raw().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).unwrap();
    let left = marks_in(&fixture, "keys.db", &marks(0..1_500));
    assert!(left > 0, "no page has kept a copy, so this test shows nothing: give it another seed");
    assert_eq!(store.erase(Duration::ZERO).unwrap(), Erasure::Done);
    assert_eq!(marks_in(&fixture, "keys.db", &marks(0..1_500)), 0, "the file and its journal, {left} before");
    assert!(marks_in(&fixture, "keys.db", &marks(1_500..3_000)) > 1_500, "and the others are there");
    let inspection = store.inspect().unwrap();
    assert!(inspection.integrity.is_empty() && inspection.settings.is_empty(), "{inspection:?}");
    assert!(kept.iter().all(|user| store.read().unwrap().user_by_email(&user.email).unwrap().is_some()));
    let report = audit::verify(&store, None).unwrap();
    assert!(matches!(report, audit::AuditReport::Intact { .. }), "{report:?}");
    drop(store);
    assert_eq!(fixture.files(), ["backup", "keys.db"]);
}

#[test]
fn whoever_reads_an_older_state_is_waited_for_and_what_is_left_is_done_by_the_next() {
    let (fixture, users) = crowded(20);
    let gone: Vec<String> = (0..20).map(mark).collect();
    let (store, other) = (fixture.open(), fixture.open());
    let reading = other.read().unwrap();
    assert!(reading.user(users[0].id).unwrap().is_some());
    delete(&store, &users);
    assert_eq!(store.erase(Duration::ZERO).unwrap(), Erasure::Waiting);
    assert_eq!(store.erasure().unwrap(), Erasure::Waiting);
    assert!(reading.user(users[0].id).unwrap().is_some(), "a view stays what it was");
    assert!(marks_in(&fixture, "keys.db", &gone) > 0);
    // Others write and read meanwhile.
    insert(&other, [key(1)]);
    drop(reading);
    // The first process ends without having done it; the next one does it when it opens the store.
    drop(store);
    let next = fixture.open();
    assert_eq!(next.erasure().unwrap(), Erasure::Done);
    assert_eq!(marks_in(&fixture, "keys.db", &gone), 0);
    assert!(find(&other, 1).is_some() && find(&next, 1).is_some());
}

/// A reader that comes to an end while somebody waits for it.
#[test]
fn the_wait_ends_with_the_reader() {
    let (fixture, users) = crowded(20);
    let (store, other) = (fixture.open(), fixture.open());
    let reading = other.read().unwrap();
    assert!(reading.user(users[0].id).unwrap().is_some());
    delete(&store, &users);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.erase(Duration::from_secs(60)).unwrap());
        drop(reading);
        assert_eq!(waiting.join().unwrap(), Erasure::Done);
    });
}

/// A write that comes between the copy and its transfer is not lost: the copy is made again.
#[test]
fn a_rewrite_loses_no_write_of_others() {
    let (fixture, users) = crowded(20);
    let (store, other) = (fixture.open(), fixture.open());
    delete(&store, &users[..1]);
    std::thread::scope(|scope| {
        let erasing = scope.spawn(|| store.erase(Duration::from_secs(60)).unwrap());
        for number in 0..50 {
            insert(&other, [key(number)]);
        }
        assert_eq!(erasing.join().unwrap(), Erasure::Done);
    });
    assert!((0..50).all(|number| find(&store, number).is_some()));
    assert_eq!(store.read().unwrap().key_count().unwrap(), 50);
}

#[test]
fn what_deletes_people_or_secrets_notes_it_whatever_code_it_is() {
    let (fixture, users) = crowded(3);
    let store = fixture.open();
    let urgency = |change: &dyn Fn(&mut dyn WriteTransaction)| {
        let mut transaction = store.write().unwrap();
        change(&mut *transaction);
        let urgency = transaction.erases().unwrap();
        transaction.commit().unwrap();
        urgency
    };
    let hashed = PasswordHash("$argon2id$new".to_owned());
    assert_eq!(urgency(&|t| drop(t.insert_key(&key(1)))), None);
    let owned = Key { owner: Some("ada@example.com".to_owned()), ..key(1) };
    assert_eq!(urgency(&|t| t.update_key(&owned).unwrap()), None, "it had none");
    assert_eq!(urgency(&|t| t.update_key(&owned).unwrap()), None, "it is the same");
    assert_eq!(urgency(&|t| t.update_key(&key(1)).unwrap()), Some(Urgency::Soon));
    assert_eq!(urgency(&|t| t.set_password(users[0].id, Some(&hashed), at(2)).unwrap()), Some(Urgency::Soon));
    let renamed = User { name: None, ..users[0].clone() };
    assert_eq!(urgency(&|t| assert!(t.update_user(&renamed).unwrap())), Some(Urgency::Soon));
    let seen = User { last_login_at: Some(at(9)), ..renamed };
    assert_eq!(urgency(&|t| assert!(t.update_user(&seen).unwrap())), None);
    assert_eq!(urgency(&|t| t.delete_sessions().unwrap()), Some(Urgency::Later));
    assert_eq!(urgency(&|t| t.delete_user(users[0].id, at(3)).unwrap()), Some(Urgency::Person));
    assert_eq!(store.erase(Duration::ZERO).unwrap(), Erasure::Done);
    // A write that is undone has deleted nothing.
    store.write().unwrap().delete_user(users[1].id, at(3)).unwrap();
    assert_eq!(store.erasure().unwrap(), Erasure::Done);
    assert_eq!(urgency(&|_| {}), None);
}

/// Of a store of the schema before, whatever was deleted without `secure_delete` is still in the file.
#[test]
fn a_store_of_before_is_written_anew_once() {
    let fixture = Fixture::new();
    let path = fixture.file("old.db");
    let mut raw = raw(&path);
    let erasure = schema::MIGRATIONS.iter().position(schema::Step::makes_erasure).unwrap();
    schema::migrate_with(&mut raw, &schema::MIGRATIONS[..erasure]).unwrap();
    raw.pragma_update(None, "application_id", schema::APPLICATION_ID.cast_signed()).unwrap();
    raw.execute_batch(
        "PRAGMA secure_delete = OFF;
         INSERT INTO position (one, store_id, created_at, epoch, generation) VALUES (1, zeroblob(16), 0, 1, 7);
         CREATE TABLE x AS SELECT 'm0123456789abcdefz' || hex(zeroblob(5000)) AS y; DROP TABLE x;",
    )
    .unwrap();
    drop(raw);
    let marks = ["m0123456789abcdefz".to_owned()];
    assert!(marks_in(&fixture, "old.db", &marks) > 0, "as SQLite leaves it");
    let store = SqliteStore::open(&path, Mode::ReadWrite).unwrap();
    assert_eq!(store.erasure().unwrap(), Erasure::Done);
    assert_eq!(marks_in(&fixture, "old.db", &marks), 0);
    drop(store);
    assert_eq!(fixture.files(), ["keys.db", "old.db"]);
}

/// Writing a large file anew would keep other writers waiting.
#[test]
fn a_large_store_is_truncated_and_not_written_anew() {
    let (fixture, users) = crowded(3);
    let store = fixture.open();
    let rewrites = || {
        let sql = "SELECT rewritten FROM erasure";
        fixture.raw().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    delete(&store, &users[..1]);
    assert_eq!(store.erase(Duration::ZERO).unwrap(), Erasure::Done);
    assert_eq!(rewrites(), 1);
    let fill = format!("CREATE TABLE filler AS SELECT zeroblob({REWRITTEN_AT_ONCE}) AS x");
    fixture.raw().execute_batch(&fill).unwrap();
    delete(&store, &users[1..]);
    assert_eq!(store.erase(Duration::ZERO).unwrap(), Erasure::Done);
    assert_eq!(rewrites(), 1);
    assert_eq!(fs::metadata(fixture.file("keys.db-wal")).unwrap().len() / 65_536, 0, "the journal was truncated");
}
