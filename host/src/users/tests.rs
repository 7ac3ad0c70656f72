//! Users, on a real store.

use super::*;
use crate::login::tests::{EMAIL, PASSWORD, World, at, password, world};
use crate::{
    Client, Email, Login, LoginError, LoginSettings, Password, PasswordError, Refresh, RefreshError, Settings,
    UserQuery, UserRef, UserStatus,
};

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

impl World {
    fn can_log_in(&self, with: &Password) -> bool {
        let login = Login { email: EMAIL, password: with, client: Client::default() };
        match self.keystile.login(&login) {
            Ok(_) => true,
            Err(LoginError::InvalidCredentials) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn users_are_made_with_one_address_each() {
    let world = world();
    let users = world.keystile.users();
    let new = NewUser {
        name: Some("Grace Hopper".to_owned()),
        organization: Some("org_navy".to_owned()),
        admin: true,
        ..NewUser::new(email("Grace@Example.com"))
    };
    let grace = users.create(new).unwrap();
    assert_eq!(users.show(grace.id).unwrap(), grace);
    assert_eq!(users.find(&"GRACE@example.COM".parse().unwrap()).unwrap(), grace);
    assert_eq!(users.find(&UserRef::Id(grace.id)).unwrap(), grace);
    assert_eq!((grace.password_set_at, grace.created_by.as_str()), (None, "tests"));
    let taken = users.create(NewUser::new(email("grace@EXAMPLE.com")));
    assert!(matches!(taken, Err(CreateUserError::EmailTaken { .. })));
    for (name, organization) in [(Some(""), None), (Some(" a"), None), (None, Some("a\nb")), (None, Some(""))] {
        let new = NewUser {
            name: name.map(str::to_owned),
            organization: organization.map(str::to_owned),
            ..NewUser::new(email("x@example.com"))
        };
        assert!(matches!(users.create(new), Err(CreateUserError::Field(_))));
    }
    let nobody = UserId::from_bytes([1; 16]);
    assert!(matches!(users.show(nobody), Err(ShowUserError::NotFound { .. })));
    assert!(matches!(users.find(&"no@body.org".parse().unwrap()), Err(ShowUserError::NotFound { .. })));
}

#[test]
fn users_are_listed_page_by_page() {
    let world = world();
    let users = world.keystile.users();
    for number in 0..7 {
        let organization = (number % 2 == 0).then(|| "org_Even".to_owned());
        let new = NewUser { organization, ..NewUser::new(email(&format!("user{number}@example.com"))) };
        let user = users.create(new).unwrap();
        if number == 3 {
            users.suspend(user.id).unwrap();
        }
    }
    let list = |query: &UserQuery| {
        let page = users.list(query).unwrap();
        let names: Vec<String> =
            page.users.iter().map(|user| user.email.as_str().trim_end_matches("@example.com").to_owned()).collect();
        (names.join(" "), page.next)
    };
    let all = UserQuery::default();
    assert_eq!(list(&all), ("user6 user5 user4 user3 user2 user1 user0 ada".to_owned(), None));
    let (first, next) = list(&UserQuery { limit: 3, ..all.clone() });
    assert!(first == "user6 user5 user4" && next.is_some());
    assert_eq!(
        list(&UserQuery { after: next, limit: 5, ..all.clone() }),
        ("user3 user2 user1 user0 ada".to_owned(), None)
    );
    assert_eq!(list(&UserQuery { suspended: Some(true), ..all.clone() }).0, "user3");
    let organization = Some("org_Even".to_owned());
    assert_eq!(list(&UserQuery { organization, suspended: Some(false), ..all.clone() }).0, "user6 user4 user2 user0");
    for (search, found) in [("R5@", "user5"), ("EVEN", "user6 user4 user2 user0"), ("%", ""), ("a_d", "")] {
        assert_eq!(list(&UserQuery { search: Some(search.to_owned()), ..all.clone() }).0, found, "{search}");
    }
    let refused = |query: UserQuery| users.list(&query).unwrap_err();
    assert!(matches!(refused(UserQuery { limit: 0, ..all.clone() }), ListUsersError::Limit { .. }));
    assert!(matches!(refused(UserQuery { limit: 1_001, ..all.clone() }), ListUsersError::Limit { .. }));
    assert!(matches!(refused(UserQuery { search: Some("x".repeat(129)), ..all }), ListUsersError::Search));
}

#[test]
fn users_are_changed_field_by_field() {
    let world = world();
    let users = world.keystile.users();
    users.create(NewUser::new(email("taken@example.com"))).unwrap();
    world.clock.advance(1);
    let change = |change: UserChange| users.update(world.user.id, change).map(|changed| changed.user);
    let changed = change(UserChange { name: Some(Some("Ada".to_owned())), admin: Some(true), ..UserChange::default() });
    let changed = changed.unwrap();
    assert_eq!((changed.name.as_deref(), changed.admin, changed.updated_at), (Some("Ada"), true, at(1)));
    assert_eq!(world.audited("user.updated"), [r#"{"admin":{"new":true,"old":false},"name":"changed"}"#]);
    assert!(matches!(change(UserChange::default()), Err(UpdateUserError::NoChange)));
    let taken = change(UserChange { email: Some(email("taken@example.com")), ..UserChange::default() });
    assert!(matches!(taken, Err(UpdateUserError::EmailTaken { .. })));
    let bad = change(UserChange { name: Some(Some(" ".to_owned())), ..UserChange::default() });
    assert!(matches!(bad, Err(UpdateUserError::Field(UserFieldError::Name))));
    change(UserChange { email: Some(email("new@example.com")), name: Some(None), ..UserChange::default() }).unwrap();
    assert!(!world.can_log_in(&password(PASSWORD)), "the old address is nobody's");
    let new = Login { email: "new@example.com", password: &password(PASSWORD), client: Client::default() };
    assert!(world.keystile.login(&new).is_ok(), "the password has stayed");
    let missing = users.update(UserId::from_bytes([1; 16]), UserChange { admin: Some(true), ..UserChange::default() });
    assert!(matches!(missing, Err(UpdateUserError::NotFound { .. })));
}

#[test]
fn a_suspended_user_is_out_until_it_is_resumed() {
    let world = world();
    let users = world.keystile.users();
    let before = world.login();
    assert!(matches!(users.resume(world.user.id), Err(ChangeUserStateError::Conflict { .. })));
    assert_eq!(users.suspend(world.user.id).unwrap().value.user.unwrap().status(), UserStatus::Suspended);
    assert!(matches!(users.suspend(world.user.id), Err(ChangeUserStateError::Conflict { .. })));
    assert!(!world.can_log_in(&password(PASSWORD)));
    let refresh = || world.keystile.refresh(before.refresh_token.expose_secret(), &Refresh::default());
    assert!(matches!(refresh(), Err(RefreshError::Ended)));
    assert_eq!(users.resume(world.user.id).unwrap().user.suspended_at, None);
    assert!(matches!(refresh(), Err(RefreshError::Ended)), "what has ended stays so");
    assert!(world.can_log_in(&password(PASSWORD)));
    assert_eq!(world.audited("user.suspended"), [r#"{"sessions_ended":1}"#]);
}

/// They are refused when the clock gets there again, whatever was revoked and forgotten meanwhile.
#[test]
fn tokens_that_were_made_while_the_clock_was_ahead_fall_with_their_user() {
    let world = world();
    let keystile = &world.keystile;
    let ahead = 4 * 86_400;
    let other = keystile.users().create(NewUser::new(email("other@example.com"))).unwrap();
    world.clock.set(at(ahead));
    let sent = crate::NewToken { user: EMAIL.to_owned(), scopes: Vec::new(), environment: None, ttl: None };
    let sent = keystile.tokens().issue(sent).unwrap().token;
    let [ended, open] = [world.login(), world.login()];
    world.clock.set(at(0));
    keystile.sessions().end(ended.session_id).unwrap();
    world.clock.set(at(2 * 86_400 + 3_600));
    // What is revoked now makes room of what was revoked long ago.
    keystile.users().suspend(other.id).unwrap();
    world.clock.set(at(ahead + 1));
    let code = |token: &crate::Secret| keystile.verify(token.expose_secret(), &keystile.request()).code();
    assert_eq!((code(&sent), code(&open.access_token)), (None, None));
    assert_eq!(code(&ended.access_token), Some(crate::Code::Revoked), "its session has ended");
    world.clock.set(at(10));
    keystile.users().suspend(world.user.id).unwrap();
    keystile.users().resume(world.user.id).unwrap();
    world.clock.set(at(ahead + 1));
    assert_eq!((code(&sent), code(&open.access_token)), (Some(crate::Code::Revoked), Some(crate::Code::Revoked)));
    // Whatever is issued after that is good.
    assert_eq!(code(&world.login().access_token), None);
}

#[test]
fn a_deleted_user_leaves_its_id_and_nothing_else() {
    let world = world();
    let users = world.keystile.users();
    let before = world.login();
    users.delete(world.user.id).unwrap();
    assert!(matches!(users.show(world.user.id), Err(ShowUserError::NotFound { .. })));
    assert!(matches!(users.delete(world.user.id), Err(ChangeUserStateError::NotFound { .. })));
    assert!(users.list(&UserQuery::default()).unwrap().users.is_empty());
    assert!(!world.can_log_in(&password(PASSWORD)));
    let refused = world.keystile.refresh(before.refresh_token.expose_secret(), &Refresh::default());
    assert!(matches!(refused, Err(RefreshError::Invalid)));
    let request = world.keystile.request();
    let verdict = world.keystile.verify(before.access_token.expose_secret(), &request);
    assert_eq!(verdict.code(), Some(crate::Code::Revoked));
    assert!(world.keystile.sessions().show(before.session_id).is_err(), "its sessions are forgotten");
    let ended: Vec<_> = world.audited("session.ended");
    assert!(ended.len() == 1 && ended[0].contains(r#""reason":"deleted""#), "{ended:?}");
    let trail = world.keystile.audit(Some(&world.user.id.to_string()), 0, 100).unwrap();
    assert_eq!(trail.last().unwrap().action, "user.deleted");
    let again = users.create(NewUser::new(email(EMAIL))).unwrap();
    assert_ne!(again.id, world.user.id, "the address is free, the id is not");
    assert!(!world.can_log_in(&password(PASSWORD)), "and the old password is gone");
}

#[test]
fn a_reset_ends_all_sessions_and_the_old_password() {
    let world = world();
    let users = world.keystile.users();
    let before = world.login();
    assert!(matches!(
        users.reset_password(world.user.id, &password("short")),
        Err(ResetPasswordError::Password(PasswordError::TooShort { min_len: 8 }))
    ));
    let (_, drawn) = users.generate_password(world.user.id).unwrap();
    assert!(matches!(
        world.keystile.refresh(before.refresh_token.expose_secret(), &Refresh::default()),
        Err(RefreshError::Ended)
    ));
    assert!(!world.can_log_in(&password(PASSWORD)));
    assert!(world.can_log_in(&password(drawn.expose_secret())));
    assert!(matches!(users.generate_password(UserId::from_bytes([1; 16])), Err(ResetPasswordError::NotFound { .. })));
}

#[test]
fn the_shortest_password_is_a_setting() {
    let world = world();
    let users = world.keystile.users();
    let logins = LoginSettings { min_password_len: 15, ..LoginSettings::default() };
    world.keystile.set_settings(&Settings { logins, ..Settings::default() }).unwrap();
    let reset = |text: &str| users.reset_password(world.user.id, &password(text));
    assert!(matches!(
        reset("fourteen chars"),
        Err(ResetPasswordError::Password(PasswordError::TooShort { min_len: 15 }))
    ));
    assert!(reset("fifteen  chars!").is_ok());
    let new = NewUser { password: Some(password("fourteen chars")), ..NewUser::new(email("x@example.com")) };
    assert!(matches!(users.create(new), Err(CreateUserError::Password(_))));
}

#[test]
fn the_store_keeps_a_hash_and_no_password() {
    let world = world();
    world.login();
    let (_, drawn) = world.keystile.users().generate_password(world.user.id).unwrap();
    let given = {
        let login = Login { email: EMAIL, password: &password(drawn.expose_secret()), client: Client::default() };
        world.keystile.login(&login).unwrap()
    };
    let folder = world.path.parent().unwrap();
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("$argon2id$v=19$m=19456,t=2,p=1$") && has(EMAIL));
    for secret in [PASSWORD, drawn.expose_secret(), given.refresh_token.expose_secret()] {
        assert!(!has(secret));
    }
}

#[test]
fn messages_say_what_happened_and_what_to_do() {
    let id = UserId::from_bytes([1; 16]);
    let messages = [
        CreateUserError::Field(UserFieldError::Organization).to_string(),
        CreateUserError::EmailTaken { email: email(EMAIL) }.to_string(),
        CreateUserError::Busy.to_string(),
        CreateUserError::Password(PasswordError::TooLong).to_string(),
        CreateUserError::Password(PasswordError::TooShort { min_len: 8 }).to_string(),
        CreateUserError::Password(PasswordError::Generator).to_string(),
        ShowUserError::NotFound { user: id.into() }.to_string(),
        ListUsersError::Limit { given: 0 }.to_string(),
        ListUsersError::Search.to_string(),
        UpdateUserError::NoChange.to_string(),
        ChangeUserStateError::Conflict { id, status: UserStatus::Active }.to_string(),
        ResetPasswordError::NotFound { id }.to_string(),
        ChangePasswordError::WrongPassword.to_string(),
        ChangePasswordError::TooManyAttempts { retry_after: 1 }.to_string(),
    ];
    assert!(messages.iter().all(|message| message.split(" · ").count() == 2), "{messages:#?}");
}
