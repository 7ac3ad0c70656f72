//! What operators do, over a real store.

use keystile::{Code, KeyPage, NewKey, RevokeReason, SortColumn};

use super::support::{Harness, NOW, at};
use crate::message::{Message, Page};

fn add(harness: &Harness, count: usize) {
    for number in 0..count {
        let new = NewKey { name: format!("key {number:04}"), ..NewKey::default() };
        harness.keystile.keys().create(new).unwrap();
    }
}

#[test]
fn a_key_from_creation_to_revocation() {
    let mut harness = Harness::new();
    assert!(harness.text().contains("There are no keys yet. Press n to make one."), "{}", harness.text());
    // Name, owner, environment test, scopes, 30 days, limit, addresses.
    harness.press("nci<Tab>ops<Tab><Right><Tab>a:read,b:*<Tab><Left><Tab>600/1m<Tab>10.0.0.0/8<Tab><Enter>");
    harness.press("cy");
    let secret = harness.copied[0].clone();
    let page = harness.keystile.keys().list(&Default::default()).unwrap();
    let key = &page.keys[0];
    assert_eq!((key.name.as_str(), key.owner.as_deref(), key.environment.as_str()), ("ci", Some("ops"), "test"));
    assert_eq!(key.scopes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:read", "b:*"]);
    assert_eq!(key.rate.unwrap().to_string(), "600/60s");
    assert_eq!(key.addresses[0].to_string(), "10.0.0.0/8");
    assert_eq!(key.expires_at, Some(at(NOW + 30 * 86_400)));
    assert_eq!(key.created_by, "tui:test");
    assert!(harness.text().contains("● active"), "{}", harness.text());

    // Rotated: the old secret lives on for the grace period.
    harness.press("R<Tab><Left><Left><Tab><Tab><Enter>");
    assert!(harness.text().contains("The old secret is refused from now on."), "{}", harness.text());
    harness.press("cy");
    let new = harness.copied[1].clone();
    let mut request = harness.keystile.request();
    request.address = Some("10.0.0.1".parse().unwrap());
    assert!(harness.keystile.verify(&new, &request).is_allow());
    assert_eq!(harness.keystile.verify(&secret, &request).code(), Some(Code::Rotated));
}

#[test]
fn suspend_resume_and_revoke_hold_at_once() {
    let mut harness = Harness::new();
    let created = harness.keystile.keys().create(NewKey { name: "ci".into(), ..NewKey::default() }).unwrap();
    harness.take(Message::Changed);
    let code = |harness: &Harness| {
        harness.keystile.preview(created.secret.expose_secret(), &harness.keystile.request()).code()
    };
    harness.press("S<BackTab><Enter>");
    assert_eq!(code(&harness), Some(Code::Suspended));
    assert!(harness.text().contains("suspended ci"), "{}", harness.text());
    harness.press("U<BackTab><Enter>");
    assert_eq!(code(&harness), None);
    let prefix = created.key.display().trim_end_matches('…');
    harness.press(&format!("X<Tab><Right><Tab>seen in a log<Tab>{prefix}<Tab>X"));
    assert_eq!(code(&harness), Some(Code::Revoked));
    let revocation = harness.keystile.keys().show(created.key.id).unwrap().revocation.unwrap();
    assert_eq!((revocation.reason, revocation.note.as_deref()), (RevokeReason::KeyCompromise, Some("seen in a log")));
    harness.press("X");
    assert!(harness.model.dialog.is_none() && harness.text().contains("revoked already"), "{}", harness.text());
}

#[test]
fn the_trail_of_a_key_follows_the_store() {
    let mut harness = Harness::new();
    let created = harness.keystile.keys().create(NewKey { name: "ci worker".into(), ..NewKey::default() }).unwrap();
    harness.keystile.keys().create(NewKey { name: "other".into(), ..NewKey::default() }).unwrap();
    harness.take(Message::Changed);
    harness.press("/ci worker<Enter>a");
    let shown = harness.text();
    assert!(shown.contains("Audit: ci") && shown.matches("key.created").count() == 1, "{shown}");
    assert!(shown.contains("by tui:test"), "{shown}");
    harness.keystile.keys().suspend(created.key.id).unwrap();
    harness.take(Message::Changed);
    assert!(harness.text().contains("key.suspended"), "{}", harness.text());
    harness.press("<Down>");
    assert!(!harness.text().contains("key.suspended"), "{}", harness.text());
    harness.press("<Esc>");
    assert!(harness.model.dialog.is_none());
}

#[test]
fn a_change_that_somebody_else_made_first_is_told() {
    let mut harness = Harness::new();
    let created = harness.keystile.keys().create(NewKey { name: "ci".into(), ..NewKey::default() }).unwrap();
    harness.take(Message::Changed);
    harness.press("S<BackTab>");
    harness.keystile.keys().revoke(created.key.id, RevokeReason::Superseded, None).unwrap();
    harness.press("<Enter>");
    assert!(harness.text().contains("is revoked, for good"), "{}", harness.text());
    harness.press("<Esc>!");
    assert!(harness.text().contains("Errors") && harness.text().contains("for good"), "{}", harness.text());
}

#[test]
fn the_form_says_at_the_field_what_does_not_fit() {
    let mut harness = Harness::new();
    for (keys, problem) in [
        ("n <Tab>", "not a name ·"),
        ("n<Tab>", "not a name ·"),
        ("na<Tab><Tab><Tab>a b!\u{e9}", "not a scope"),
        ("na<Tab><Tab><Tab><Tab><Right><Right><Tab>tomorrow", "not a date ·"),
        ("na<Tab><Tab><Tab><Tab><Right><Right><Tab>2001-01-01", "not after now ·"),
        ("na<Tab><Tab><Tab><Tab><Tab>600", " · "),
        ("na<Tab><Tab><Tab><Tab><Tab><Tab>10.0.0.0/99", " · "),
    ] {
        harness.press(keys);
        let shown = harness.text();
        assert!(shown.contains(problem), "{keys}: {shown}");
        harness.press("<Esc>");
        assert!(harness.model.dialog.is_none());
    }
    // Nothing is made of it, and the focus goes to what does not fit.
    harness.press("n<BackTab><BackTab><BackTab><Enter>");
    assert!(harness.text().contains("> name"), "{}", harness.text());
    assert!(harness.keystile.keys().list(&Default::default()).unwrap().keys.is_empty());
}

#[test]
fn scopes_in_use_are_offered() {
    let mut harness = Harness::new();
    let scopes = ["invoices:read", "invoices:write"].map(|scope| scope.parse().unwrap()).to_vec();
    harness.keystile.keys().create(NewKey { name: "a".into(), scopes, ..NewKey::default() }).unwrap();
    harness.take(Message::Changed);
    harness.press("nb<Tab><Tab><Tab>inv");
    assert!(harness.text().contains("in use: invoices:read"), "{}", harness.text());
    harness.press("<Right>inv<Right>");
    assert!(harness.text().contains("invoices:read invoices:write"), "{}", harness.text());
}

#[test]
fn a_long_list_is_read_as_far_as_it_is_looked_at() {
    let mut harness = Harness::new();
    add(&harness, 450);
    harness.take(Message::Changed);
    assert!(harness.text().contains("1/200+"), "{}", harness.text());
    harness.press(&"<PageDown>".repeat(8));
    assert!(harness.model.keys.rows().len() < 450);
    // The end is read from there: not all that lies between.
    harness.press("G");
    assert_eq!(harness.model.keys.rows().len(), 200);
    let shown = harness.text();
    assert!(shown.contains(" last ") && shown.lines().rev().nth(2).unwrap().contains("key 0000"), "{shown}");
    // Somebody else makes a key while the end is in view: the selection stays on its key.
    add(&harness, 1);
    harness.take(Message::Changed);
    assert_eq!(harness.model.keys.selected().unwrap().name, "key 0000");
    harness.press("kk");
    assert_eq!(harness.model.keys.selected().unwrap().name, "key 0002");
    assert!(harness.text().contains("last-2"), "{}", harness.text());
    // All the way up, key by key: none is left out, none comes twice.
    let mut seen = vec![harness.model.keys.selected().unwrap().id];
    loop {
        harness.press("k");
        let id = harness.model.keys.selected().unwrap().id;
        if seen.last() == Some(&id) {
            break;
        }
        seen.push(id);
    }
    let unique: std::collections::HashSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len()), (449, 449));
    assert!(harness.text().contains("1/451"), "{}", harness.text());
    harness.press("Gg");
    assert_eq!(harness.model.keys.rows().len(), 451, "all of it is there, and nothing is read again");
}

#[test]
fn what_lies_above_is_read_again_on_the_way_up() {
    let mut harness = Harness::new();
    add(&harness, 450);
    harness.take(Message::Changed);
    harness.press(&"<PageDown>".repeat(15));
    let selected = harness.model.keys.selected().unwrap().name.clone();
    let first = harness.model.keys.rows()[1].id;
    harness.keystile.keys().suspend(first).unwrap();
    add(&harness, 1);
    harness.take(Message::Changed);
    assert_eq!(harness.model.keys.selected().unwrap().name, selected);
    harness.press("g");
    let rows = harness.model.keys.rows();
    assert_eq!((rows[1].name.as_str(), rows[2].state), ("key 0449", keystile::KeyState::Suspended));
    let ids: std::collections::HashSet<_> = rows.iter().map(|key| key.id).collect();
    assert_eq!(ids.len(), rows.len());
}

#[test]
fn the_filter_is_live_and_goes_away() {
    let mut harness = Harness::new();
    add(&harness, 30);
    harness.take(Message::Changed);
    // With a space, which no id and no random prefix has.
    harness.press("/key 002");
    assert!(harness.text().contains("[filter: \"key 002|\"]") && harness.text().contains("1/10"), "{}", harness.text());
    harness.press("<Enter>j");
    assert!(harness.text().contains("[filter: \"key 002\"] 2/10"), "{}", harness.text());
    harness.press("<Esc>");
    assert!(harness.text().contains("1/30") && !harness.text().contains("filter:"), "{}", harness.text());
    harness.press("/nothing like it");
    assert!(harness.text().contains("No key fits the filter."), "{}", harness.text());
    harness.press(&"x".repeat(500));
    assert!(harness.model.errors.is_empty(), "a search that is too long is cut: {:?}", harness.model.errors);
}

#[test]
fn every_column_sorts_both_ways() {
    let mut harness = Harness::new();
    add(&harness, 5);
    harness.take(Message::Changed);
    for column in SortColumn::ALL {
        harness.press(&format!("o{column}<Enter>"));
        // Some names contain others: the first that fits is sorted by.
        assert!(harness.model.dialog.is_none() && harness.model.keys.choice.sort.as_str().contains(column.as_str()));
        assert_eq!(harness.model.keys.rows().len(), 5);
    }
    harness.press("oname<Enter>");
    assert_eq!(harness.model.keys.rows()[0].name, "key 0000");
    harness.press("O");
    assert_eq!(harness.model.keys.rows()[0].name, "key 0004");
    assert!(harness.text().contains("NAME▼"), "{}", harness.text());
}

#[test]
fn help_and_palette_run_what_they_list() {
    let mut harness = Harness::new();
    add(&harness, 1);
    harness.take(Message::Changed);
    harness.press("?resume");
    let shown = harness.text();
    assert!(shown.contains("only a suspended key can be resumed"), "what cannot be done says why: {shown}");
    harness.press("<Enter>");
    assert!(harness.model.dialog.is_some(), "and stays");
    harness.press("<Esc><Esc>:rev<Enter>");
    assert!(harness.text().contains("This ends the key for good"), "{}", harness.text());
}

#[test]
fn a_late_answer_does_not_undo_a_newer_question() {
    let mut harness = Harness::new();
    add(&harness, 3);
    harness.take(Message::Changed);
    let late = Message::Loaded {
        request: 1,
        start: 0,
        page: Ok(Page::Keys(KeyPage { keys: Vec::new(), unreadable: Vec::new(), next: None })),
    };
    harness.take(late);
    assert_eq!(harness.model.keys.rows().len(), 3);
}

#[test]
fn without_a_store_there_is_a_way_on() {
    let mut harness = Harness::new();
    harness.take(Message::NotOpened { missing: true, problem: "there is no store at x · make one".to_owned() });
    assert!(harness.text().contains("Press m to make a store here"), "{}", harness.text());
    harness.press("nXR");
    assert!(harness.model.dialog.is_none());
    harness
        .take(Message::NotOpened { missing: false, problem: "x is not a Keystile store · check the path".to_owned() });
    let shown = harness.text();
    assert!(shown.contains("is not a Keystile store") && shown.contains("Press r to try again"), "{shown}");
    harness.press("m");
    assert!(harness.text().contains("there is something at this path already"), "{}", harness.text());
}
