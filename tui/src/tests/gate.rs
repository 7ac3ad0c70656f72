//! Read-only mode, and what cannot be done by accident.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use proptest::prelude::*;

use super::support::{key, keys, model, press, text};
use crate::action::{ACTIONS, ActionId};
use crate::message::{Change, Effect, Message};
use crate::model::{Model, StoreState};
use crate::theme::Theme;
use crate::update::{dispatch, update};

fn read_only(mut model: Model) -> Model {
    model.read_only = Some("read-only · start without --read-only");
    model
}

#[test]
fn read_only_mode_refuses_every_mutating_action() {
    for action in ACTIONS.iter().filter(|action| action.mutating) {
        for selected in 0..keys().len() {
            let mut model = read_only(model(keys(), (80, 24), Theme::Default, false));
            let height = model.table_height();
            model.keys.select(selected, height);
            assert!(dispatch(&mut model, action.id).is_empty(), "{:?}", action.id);
            assert!(model.dialog.is_none(), "{:?}", action.id);
            assert!(model.toast.as_ref().is_some_and(|toast| toast.bad && toast.text.starts_with("read-only")));
        }
        let mut model = read_only(model(keys(), (80, 24), Theme::Default, false));
        model.store = StoreState::Failed { missing: true, problem: String::new() };
        assert!(dispatch(&mut model, action.id).is_empty(), "{:?}", action.id);
    }
}

#[test]
fn what_leads_to_a_change_is_marked_so() {
    // Whatever opens a dialog that can submit, and whatever makes a store.
    let marked: Vec<ActionId> = ACTIONS.iter().filter(|action| action.mutating).map(|action| action.id).collect();
    use ActionId::{
        DisableIssuer, EnableIssuer, EndSession, EndSessions, MakeStore, New, RefreshIssuer, ResetPassword, Resume,
        ResumeUser, Revoke, Rotate, RotateSigningKey, Suspend, SuspendUser, UnlockUser,
    };
    let expected = [
        New,
        Rotate,
        Revoke,
        Suspend,
        Resume,
        SuspendUser,
        ResumeUser,
        EndSessions,
        ResetPassword,
        UnlockUser,
        EndSession,
        RotateSigningKey,
        RefreshIssuer,
        EnableIssuer,
        DisableIssuer,
        MakeStore,
    ];
    assert_eq!(marked, expected);
}

#[test]
fn a_revoke_needs_the_prefix_and_a_key_of_its_own() {
    let revoked = |keys: &str| {
        let mut model = model(vec![key(7, "ci")], (80, 24), Theme::Default, false);
        press(&mut model, keys).iter().any(Effect::is_mutating)
    };
    let typed = "X<Tab><Tab><Tab>hx_live_b7F1<Tab>";
    assert!(revoked(&format!("{typed}X")));
    // Enter never confirms, a held key does not, a wrong prefix does not.
    assert!(!revoked(&format!("{typed}<Enter><Enter><Enter>")));
    assert!(!revoked(&"X".repeat(100)));
    assert!(!revoked(&format!("X{}", "<Enter>".repeat(100))));
    assert!(!revoked("X<Tab><Tab><Tab>hx_live_b7<Tab>XXX"));
    assert!(!revoked("X<Tab><Tab><Tab>HX_LIVE_B7F1<Tab>X"));
    assert!(!revoked("X<Tab><Tab><Tab>hx_live_b7F1X<Tab>X"));
    assert!(!revoked(&format!("{typed}<Esc>X")));
}

#[test]
fn a_held_key_confirms_nothing() {
    for held in ["n", "R", "X", "S", "U", "<Enter>", "<Tab>", "<Right>", "<Down>", "y", ":", "?", "q", "<Esc>"] {
        let mut model = model(keys(), (80, 24), Theme::Default, false);
        let effects = press(&mut model, &held.repeat(60));
        assert!(!effects.iter().any(Effect::is_mutating), "{held}");
    }
}

#[test]
fn suspend_is_offered_instead_and_starts_on_cancel() {
    let mut model = model(keys(), (80, 24), Theme::Default, false);
    press(&mut model, "XS");
    assert!(text(&model).contains("All its secrets are refused"), "{}", text(&model));
    assert!(press(&mut model, "<Enter>").is_empty() && model.dialog.is_none(), "the focus was on Cancel");
    let effects = press(&mut model, "S<BackTab><Enter>");
    assert!(matches!(effects.as_slice(), [Effect::Change(Change::SuspendKeys(ids))] if *ids == [keys()[0].id]));
    assert!(press(&mut model, "<Enter><Esc>").is_empty(), "one change at a time");
}

#[test]
fn a_key_that_is_not_taken_is_answered() {
    let mut model = model(vec![key(7, "ci")], (80, 24), Theme::Default, false);
    press(&mut model, "S<BackTab><Enter>");
    assert!(model.busy && model.toast.is_none());
    for (what, event) in [
        ("a key", Event::Key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE))),
        ("a paste", Event::Paste("abc".to_owned())),
    ] {
        model.toast = None;
        assert!(update(&mut model, Message::Terminal(event)).is_empty());
        assert!(text(&model).contains("working… the key was not taken"), "{what}: {}", text(&model));
    }
    // That goes away with the reason for it.
    update(
        &mut model,
        Message::Done { result: Err("the disk is full · free some space and repeat".to_owned()), changed: Vec::new() },
    );
    assert!(!text(&model).contains("was not taken"), "{}", text(&model));
}

#[test]
fn pasted_text_goes_to_text_fields_only() {
    let mut model = model(keys(), (80, 24), Theme::Default, false);
    let paste = |model: &mut Model, text: &str| update(model, Message::Terminal(Event::Paste(text.to_owned())));
    assert!(paste(&mut model, "Xq\nn").is_empty());
    assert!(model.dialog.is_none() && !model.quit);
    press(&mut model, "X");
    paste(&mut model, "hx_live_b1F1");
    press(&mut model, "<Tab><Tab><Tab>");
    paste(&mut model, "hx_live_b1F1\nX");
    assert!(press(&mut model, "<Tab>X").iter().any(Effect::is_mutating), "it was pasted into the field");
}

#[test]
fn esc_goes_back_and_never_quits() {
    let mut model = model(keys(), (80, 24), Theme::Default, false);
    press(&mut model, "/b<Enter><Enter>");
    for _ in 0..5 {
        press(&mut model, "<Esc>");
    }
    assert!(!model.quit && model.keys.filter.text().is_empty());
    press(&mut model, "q");
    assert!(model.quit);
}

#[test]
fn a_release_is_no_press() {
    let mut model = model(keys(), (80, 24), Theme::Default, false);
    let mut event = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    event.kind = KeyEventKind::Release;
    update(&mut model, Message::Terminal(Event::Key(event)));
    assert!(!model.quit);
}

#[test]
fn a_screen_that_is_too_small_takes_no_key_but_quit() {
    let mut model = model(keys(), (39, 9), Theme::Default, false);
    assert!(press(&mut model, "n<Tab>XRS").is_empty() && model.dialog.is_none());
    press(&mut model, "q");
    assert!(model.quit);
}

fn any_key() -> impl Strategy<Value = KeyEvent> {
    let code = prop_oneof![
        prop::char::range(' ', '~').prop_map(KeyCode::Char),
        prop::sample::select(vec![
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::Backspace,
            KeyCode::PageDown,
            KeyCode::End,
        ]),
        prop::sample::select(vec!['n', 'R', 'X', 'S', 'U', 'o', ':', '?', '/']).prop_map(KeyCode::Char),
    ];
    code.prop_map(|code| KeyEvent::new(code, KeyModifiers::NONE))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_keys_change_anything_in_read_only_mode(
        pressed in prop::collection::vec(any_key(), 0..60),
        width in 20_u16..140,
        height in 5_u16..50,
        plain: bool,
    ) {
        let mut model = read_only(model(keys(), (width, height), Theme::Default, plain));
        for event in pressed {
            let effects = update(&mut model, Message::Terminal(Event::Key(event)));
            prop_assert!(!effects.iter().any(Effect::is_mutating), "{effects:?}");
        }
        text(&model);
    }

    #[test]
    fn nothing_panics_whatever_is_pressed(
        pressed in prop::collection::vec(any_key(), 0..80),
        width in 0_u16..140,
        height in 0_u16..50,
        plain: bool,
    ) {
        let mut model = model(keys(), (width, height), Theme::Default, plain);
        for event in pressed {
            update(&mut model, Message::Terminal(Event::Key(event)));
            text(&model);
        }
    }
}
