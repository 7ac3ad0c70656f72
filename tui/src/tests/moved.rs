//! Keys that are no longer where they were, and what is typed before the screen shows it.

use keystile::{CreatedKey, KeyPage, RotatedKey, Secret};

use super::support::{FAKE, key, keys, model, press, screen, text};
use crate::message::{Change, Effect, Message, Page};
use crate::model::Model;
use crate::theme::Theme;
use crate::update::update;

/// What asks for a key that is selected.
const NEED_A_KEY: [&str; 6] = ["R", "X", "S", "U", "a", "<Enter>"];

/// Another process has changed the store, and these are its keys now.
fn reload(model: &mut Model, keys: Vec<keystile::Key>) {
    let effects = update(model, Message::Changed);
    let [Effect::Load { request, start, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    let page = Ok(Page::Keys(KeyPage { keys, unreadable: Vec::new(), next: None }));
    update(model, Message::Loaded { request: *request, start: *start, page });
}

fn refused(model: &Model) -> &str {
    let toast = model.toast.as_ref().filter(|toast| toast.bad);
    toast.map_or("", |toast| toast.text.as_str())
}

#[test]
fn what_is_typed_ahead_of_the_list_does_nothing_to_any_key() {
    for pressed in NEED_A_KEY {
        let mut model = model(keys(), (80, 24), Theme::Default, false);
        let asked = press(&mut model, "/ci<Enter>");
        let effects = press(&mut model, pressed);
        assert!(effects.is_empty() && model.dialog.is_none(), "{pressed}: {effects:?}");
        assert!(refused(&model).contains("the list is being read · wait for it"), "{pressed}: {}", refused(&model));
        // Once the list is there, so is the key.
        let Some(Effect::Load { request, start, .. }) = asked.last() else { panic!("{asked:?}") };
        let page = Ok(Page::Keys(KeyPage { keys: vec![key(7, "ci")], unreadable: Vec::new(), next: None }));
        update(&mut model, Message::Loaded { request: *request, start: *start, page });
        press(&mut model, "S");
        assert!(text(&model).contains("Suspend: ci"), "{}", text(&model));
        press(&mut model, "<Esc>");
    }
}

#[test]
fn a_selected_key_that_is_gone_leaves_nothing_selected() {
    for pressed in NEED_A_KEY {
        let mut model = model(keys(), (80, 24), Theme::Default, false);
        press(&mut model, "j");
        let mut rest = keys();
        assert_eq!(model.keys.selected().map(|key| key.id), Some(rest.remove(1).id));
        reload(&mut model, rest.clone());
        assert!(model.keys.selected().is_none());
        let marked = (0..24).any(|y| screen(&model)[(1, y)].symbol() == ">");
        assert!(!marked, "no row is marked: {}", text(&model));
        assert!(press(&mut model, pressed).is_empty() && model.dialog.is_none(), "{pressed}");
        assert!(refused(&model).contains("has left its place · select it again"), "{pressed}: {}", refused(&model));
        // It stays so when the list is read once more, and ends with a choice.
        reload(&mut model, rest.clone());
        assert!(model.keys.selected().is_none());
        press(&mut model, "k");
        assert_eq!(model.keys.selected().map(|key| key.id), Some(rest[0].id));
    }
}

#[test]
fn suspending_instead_of_revoking_is_for_the_key_of_the_dialog_only() {
    // The list moves, and the key with it.
    let mut model = model(keys(), (80, 24), Theme::Default, false);
    press(&mut model, "X");
    let mut moved = keys();
    moved.insert(0, key(9, "new"));
    reload(&mut model, moved);
    press(&mut model, "S");
    assert!(text(&model).contains("Suspend: billing-worker"), "{}", text(&model));
    let effects = press(&mut model, "<BackTab><Enter>");
    assert!(
        matches!(effects.as_slice(), [Effect::Change(Change::SuspendKeys(ids))] if *ids == [keys()[0].id]),
        "{effects:?}"
    );

    // The key is gone, or another one is selected for whatever reason: nothing is suspended.
    for gone in [true, false] {
        let mut model = super::support::model(keys(), (80, 24), Theme::Default, false);
        press(&mut model, "X");
        if gone {
            reload(&mut model, keys().split_off(1));
        } else {
            let height = model.table_height();
            model.keys.select(1, height);
        }
        assert!(press(&mut model, "S").is_empty() && model.dialog.is_none(), "{}", text(&model));
        assert!(refused(&model).contains("select it again"), "{}", refused(&model));
    }
}

#[test]
fn a_shown_secret_is_in_view_on_the_smallest_screen() {
    for (name, rotated) in [("new", false), ("rotated", true)] {
        let mut model = model(keys(), (40, 10), Theme::Default, false);
        let key = keys().remove(1);
        let secret = Secret::from(FAKE.to_owned());
        update(
            &mut model,
            if rotated {
                Message::Rotated(Box::new(Ok(RotatedKey { key, secret: Some(secret) })))
            } else {
                Message::Created(Box::new(Ok(CreatedKey { key, secret })))
            },
        );
        // Also when there is something to say about it.
        for pressed in ["s", "c"] {
            press(&mut model, pressed);
            let shown: String = text(&model).split_whitespace().collect();
            assert!(shown.contains(FAKE), "{name} after {pressed}: {}", text(&model));
        }
        update(&mut model, Message::SecretSeen);
        insta::assert_snapshot!(format!("secret_{name}_40x10"), text(&model));
    }
}

#[test]
fn a_screen_that_is_too_small_does_not_leave_a_change_behind() {
    let mut model = model(keys(), (39, 9), Theme::Default, false);
    model.busy = true;
    press(&mut model, "q<Ctrl-C>");
    assert!(!model.quit, "what became of the change is not known yet");
    model.busy = false;
    press(&mut model, "q");
    assert!(model.quit);
}
