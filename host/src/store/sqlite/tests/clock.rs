//! What the store knows of the time.

use super::*;
use crate::store::{CLOCK_JUMP, ClockRow};

fn noted(store: &SqliteStore, now: u64) -> ClockRow {
    let mut transaction = store.write().unwrap();
    transaction.note_time(at(now), at(now)).unwrap();
    transaction.commit().unwrap();
    store.read().unwrap().clock().unwrap()
}

#[test]
fn the_newest_time_only_grows_and_a_jump_is_seen() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let row = |newest, clock, steady_since| ClockRow {
        newest: at(newest),
        clock: at(clock),
        steady_since: at(steady_since),
        accepted: 0,
    };
    assert_eq!(store.read().unwrap().clock().unwrap(), row(0, 0, 0));
    let later = CLOCK_JUMP;
    assert_eq!(noted(&store, later), row(later, later, 0), "as far as it may move on");
    assert_eq!(noted(&store, later - 1), row(later, later - 1, 0));
    let jumped = later + CLOCK_JUMP + 1;
    assert_eq!(noted(&store, jumped), row(jumped, jumped, jumped));
    assert_eq!(noted(&store, jumped + 1), row(jumped + 1, jumped + 1, jumped));
}

/// Whoever appends an entry notes its time.
#[test]
fn an_entry_notes_its_time() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let newest = store.read().unwrap().clock().unwrap().newest.saturating_add(5);
    let mut transaction = store.write().unwrap();
    crate::audit::append(&mut *transaction, newest, "tests", "tests", None, &serde_json::json!({})).unwrap();
    transaction.commit().unwrap();
    assert_eq!(store.read().unwrap().clock().unwrap().newest, newest);
}

/// The query that every write makes must not look at secrets that have long ended, or at those in use.
#[test]
fn secrets_to_end_are_found_by_their_index() {
    let fixture = Fixture::new();
    drop(fixture.open());
    let raw = fixture.raw();
    let query = "EXPLAIN QUERY PLAN SELECT key_pk, number FROM secrets INDEXED BY secrets_by_end \
                 WHERE retires_at IS NOT NULL AND ended_at IS NULL AND retires_at <= ?1 LIMIT ?2";
    let mut statement = raw.prepare(query).unwrap();
    let plan: Vec<String> = statement.query_map([1, 1], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
    assert!(
        plan.iter().all(|step| step.contains("SEARCH secrets USING") && step.contains("secrets_by_end")),
        "{plan:?}"
    );
}
