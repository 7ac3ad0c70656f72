//! Records: they say what the keys say.

use keystile_validator::Rate;

use super::*;

/// Each record must be what [`Key::record`] makes of the key.
#[test]
fn records_agree_with_keys() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let scopes = ["", "a:read", "a:read", "a:read b:*"];
    let keys: Vec<Key> = (0..40_u32)
        .map(|number| Key {
            owner: (!number.is_multiple_of(3)).then(|| format!("org_{}", number / 6)),
            environment: Environment::new(if number % 5 < 3 { "live" } else { "test" }).unwrap(),
            scopes: scopes[number as usize % 4].split_whitespace().map(|scope| scope.parse().unwrap()).collect(),
            addresses: if number.is_multiple_of(7) { vec!["10.0.0.0/8".parse().unwrap()] } else { Vec::new() },
            rate: (number % 6 == 1).then(|| Rate::new(number, 60).unwrap()),
            not_before: (number % 4 == 1).then(|| at(u64::from(number))),
            expires_at: (number % 4 < 2).then(|| at(1_000)),
            state: [KeyState::Active, KeyState::Suspended, KeyState::Revoked][number as usize % 3],
            // Also keys without any secret, and one whose middle secret starts the grace of the first.
            secrets: (1..=number % 4)
                .map(|secret_number| SecretInfo {
                    retires_at: (secret_number == 1).then(|| at(50)),
                    pending_grace: (number % 8 == 3 && secret_number == 1).then_some(60),
                    ended_at: (number % 8 == 5 && secret_number == 1).then(|| at(50)),
                    ..secret(number, secret_number)
                })
                .collect(),
            ..key(number)
        })
        .collect();
    insert(&store, keys.iter().take(20).cloned());
    let half = generation(&store);
    insert(&store, keys.iter().skip(20).cloned());
    let expected = |keys: &[Key]| {
        let of = |key: &Key| key.secrets.iter().map(|secret| key.record(secret)).collect::<Vec<_>>();
        sorted(keys.iter().flat_map(of).collect())
    };
    let view = store.read().unwrap();
    assert_eq!(sorted(records(&*view, Generation(0))), expected(&keys));
    assert_eq!(sorted(records(&*view, half)), expected(&keys[20..]));
    assert_eq!(sorted(records(&*view, Generation(1))), expected(&keys));
    assert!(records(&*view, Generation(u64::MAX)).is_empty());
}

/// In steps, each of which ends behind a whole key.
#[test]
fn records_beyond_a_key_come_in_steps() {
    let fixture = Fixture::new();
    let store = fixture.open();
    // Of 0, 1, 2, 3, 0, … secrets.
    let secrets = |number: u32| (1..=number % 4).map(|secret_number| secret(number, secret_number)).collect();
    let keys: Vec<Key> = (0..10).map(|number| Key { secrets: secrets(number), ..key(number) }).collect();
    insert(&store, keys.clone());
    let view = store.read().unwrap();
    let step = |beyond: i64, limit| {
        let mut count = 0;
        let step = view.records_beyond(KeyOrdinal(beyond), limit, &mut |_| count += 1).unwrap();
        (step.up_to.0, step.has_more, count)
    };
    assert_eq!(step(0, usize::MAX), (10, false, 13));
    // A key without a secret counts too, and the last key is whole.
    assert_eq!(
        [step(0, 1), step(1, 1), step(2, 1), step(3, 2)],
        [(1, true, 0), (2, true, 1), (3, true, 2), (4, true, 3)]
    );
    assert_eq!(
        [step(0, 3), step(8, 1), step(9, 1), step(10, 1)],
        [(3, true, 3), (9, true, 0), (10, false, 1), (10, false, 0)]
    );
    let mut records = Vec::new();
    let mut beyond = KeyOrdinal(0);
    loop {
        let step = view.records_beyond(beyond, 2, &mut |record| records.push(record.clone())).unwrap();
        beyond = step.up_to;
        if !step.has_more {
            break;
        }
    }
    let expected = keys.iter().flat_map(|key| key.secrets.iter().map(|secret| key.record(secret))).collect();
    assert_eq!(sorted(records), sorted(expected));
}

#[test]
fn changed_records_end_at_a_key() {
    let fixture = Fixture::new();
    let store = fixture.open();
    insert(&store, (0..4).map(key));
    let view = store.read().unwrap();
    for up_to in 0..6_u32 {
        let mut records = Vec::new();
        view.changed_records(Generation(0), KeyOrdinal(up_to.into()), &mut |record| records.extend(record.cloned()))
            .unwrap();
        let expected = (0..up_to.min(4)).map(|number| key(number).record(&key(number).secrets[0])).collect();
        assert_eq!(sorted(records), sorted(expected), "{up_to}");
    }
}

/// However many keys a generation has, those beyond the ordinal are not visited.
#[test]
fn changed_records_visit_only_what_they_hand_out() {
    let fixture = Fixture::new();
    drop(fixture.open());
    let raw = fixture.raw();
    let query = format!("EXPLAIN QUERY PLAN {}", crate::store::sqlite::records::changed_query());
    let mut statement = raw.prepare(&query).unwrap();
    let plan = statement.query_map([1, 1], |row| row.get::<_, String>(3)).unwrap();
    let plan: Vec<String> = plan.map(Result::unwrap).collect();
    let has = |step: &str| plan.iter().any(|line| line.contains(step));
    assert!(has("SEARCH k USING INDEX keys_by_generation (generation=? AND rowid<?)"), "{plan:#?}");
    assert!(has("SEARCH s USING PRIMARY KEY (key_pk=?)"), "{plan:#?}");
    assert!(!has("SCAN k") && !has("SCAN s"), "{plan:#?}");
    assert!(!has("ORDER BY"), "each row is handed out when it is read: {plan:#?}");
}

fn sorted(mut records: Vec<KeyRecord>) -> Vec<KeyRecord> {
    records.sort_by_key(|record| *record.digest.as_bytes());
    records
}
