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

fn sorted(mut records: Vec<KeyRecord>) -> Vec<KeyRecord> {
    records.sort_by_key(|record| *record.digest.as_bytes());
    records
}
