//! Lists: the law of pages, filters, order.

use proptest::prelude::*;

use super::*;
use crate::bounds::{EXPIRING_SECONDS, IDLE_SECONDS, OLD_SECONDS, UNMISSED_SECONDS};
use crate::key::{KeyStatus, Revocation, RevokeReason, SortColumn};
use crate::keys::Concern;
use crate::query::{Cursor, CursorValue, KeyQuery};
use crate::store::UsageDelta;

const NOW: u64 = 1_000;

/// Keys with many equal values in every column, and with values that are missing.
fn varied(number: u32) -> Key {
    Key {
        name: ["billing", "Billing worker", "api"][number as usize % 3].to_owned(),
        owner: [None, Some("org_1"), Some("org_2")][number as usize / 2 % 3].map(str::to_owned),
        format: (!number.is_multiple_of(4)).then(|| "default".to_owned()),
        environment: Environment::new(["live", "test"][number as usize % 2]).unwrap(),
        scopes: ["a:read", "a:*", "ab:read"].iter().take(number as usize % 4).map(|s| s.parse().unwrap()).collect(),
        metadata: if number.is_multiple_of(5) {
            [("Team".to_owned(), "\"Pay\\ments\"".to_owned())].into()
        } else {
            BTreeMap::new()
        },
        created_at: at(u64::from(number) / 4),
        updated_at: at(u64::from(number) % 6),
        not_before: (number % 6 == 5).then(|| at(NOW + 1)),
        expires_at: [None, Some(at(NOW)), Some(at(NOW + 1)), None][number as usize % 4],
        state: [KeyState::Active, KeyState::Active, KeyState::Suspended, KeyState::Revoked][number as usize / 3 % 4],
        revocation: (number / 3 % 4 == 3).then(|| Revocation {
            at: at(1),
            reason: RevokeReason::Superseded,
            note: None,
        }),
        secrets: vec![secret(number, 1), secret(number, 2)],
        ..key(number)
    }
}

fn filled(count: u32) -> (Fixture, SqliteStore) {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, (0..count).map(varied));
    let usage: Vec<UsageDelta> = (0..count)
        .filter(|number| !number.is_multiple_of(3))
        .map(|number| UsageDelta {
            digest: secret(number, 1 + number % 2).digest,
            uses: u64::from(number % 4),
            first: at(0),
            last: at(u64::from(number % 7)),
        })
        .collect();
    write(&store, |transaction| transaction.add_usage(&usage).unwrap());
    (fixture, store)
}

fn walk(view: &dyn ReadTransaction, mut query: KeyQuery) -> Vec<Key> {
    let mut keys = Vec::new();
    loop {
        let page = view.keys(&query, at(NOW)).unwrap();
        assert!(page.keys.len() <= query.limit);
        keys.extend(page.keys);
        let Some(next) = page.next else { return keys };
        // As it comes back from outside.
        query.after = Some(next.to_string().parse().unwrap());
    }
}

/// What the store must do, in the simplest words.
fn expected(view: &dyn ReadTransaction, count: u32, query: &KeyQuery) -> Vec<Key> {
    let mut keys: Vec<Key> = (0..count).map(|number| view.key(key_id(number)).unwrap().unwrap()).collect();
    keys.retain(|key| {
        let contains = |text: &str| {
            query.search.as_ref().is_none_or(|search| text.to_ascii_lowercase().contains(&search.to_ascii_lowercase()))
        };
        query.owner.as_ref().is_none_or(|owner| key.owner.as_ref() == Some(owner))
            && query.status.is_none_or(|status| key.status(at(NOW)) == status)
            && query.environment.as_ref().is_none_or(|environment| key.environment == *environment)
            && query.concern.is_none_or(|concern| key.raises(concern, at(NOW)))
            && query.scope.as_ref().is_none_or(|scope| key.scopes.contains(scope))
            && (contains(&key.name)
                || key.owner.as_deref().is_some_and(contains)
                || contains(&key.id.to_string())
                || contains(key.display())
                || key.metadata.iter().any(|(name, value)| contains(name) || contains(value)))
    });
    keys.sort_by_key(|key| {
        let rank = KeyStatus::ALL.iter().position(|status| *status == key.status(at(NOW))).unwrap() as u64;
        let (number, text) = match query.sort {
            SortColumn::CreatedAt => (key.created_at.unix(), String::new()),
            SortColumn::UpdatedAt => (key.updated_at.unix(), String::new()),
            SortColumn::ExpiresAt => (key.expires_at.map_or(u64::MAX, Timestamp::unix), String::new()),
            SortColumn::LastUsedAt => (key.last_used_at().map_or(0, Timestamp::unix), String::new()),
            SortColumn::Uses => (key.uses(), String::new()),
            SortColumn::Name => (0, key.name.clone()),
            SortColumn::Owner => (0, key.owner.clone().unwrap_or_default()),
            SortColumn::Environment => (0, key.environment.to_string()),
            SortColumn::Format => (0, key.format.clone().unwrap_or_default()),
            SortColumn::State => (rank, String::new()),
            SortColumn::Id => (0, String::new()),
        };
        (number, text, key.id)
    });
    if query.descending {
        keys.reverse();
    }
    keys
}

fn any_query() -> impl Strategy<Value = KeyQuery> {
    let option = |values: &'static [&'static str]| proptest::option::weighted(0.3, proptest::sample::select(values));
    (
        (option(&["org_1", "org_3"]), option(&["live", "test"]), option(&["a:read", "a:*", "b"])),
        proptest::option::weighted(0.3, proptest::sample::select(KeyStatus::ALL)),
        proptest::option::weighted(0.3, proptest::sample::select(Concern::ALL)),
        option(&["", "BILL", "org_", "key_07", "team", "\"pay\\", "%", "_", "'", "ks_live_0003", "0101"]),
        proptest::sample::select(SortColumn::ALL),
        any::<bool>(),
        1_usize..12,
    )
        .prop_map(|((owner, environment, scope), status, concern, search, sort, descending, limit)| KeyQuery {
            import: None,
            owner: owner.map(str::to_owned),
            environment: environment.map(|name| Environment::new(name).unwrap()),
            scope: scope.map(|name| name.parse().unwrap()),
            status,
            search: search.map(str::to_owned),
            concern,
            sort,
            descending,
            limit,
            after: None,
        })
}

/// The law: pages of any size, in any order, behind any filter, give every key once, in order.
#[test]
fn pages_give_every_key_once_in_order() {
    let (_fixture, store) = filled(60);
    let view = store.read().unwrap();
    for sort in SortColumn::ALL {
        for descending in [false, true] {
            for limit in [1, 7, 60, 1_000] {
                let query = KeyQuery { sort: *sort, descending, limit, ..KeyQuery::default() };
                assert_eq!(walk(&*view, query.clone()), expected(&*view, 60, &query), "{sort} {descending} {limit}");
            }
        }
    }
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&any_query(), |query| {
            prop_assert_eq!(walk(&*view, query.clone()), expected(&*view, 60, &query));
            Ok(())
        })
        .unwrap();
}

/// A key whose every time lies at, just before or just after an age that a concern asks for.
fn aged(number: u32) -> Key {
    let ages = [0, OLD_SECONDS, OLD_SECONDS + 1, UNMISSED_SECONDS, UNMISSED_SECONDS + 1];
    let ago = |digit: u32| at(LATER - ages[(number / digit) as usize % ages.len()]);
    let mut key = varied(number);
    (key.created_at, key.secrets[1].created_at) = (ago(1), ago(5));
    key.suspended_at = (key.state == KeyState::Suspended).then(|| ago(25));
    key.not_before = number.is_multiple_of(11).then(|| at(LATER + 1));
    key.expires_at = match number % 4 {
        0 => None,
        1 => Some(ago(25)),
        2 => Some(at(LATER + EXPIRING_SECONDS - 1)),
        _ => Some(at(LATER + EXPIRING_SECONDS)),
    };
    key
}

const LATER: u64 = 400 * 86_400;

/// The law: the store finds and counts the keys of a concern as the library does.
#[test]
fn concerns_are_found_and_counted() {
    const COUNT: u32 = 600;
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, (0..COUNT).map(aged));
    let ages = [0, IDLE_SECONDS, IDLE_SECONDS + 1];
    let usage: Vec<UsageDelta> = (0..COUNT)
        .filter(|number| !number.is_multiple_of(7))
        .map(|number| UsageDelta {
            digest: secret(number, 1 + number % 2).digest,
            uses: 1,
            first: at(0),
            last: at(LATER - ages[number as usize % ages.len()]),
        })
        .collect();
    write(&store, |transaction| transaction.add_usage(&usage).unwrap());
    let view = store.read().unwrap();
    let counts = view.key_counts(at(LATER)).unwrap();
    assert_eq!(counts.keys, u64::from(COUNT));
    for concern in Concern::ALL {
        let query = KeyQuery { concern: Some(*concern), limit: 1_000, ..KeyQuery::default() };
        let mut found: Vec<_> = view.keys(&query, at(LATER)).unwrap().keys.iter().map(|key| key.id).collect();
        found.sort();
        let keys = (0..COUNT).map(|number| view.key(key_id(number)).unwrap().unwrap());
        let mut expected: Vec<_> = keys.filter(|key| key.raises(*concern, at(LATER))).map(|key| key.id).collect();
        expected.sort();
        assert_eq!(found, expected, "{concern}");
        assert_eq!(counts.of(*concern), expected.len() as u64, "{concern}");
        assert!(!expected.is_empty() && expected.len() < COUNT as usize, "{concern}: {}", expected.len());
    }
}

#[test]
fn pages_stay_stable_while_keys_change() {
    let (_fixture, store) = filled(10);
    let query = KeyQuery { sort: SortColumn::Id, descending: false, limit: 5, ..KeyQuery::default() };
    let first = store.read().unwrap().keys(&query, at(NOW)).unwrap();
    // The key that the page has ended with moves on, and another one comes in before it.
    insert(&store, [varied(100)]);
    let next = KeyQuery { after: first.next, ..query };
    let second = store.read().unwrap().keys(&next, at(NOW)).unwrap();
    let ids: Vec<_> = second.keys.iter().map(|key| key.id).collect();
    assert_eq!(ids, (5..10).map(key_id).collect::<Vec<_>>());
    assert!(second.next.is_some());
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let (_fixture, store) = filled(3);
    let cursor = |sort, value| Some(Cursor { sort, descending: true, value, id: key_id(1) });
    let number = CursorValue::Number(1);
    let text = CursorValue::Text("1".to_owned());
    for after in [
        cursor(SortColumn::UpdatedAt, number.clone()),
        cursor(SortColumn::CreatedAt, text),
        Some(Cursor { sort: SortColumn::CreatedAt, descending: false, value: number, id: key_id(1) }),
    ] {
        let query = KeyQuery { after, ..KeyQuery::default() };
        let refused = store.read().unwrap().keys(&query, at(NOW));
        assert!(matches!(refused, Err(StoreError::CursorMismatch)));
    }
}

/// The lists that every front end asks for first must not read the whole table.
#[test]
fn common_lists_use_an_index() {
    let (fixture, _store) = filled(3);
    let plan = |query: &KeyQuery| {
        let (sql, parameters) = crate::store::sqlite::list::select(query, at(NOW), 10).unwrap();
        let raw = fixture.raw();
        let mut statement = raw.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = rusqlite::params_from_iter(parameters);
        let rows = statement.query_map(parameters, |row| row.get::<_, String>(3)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("\n")
    };
    let after =
        Some(Cursor { sort: SortColumn::CreatedAt, descending: true, value: CursorValue::Number(1), id: key_id(1) });
    let newest = plan(&KeyQuery { after, ..KeyQuery::default() });
    assert!(newest.contains("keys_by_creation ((created_at,id)<(?,?))") && !newest.contains("TEMP B-TREE"), "{newest}");
    let owner = plan(&KeyQuery { owner: Some("org_1".to_owned()), ..KeyQuery::default() });
    assert!(owner.contains("keys_by_owner (owner=?)") && !owner.contains("TEMP B-TREE"), "{owner}");
}
