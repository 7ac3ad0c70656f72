//! The sections beside the keys, over a real store.

use keystile::{
    Algorithm, ClaimMapping, Client, Code, IssuerKeys, Login, LoginError, NewIssuer, NewKey, NewUser, Password,
    RevokeReason, SessionStatus, User,
};

use super::support::{Harness, NOW, at, keys, model, press, text};
use crate::action::{ACTIONS, ActionId, Place};
use crate::message::{Effect, Message, Query, Unread};
use crate::model::Model;
use crate::section::Section;
use crate::theme::Theme;
use crate::update::{dispatch, update};

const PASSWORD: &str = "correct horse battery staple";

fn add_user(harness: &Harness, email: &str) -> User {
    let password = Password::new(PASSWORD.to_owned()).unwrap();
    let new = NewUser { password: Some(password), ..NewUser::new(email.parse().unwrap()) };
    harness.keystile.users().create(new).unwrap()
}

fn login(harness: &Harness, email: &str, password: &str) -> Result<keystile::LoggedIn, LoginError> {
    let client = Client { description: Some("a browser".to_owned()), ..Client::default() };
    let password = Password::new(password.to_owned()).unwrap();
    harness.keystile.login(&Login { email, password: &password, client })
}

fn add_key(harness: &Harness, name: &str) -> keystile::CreatedKey {
    harness.keystile.keys().create(NewKey { name: name.to_owned(), ..NewKey::default() }).unwrap()
}

#[test]
fn every_section_is_a_digit_and_says_what_is_not_there() {
    let mut harness = Harness::new();
    for (index, section) in Section::ALL.into_iter().enumerate() {
        harness.press(&format!("{}", index + 1));
        assert_eq!(harness.model.section, section);
        let shown = harness.text();
        assert!(shown.contains(section.title()) && !shown.contains("reading…"), "{shown}");
    }
    harness.press("<Tab>");
    assert_eq!(harness.model.section, Section::Keys, "around the end");
    harness.press("<BackTab><BackTab><BackTab>");
    assert_eq!(harness.model.section, Section::Audit);
    assert!(harness.text().contains("store.created"), "{}", harness.text());
}

#[test]
fn failed_logins_are_listed_as_security_events() {
    let mut harness = Harness::new();
    harness.press("9");
    assert!(harness.text().contains("No login has failed"), "{}", harness.text());
    let address = "192.0.2.7".parse().ok();
    let client = keystile::Client { address, ..keystile::Client::default() };
    let password = keystile::Password::new("not this one".to_owned()).unwrap();
    for _ in 0..2 {
        let login = keystile::Login { email: "nobody@example.com", password: &password, client: client.clone() };
        harness.keystile.login(&login).unwrap_err();
    }
    harness.take(Message::Changed);
    let shown = harness.text();
    assert!(shown.contains("unknown_account") && shown.contains("192.0.2.7"), "{shown}");
    assert!(!shown.contains("nobody@example.com"), "{shown}");
    harness.press("<Enter>");
    assert!(harness.text().contains("an account that does not exist"), "{}", harness.text());
    harness.press("t");
    assert!(harness.text().contains("the event happened to no user"), "{}", harness.text());

    let user = add_user(&harness, "ada@example.com");
    let login = keystile::Login { email: "ada@example.com", password: &password, client };
    harness.keystile.login(&login).unwrap_err();
    harness.press("<Esc>");
    harness.take(Message::Changed);
    harness.press("gt");
    assert_eq!(harness.model.section, Section::Users);
    assert_eq!(harness.model.users.selected().map(|user| user.id), Some(user.id));
}

#[test]
fn concerns_are_counted_and_open_their_keys() {
    let mut harness = Harness::new();
    add_key(&harness, "never used");
    let used = add_key(&harness, "used once");
    assert!(harness.keystile.verify(used.secret.expose_secret(), &harness.keystile.request()).is_allow());
    harness.keystile.flush().unwrap();
    harness.take(Message::Changed);
    harness.take(Message::Now(at(NOW + 2)));
    harness.press("2");
    let shown = harness.text();
    assert!(shown.contains("1  Never used") && shown.contains("2  Without an expiry"), "{shown}");
    harness.press("<Down><Down><Down><Enter>");
    let shown = harness.text();
    assert!(shown.contains("Keys [never used] 1/1") && shown.contains("never used"), "{shown}");
    assert!(!shown.contains("used once"), "{shown}");
    harness.press("<Esc>");
    assert!(harness.text().contains("used once"), "{}", harness.text());
}

#[test]
fn the_header_warns_of_keys_that_expire() {
    let mut harness = Harness::new();
    let expires_at = Some(at(NOW + 86_400));
    let new = NewKey { name: "soon".to_owned(), expires_at, ..NewKey::default() };
    harness.keystile.keys().create(new).unwrap();
    harness.take(Message::Changed);
    assert!(!harness.text().contains("expire < 7d"));
    // Counting waits for the next second.
    harness.take(Message::Now(at(NOW + 2)));
    let header = harness.text().lines().next().unwrap_or_default().to_owned();
    assert!(header.contains("1 expire < 7d"), "{header}");
}

#[test]
fn a_user_is_suspended_resumed_and_gets_a_password() {
    let mut harness = Harness::new();
    let user = add_user(&harness, "ada@example.com");
    login(&harness, "ada@example.com", PASSWORD).unwrap();
    harness.press("3S<BackTab><Enter>");
    assert!(harness.text().contains("○ suspended"), "{}", harness.text());
    assert!(login(&harness, "ada@example.com", PASSWORD).is_err());
    harness.press("U<BackTab><Enter>");
    assert!(harness.keystile.users().show(user.id).unwrap().suspended_at.is_none());
    harness.press("P<BackTab><Enter>");
    assert!(harness.text().contains("(hidden)"), "{}", harness.text());
    harness.press("cy");
    let password = harness.copied.last().unwrap().clone();
    assert!(harness.model.dialog.is_none() && !harness.text().contains(&password));
    assert!(login(&harness, "ada@example.com", PASSWORD).is_err());
    login(&harness, "ada@example.com", &password).unwrap();
}

#[test]
fn sessions_end_one_by_one_and_all_at_once() {
    let mut harness = Harness::new();
    add_user(&harness, "ada@example.com");
    add_user(&harness, "bob@example.com");
    let first = login(&harness, "ada@example.com", PASSWORD).unwrap().session_id;
    let other = login(&harness, "bob@example.com", PASSWORD).unwrap().session_id;
    harness.press("3/ada<Enter>s");
    let shown = harness.text();
    assert!(shown.contains("Sessions [of ada@example.com] 1/1"), "{shown}");
    harness.press("X<BackTab><Enter>");
    let status = |harness: &Harness, id| harness.keystile.sessions().show(id).unwrap().status(at(NOW));
    assert_eq!(status(&harness, first), SessionStatus::Ended);
    assert_eq!(status(&harness, other), SessionStatus::Active);
    harness.press("A");
    assert!(harness.model.sessions.rows().iter().any(|session| session.id == other), "{}", harness.text());
    let again = login(&harness, "ada@example.com", PASSWORD).unwrap().session_id;
    harness.press("3X<BackTab><Enter>");
    assert!(harness.text().contains("ended 1 session"), "{}", harness.text());
    assert_eq!(status(&harness, again), SessionStatus::Ended);
}

#[test]
fn a_signing_key_is_made() {
    let mut harness = Harness::new();
    let before = harness.keystile.signing_keys().list().unwrap().len();
    harness.press("5R<BackTab><BackTab><BackTab><Right><Tab><Tab><Enter>");
    let keys = harness.keystile.signing_keys().list().unwrap();
    assert_eq!(keys.len(), before + 1, "{}", harness.text());
    assert!(harness.text().contains(&keys[before].kid[..12]), "{}", harness.text());
}

#[test]
fn an_issuer_is_disabled_and_enabled() {
    let mut harness = Harness::new();
    harness.keystile.signing_keys().rotate(Default::default()).unwrap();
    let new = NewIssuer {
        name: "acme".to_owned(),
        issuer: "https://acme.example".to_owned(),
        keys: IssuerKeys::Given(harness.keystile.signing_keys().jwks().unwrap()),
        algorithms: vec![Algorithm::EdDsa],
        audiences: vec!["api".to_owned()],
        any_audience: false,
        forbidden_claims: Vec::new(),
        wildcard_scopes: false,
        token_type: None,
        leeway: 0,
        claims: ClaimMapping::default(),
        environment: None,
        any_environment: false,
    };
    harness.keystile.issuers().add(new).unwrap();
    harness.press("6");
    harness.press("F");
    assert!(harness.text().contains("its keys were given"), "{}", harness.text());
    harness.press("D<BackTab><Enter>");
    assert!(!harness.keystile.issuers().show("acme").unwrap().issuer.enabled);
    harness.press("E<BackTab><Enter>");
    assert!(harness.keystile.issuers().show("acme").unwrap().issuer.enabled);
}

#[test]
fn the_trail_is_searched_verified_and_leads_to_its_key() {
    let mut harness = Harness::new();
    let created = add_key(&harness, "ci");
    add_key(&harness, "other");
    harness.keystile.keys().revoke(created.key.id, RevokeReason::Superseded, None).unwrap();
    harness.press("7/revoked<Enter>");
    let shown = harness.text();
    assert!(shown.contains("key.revoked") && !shown.contains("store.created"), "{shown}");
    harness.press("v");
    assert!(harness.text().contains("the trail is intact: 4 entries"), "{}", harness.text());
    harness.press("t");
    let shown = harness.text();
    assert!(harness.model.section == Section::Keys && shown.contains("✕ revoked") && shown.contains("1/1"), "{shown}");
}

#[test]
fn the_doctor_is_asked() {
    let mut harness = Harness::new();
    harness.press("8");
    let shown = harness.text();
    assert!(shown.contains("● ok") && shown.contains("integrity"), "{shown}");
    harness.press("r<Enter>");
    assert!(harness.text().contains("found"), "{}", harness.text());
}

#[test]
fn a_credential_is_tried_without_being_shown() {
    let mut harness = Harness::new();
    let created = add_key(&harness, "ci");
    let secret = created.secret.expose_secret().to_owned();
    let paste = |harness: &mut Harness, text: &str| {
        harness.take(Message::Terminal(crossterm::event::Event::Paste(text.to_owned())));
    };
    harness.press("T");
    paste(&mut harness, &format!("{secret}\n"));
    assert!(harness.text().contains(&format!("({} characters)", secret.len())), "{}", harness.text());
    harness.press("<Enter>");
    let shown = harness.text();
    assert!(
        shown.contains("● allow") && shown.contains("key ci (") && shown.contains("● it has the scopes"),
        "{shown}"
    );
    assert!(!shown.contains(&secret[..16]) && !shown.contains(&secret[secret.len() - 8..]), "{shown}");
    assert_eq!(harness.keystile.keys().show(created.key.id).unwrap().uses(), 0, "it leaves no trace");
    // For what it may not do.
    harness.press("<Tab>a:read<Enter>");
    assert!(harness.text().contains("✕ it has the scopes"), "{}", harness.text());
    harness.press("<Esc>");
    harness.keystile.keys().suspend(created.key.id).unwrap();
    harness.press("T");
    paste(&mut harness, &secret);
    harness.press("<Enter>");
    let shown = harness.text();
    assert!(shown.contains("✕ deny: suspended (401)") && shown.contains("✕ it is not suspended"), "{shown}");
    // A typo: the checksum tells, to an operator.
    harness.press("<Esc>T");
    paste(&mut harness, &format!("{}x", &secret[..secret.len() - 1]));
    harness.press("<Enter>");
    assert!(harness.text().contains("✕ its checksum is right"), "{}", harness.text());
}

#[test]
fn many_keys_are_changed_at_once() {
    let mut harness = Harness::new();
    let created: Vec<_> = (0..3).map(|number| add_key(&harness, &format!("key {number}"))).collect();
    harness.take(Message::Changed);
    let code = |harness: &Harness, index: usize| {
        harness.keystile.preview(created[index].secret.expose_secret(), &harness.keystile.request()).code()
    };
    // The first two in the order of the list.
    harness.press("  ");
    assert!(harness.text().contains("[2 marked]"), "{}", harness.text());
    harness.press("S<BackTab><Enter>");
    assert!(harness.text().contains("suspended 2 keys"), "{}", harness.text());
    assert_eq!((0..3).filter(|index| code(&harness, *index) == Some(Code::Suspended)).count(), 2);
    // Those that were changed are no longer marked.
    assert!(!harness.text().contains("marked"), "{}", harness.text());
    harness.press("g  X<Tab><Tab><Tab>2 marked keys<Tab>X");
    assert!(harness.text().contains("revoked 2 keys"), "{}", harness.text());
    assert_eq!((0..3).filter(|index| code(&harness, *index) == Some(Code::Revoked)).count(), 2);
    // What cannot be changed does not keep the rest from being changed.
    harness.press("g   X<Tab><Tab><Tab>3 marked keys<Tab>X");
    assert!(harness.text().contains("revoked 1 key, but not 2"), "{}", harness.text());
    assert!((0..3).all(|index| code(&harness, index) == Some(Code::Revoked)));
}

/// In the details there is one key, whatever is marked in the list; marks end with what they were set in.
#[test]
fn marks_that_are_not_in_view_are_not_changed() {
    let mut harness = Harness::new();
    (0..3).for_each(|number| drop(add_key(&harness, &format!("key {number}"))));
    harness.take(Message::Changed);
    harness.press("  <Enter>S");
    let selected = harness.model.keys.selected().unwrap().name.clone();
    assert!(harness.text().contains(&format!("Suspend: {selected}")), "{}", harness.text());
    harness.press("<Esc><Esc>");
    assert_eq!(harness.model.keys.marked().len(), 2);
    for pressed in ["O", "/key<Enter><Esc>", "31"] {
        harness.press("ug  ");
        assert_eq!(harness.model.keys.marked().len(), 2, "{pressed}");
        harness.press(pressed);
        assert!(harness.model.keys.marked().is_empty(), "{pressed}");
    }
    // One mark is none: the dialog names its key, and asks for its prefix.
    harness.press("gO X");
    assert!(harness.text().contains("Revoke for good: key "), "{}", harness.text());
}

/// The verdict on one credential is never shown beside another.
#[test]
fn a_late_verdict_is_not_shown_for_another_credential() {
    let mut model = model(keys(), (80, 24), Theme::Default, false);
    let paste = |model: &mut Model| {
        update(model, Message::Terminal(crossterm::event::Event::Paste("hx_live_abc".to_owned())));
    };
    let answer = |model: &mut Model, effects: Vec<Effect>| {
        let Some(Effect::Explain(trial)) = effects.into_iter().next() else { panic!("nothing was asked") };
        let verdict = keystile::Verdict::deny(Code::Expired);
        let explanation = keystile::Explanation { verdict, steps: Vec::new(), key: None };
        update(model, Message::Explained { number: trial.number, explained: Box::new(Ok(explanation)) });
        text(model).contains("deny: expired")
    };
    press(&mut model, "T");
    paste(&mut model);
    let asked = press(&mut model, "<Enter>");
    press(&mut model, "x");
    assert!(!answer(&mut model, asked), "it was edited since");
    let asked = press(&mut model, "<Enter>");
    press(&mut model, "<Esc>T");
    paste(&mut model);
    assert!(!answer(&mut model, asked), "it is another form");
    let asked = press(&mut model, "<Enter>");
    assert!(answer(&mut model, asked));
    // Another paste takes the place of what was judged.
    paste(&mut model);
    assert!(text(&model).contains("(11 characters)"), "{}", text(&model));
}

/// An answer that fails is booked to the table that asked, whatever is in view by then.
#[test]
fn a_failed_list_does_not_stop_its_section() {
    let mut model = model(keys(), (80, 24), Theme::Default, false);
    let counts = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Load { request, query: Query::Counts, .. } => Some(*request),
            _ => None,
        })
    };
    update(&mut model, Message::Changed);
    let effects = update(&mut model, Message::Now(at(NOW + 2)));
    // The count of the start was never answered: it is still waited for.
    assert_eq!(counts(&effects), None);
    let unread = Unread { section: Section::Safety, problem: "the store is locked · wait".to_owned() };
    update(&mut model, Message::Loaded { request: 1, start: 0, page: Err(unread) });
    update(&mut model, Message::Changed);
    assert!(counts(&update(&mut model, Message::Now(at(NOW + 4)))).is_some(), "it is asked again");
}

#[test]
fn refusing_old_tokens_needs_a_key_of_its_own() {
    let refuses = |keys: &str| {
        let mut model = model(super::support::keys(), (80, 24), Theme::Default, false);
        press(&mut model, "5");
        press(&mut model, keys).iter().any(Effect::is_mutating)
    };
    assert!(refuses("R<BackTab><BackTab><Right><Right><Tab>X"));
    assert!(!refuses("R<BackTab><BackTab><Right><Right><Tab><Enter><Enter>"));
    assert!(refuses("R<BackTab><BackTab><Right><Tab><Enter>"), "the rest can be made good again");
}

#[test]
fn the_uses_of_a_key_are_drawn_by_the_day() {
    let mut harness = Harness::new();
    harness.model.size = (120, 40);
    let created = add_key(&harness, "ci");
    harness.take(Message::Changed);
    assert!(harness.text().contains(&"·".repeat(30)), "{}", harness.text());
    assert!(harness.keystile.verify(created.secret.expose_secret(), &harness.keystile.request()).is_allow());
    harness.keystile.flush().unwrap();
    harness.take(Message::Changed);
    assert!(harness.text().contains(&format!("{}█", "·".repeat(29))), "{}", harness.text());
}

/// What is not in view is not changed, however it is asked for.
#[test]
fn an_action_of_another_section_is_refused() {
    for section in Section::ALL {
        for action in ACTIONS {
            let Place::In(home) = action.place else { continue };
            if home == section {
                continue;
            }
            let mut model = model(keys(), (80, 24), Theme::Default, false);
            model.section = section;
            assert!(dispatch(&mut model, action.id).is_empty() && model.dialog.is_none(), "{:?}", action.id);
            let toast = model.toast.as_ref().map_or("", |toast| toast.text.as_str());
            assert!(toast.contains(&format!("this is done in {}", home.title())), "{:?}: {toast}", action.id);
        }
    }
}

/// A list that was asked for is not waited for when another section comes into view.
#[test]
fn a_section_can_be_left_before_it_is_read() {
    let mut model = model(keys(), (80, 24), Theme::Default, false);
    let asked = |model: &mut Model, keys: &str| {
        let effects = press(model, keys);
        effects.iter().filter(|effect| matches!(effect, Effect::Load { .. })).count()
    };
    assert_eq!(asked(&mut model, "3"), 1);
    assert_eq!(asked(&mut model, "1"), 1);
    assert_eq!(asked(&mut model, "3"), 1);
    assert_eq!(update(&mut model, Message::Terminate).len(), 0);
    assert!(!text(&model).is_empty());
    assert!(ACTIONS.iter().any(|action| action.id == ActionId::Go(Section::Users)));
}
