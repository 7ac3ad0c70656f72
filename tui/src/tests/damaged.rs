//! A store that something else has written to: what can be read is listed, and the section Health names the rest.

use keystile::NewKey;

use super::support::Harness;
use crate::message::Message;

#[test]
fn rows_that_cannot_be_read_are_named_and_the_others_listed() {
    let mut harness = Harness::new();
    harness.model.size = (150, 24);
    let create = |name: &str| {
        let new = NewKey { name: name.into(), ..NewKey::default() };
        harness.keystile.keys().create(new).unwrap().key.id.to_string()
    };
    let (changed, broken) = (create("changed"), create("broken"));
    let raw = rusqlite::Connection::open(harness.path()).unwrap();
    raw.execute_batch(
        "UPDATE keys SET name = 'by somebody else' WHERE name = 'changed'; \
         UPDATE keys SET scopes = CAST(X'ff' AS TEXT) WHERE name = 'broken'",
    )
    .unwrap();
    drop(raw);
    harness.take(Message::Changed);
    let shown = |harness: &Harness| harness.text().replace(&changed, "key_CHANGED").replace(&broken, "key_BROKEN");
    let keys = shown(&harness);
    assert!(keys.contains("by somebody else"), "{keys}");
    assert!(keys.contains("key_BROKEN cannot be read: keys.scopes"), "{keys}");
    harness.press("8");
    let health = shown(&harness);
    let lines: Vec<_> = health.lines().filter(|line| line.contains("key_")).map(str::trim).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
