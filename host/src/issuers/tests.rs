//! Tests of issuers over a real store and a real server.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use keystile_validator::jwt::{
    Algorithm, ClaimMapping, Issuer, Issuers as Known, JwtError, ScopeClaim, TokenType, UnverifiedJwt,
};
use tempfile::TempDir;

use super::refresh::Reason;
use super::test_server::{Answer, Server};
use super::*;
use crate::mirror::FollowedIssuers;
use crate::{Keystile, ManualClock, NewStore, Severity, Timestamp};

const EC: &str = r#"{"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const ED: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// A folder with a store in it, and a clock.
struct Place {
    folder: TempDir,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Place {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix(1_700_000_000).unwrap()));
        let place = Place { folder: TempDir::new().unwrap(), clock };
        Keystile::create(place.path(), NewStore::default()).unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keystile.db")
    }

    /// As a service opens it.
    fn serve(&self) -> Keystile {
        Keystile::options().clock(Arc::clone(&self.clock)).open(self.path()).unwrap()
    }

    /// As a command opens it.
    fn command(&self) -> Keystile {
        Keystile::options().clock(Arc::clone(&self.clock)).on_demand(true).open(self.path()).unwrap()
    }
}

fn set(keys: &[&str]) -> String {
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

fn new(name: &str, keys: IssuerKeys) -> NewIssuer {
    NewIssuer {
        name: name.into(),
        issuer: format!("https://{name}.example.com"),
        keys,
        algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
        audiences: vec!["shop".into()],
        any_audience: false,
        forbidden_claims: Vec::new(),
        wildcard_scopes: false,
        token_type: None,
        leeway: 5,
        claims: ClaimMapping::default(),
        environment: None,
        any_environment: true,
    }
}

fn given(name: &str, keys: &[&str]) -> NewIssuer {
    new(name, IssuerKeys::Given(set(keys)))
}

fn fetched(name: &str, server: &Server) -> NewIssuer {
    new(name, IssuerKeys::Url(server.url("/keys")))
}

/// What was written about issuers, in order.
fn trail(keystile: &Keystile) -> Vec<(String, String)> {
    let entries = keystile.audit(None, 0, 100).unwrap();
    entries
        .into_iter()
        .filter(|entry| entry.action.starts_with("issuer"))
        .map(|entry| (entry.action, entry.detail))
        .collect()
}

fn documents(keystile: &Keystile) -> FollowedIssuers {
    keystile.inner.issuer_documents().unwrap()
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_issuer_lives_from_add_to_remove() {
    let place = Place::new();
    let keystile = place.command();
    let added = keystile.issuers().add(given("clerk", &[EC])).unwrap();
    assert_eq!(added.source, KeySource::Given);
    let info = keystile.issuers().show("clerk").unwrap();
    assert_eq!(info.issuer, added);
    assert_eq!(info.key_set.keys, [KeySetKey { kid: Some("ec".into()), kty: "EC".into(), algorithm: None }]);
    keystile.issuers().add(given("auth0", &[ED])).unwrap();
    let names: Vec<_> = keystile.issuers().list().unwrap().issuers.into_iter().map(|info| info.issuer.name).collect();
    assert_eq!(names, ["auth0", "clerk"]);

    let disabled = keystile.issuers().disable("clerk").unwrap().value.unwrap();
    assert!(!disabled.enabled);
    assert_eq!(documents(&keystile).iter().map(|known| known.name.as_str()).collect::<Vec<_>>(), ["auth0"]);
    let again = keystile.issuers().disable("clerk").unwrap_err();
    assert!(matches!(again, ChangeIssuerError::Conflict { enabled: false, .. }), "{again}");
    assert!(keystile.issuers().enable("clerk").unwrap().enabled);
    assert_eq!(documents(&keystile).len(), 2);

    let changed = keystile.issuers().set_keys("clerk", &set(&[EC, ED])).unwrap();
    assert!(changed.changed && changed.info.key_set.keys.len() == 2);
    assert!(!keystile.issuers().set_keys("clerk", &set(&[ED, EC])).unwrap().changed);
    let refused = keystile.issuers().refresh("clerk").unwrap_err();
    assert!(matches!(refused, RefreshIssuerError::GivenKeys { .. }), "{refused}");

    keystile.issuers().remove("clerk").unwrap();
    assert!(matches!(keystile.issuers().show("clerk"), Err(ShowIssuerError::NotFound { .. })));
    for missing in [
        keystile.issuers().remove("clerk").err().map(|error| error.to_string()),
        keystile.issuers().enable("clerk").err().map(|error| error.to_string()),
        keystile.issuers().refresh("clerk").err().map(|error| error.to_string()),
        keystile.issuers().set_keys("clerk", "").err().map(|error| error.to_string()),
    ] {
        assert!(missing.is_some_and(|message| message.starts_with("the store has no issuer clerk · ")));
    }
    let actions: Vec<_> = trail(&keystile).into_iter().map(|(action, _)| action).collect();
    let expected = ["added", "added", "disabled", "enabled", "keys_changed", "removed"];
    assert_eq!(actions, expected.map(|action| format!("issuer.{action}")));
    keystile.issuers().add(given("clerk", &[EC])).unwrap();
}

#[test]
fn names_and_issuers_are_taken_once_and_there_are_so_many() {
    let place = Place::new();
    let keystile = place.command();
    keystile.issuers().add(given("a", &[EC])).unwrap();
    let name = keystile.issuers().add(NewIssuer { issuer: "other".into(), ..given("a", &[EC]) });
    assert!(matches!(name, Err(AddIssuerError::NameTaken { .. })));
    let issuer = keystile.issuers().add(NewIssuer { name: "b".into(), ..given("a", &[EC]) });
    assert!(matches!(issuer, Err(AddIssuerError::IssuerTaken { name }) if name == "a"));
    let field = keystile.issuers().add(NewIssuer { leeway: 61, ..given("b", &[EC]) });
    assert!(matches!(field, Err(AddIssuerError::Field(IssuerFieldError::Leeway { given: 61 }))));
    for (text, problem) in [
        (set(&[]), KeySetProblem::NoUsableKey),
        (set(&[r#"{"kty":"oct","k":"c2VjcmV0"}"#]), KeySetProblem::SecretKeys),
        ("[]".into(), KeySetProblem::Malformed),
    ] {
        let keys = keystile.issuers().add(new("b", IssuerKeys::Given(text)));
        assert!(matches!(keys, Err(AddIssuerError::Keys(found)) if found == problem), "{keys:?}");
    }
    for number in 1..MAX_ISSUERS {
        keystile.issuers().add(given(&format!("i{number}"), &[EC])).unwrap();
    }
    assert!(matches!(keystile.issuers().add(given("last", &[EC])), Err(AddIssuerError::TooMany)));
    assert_eq!(keystile.issuers().list().unwrap().issuers.len(), MAX_ISSUERS);
}

#[test]
fn a_query_of_a_url_is_not_in_the_audit_trail() {
    let place = Place::new();
    let keystile = place.command();
    let url: JwksUrl = "https://example.com/keys?apikey=hush".parse().unwrap();
    let added = keystile.issuers().add(new("a", IssuerKeys::Url(url.clone()))).unwrap();
    assert_eq!(keystile.issuers().show("a").unwrap().issuer.source, KeySource::Url(url));
    let trail = trail(&keystile);
    assert!(trail[0].1.contains("https://example.com/keys") && !trail[0].1.contains("hush"), "{trail:?}");
    assert!(!format!("{added:?}").contains("hush"));
    let with_secret = new("b", IssuerKeys::Given("hush".into()));
    assert!(!format!("{with_secret:?}").contains("hush"));
}

/// Whatever a verdict depends on is a new generation; what is only about fetching is none.
#[test]
fn every_process_follows() {
    let place = Place::new();
    let (service, command) = (place.serve(), place.command());
    let generation = || command.inner.store().read().unwrap().position().unwrap().generation;
    assert!(documents(&service).is_empty());
    command.issuers().add(given("a", &[EC])).unwrap();
    eventually("an issuer comes", || documents(&service).len() == 1);
    let first = documents(&service)[0].clone();
    assert!(first.has_keys && first.issuer == "https://a.example.com");
    command.issuers().set_keys("a", &set(&[EC, ED])).unwrap();
    eventually("its keys change", || documents(&service)[0] != first);
    let second = documents(&service)[0].clone();
    assert!(second.json.contains("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") && !first.json.contains("11qYAYK"));
    let before = generation();
    command.issuers().set_keys("a", &set(&[ED, EC])).unwrap();
    assert_eq!(generation(), before, "the same keys are no news");
    command.issuers().disable("a").unwrap();
    eventually("it is disabled", || documents(&service).is_empty());
    command.issuers().enable("a").unwrap();
    eventually("it is enabled", || documents(&service).len() == 1);
    assert_eq!(documents(&service)[0].json.len(), second.json.len(), "with the keys that it had");
    command.issuers().remove("a").unwrap();
    eventually("it is removed", || documents(&service).is_empty());
}

#[test]
fn what_cannot_be_followed_is_not_used() {
    let place = Place::new();
    let keystile = place.serve();
    keystile.issuers().add(given("a", &[EC])).unwrap();
    let raw = rusqlite::Connection::open(place.path()).unwrap();
    let write = |audiences: &str| {
        let sql = "UPDATE position SET generation = generation + 1;
                   UPDATE issuers SET generation = (SELECT generation FROM position), audiences = ";
        raw.execute_batch(&format!("BEGIN; {sql} '{audiences}'; COMMIT")).unwrap();
    };
    write("x");
    eventually("it is noticed", || keystile.inner.issuer_documents().is_none());
    write("[]");
    eventually("it is mended", || keystile.inner.issuer_documents().is_some());
}

/// A document is what the validator reads: a token that the key has signed is verified with it.
#[test]
fn documents_are_what_the_validator_reads() {
    let place = Place::new();
    let keystile = place.command();
    let claims = ClaimMapping {
        scopes: vec![ScopeClaim::Scp, ScopeClaim::Scope],
        organization: None,
        roles: Some("/realm/roles".into()),
        environment: None,
    };
    let text = format!("{{ \"keys\" : [{EC}, {{\"kty\": \"new\"}}] , \"x\": \"\\u0000\" }}");
    let added = keystile.issuers().add(NewIssuer {
        issuer: "a \"quoted\" issuer".into(),
        claims,
        environment: Some("live".parse().unwrap()),
        any_environment: false,
        token_type: Some(TokenType::AccessToken),
        ..new("a", IssuerKeys::Given(text))
    });
    let added = added.unwrap();
    let read = Issuer::from_json(documents(&keystile)[0].json.as_bytes()).unwrap();
    let settings = read.settings();
    assert_eq!(settings.issuer, added.issuer);
    assert_eq!(settings.algorithms, added.algorithms);
    assert_eq!(settings.audiences, added.audiences);
    assert_eq!((settings.token_type, settings.leeway), (added.token_type, 5));
    assert_eq!((&settings.claims, &settings.environment), (&added.claims, &added.environment));
    assert!(!settings.secrets, "no shared secret is ever a key here");
    assert_eq!((read.keys().len(), read.problems().len()), (1, 1));

    // RFC 7515, appendix A.3: the key is right, and the token is not for us.
    let token = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    keystile
        .issuers()
        .add(NewIssuer { issuer: "joe".into(), audiences: Vec::new(), any_audience: true, ..given("joe", &[EC]) })
        .unwrap();
    let mut known = Known::default();
    for document in documents(&keystile).iter() {
        known.put(Issuer::from_json(document.json.as_bytes()).unwrap()).unwrap();
    }
    let verify = |at: u64| {
        let now = Timestamp::from_unix(at).unwrap();
        UnverifiedJwt::parse(token)
            .unwrap()
            .verify(&known, now, None)
            .map(|verified| verified.claims().issuer().to_owned())
    };
    assert_eq!(verify(1_300_819_379), Ok("joe".to_owned()));
    assert!(matches!(verify(1_300_819_385), Err(JwtError::Expired { .. })));
}

/// What an earlier program took and this one does not is no reason to refuse all others.
#[test]
fn a_set_that_cannot_be_read_any_more_is_none() {
    let place = Place::new();
    let keystile = place.command();
    for name in ["a", "b"] {
        keystile.issuers().add(given(name, &[EC])).unwrap();
    }
    let raw = rusqlite::Connection::open(place.path()).unwrap();
    let sql = "UPDATE jwks_cache SET jwks = '{' WHERE name = 'a'; UPDATE position SET generation = generation + 1;
               UPDATE issuers SET generation = (SELECT generation FROM position) WHERE name = 'a'";
    raw.execute_batch(sql).unwrap();
    let counts: Vec<_> = documents(&keystile)
        .iter()
        .map(|document| Issuer::from_json(document.json.as_bytes()).unwrap().keys().len())
        .collect();
    assert_eq!(counts, [0, 1]);
}

/// A server whose answer can be changed, and which counts.
fn changing(first: Answer) -> (Server, Arc<Mutex<Option<Answer>>>) {
    let next = Arc::new(Mutex::new(Some(first)));
    let of_server = Arc::clone(&next);
    let server = Server::new(move |_| of_server.lock().unwrap().take().unwrap_or_else(|| Answer::status(500)));
    (server, next)
}

#[test]
fn the_last_good_set_stays_whatever_comes() {
    let place = Place::new();
    let keystile = place.command();
    let (server, next) =
        changing(Answer::ok(set(&[EC])).header("Cache-Control", "max-age=900").header("ETag", "\"1\""));
    keystile.issuers().add(fetched("a", &server)).unwrap();
    let first = keystile.issuers().refresh("a").unwrap();
    assert!(first.changed && first.info.key_set.max_age == 900 && first.info.key_set.problem.is_none());
    let document = documents(&keystile)[0].clone();

    let too_many = set(&vec![r#"{"kty":"EC"}"#; 10_000]);
    let answers: Vec<(Answer, FetchProblem)> = vec![
        (Answer::status(500), FetchProblem::Status(500)),
        (Answer::status(503), FetchProblem::Status(503)),
        (Answer::ok("garbage"), KeySetProblem::Malformed.into()),
        (Answer::ok(""), KeySetProblem::Malformed.into()),
        (Answer::ok(set(&[])), KeySetProblem::NoUsableKey.into()),
        (Answer::ok(set(&[r#"{"kty":"EC","crv":"P-521"}"#])), KeySetProblem::NoUsableKey.into()),
        (Answer::ok(too_many), KeySetProblem::TooManyKeys.into()),
        (Answer::ok("").chunks(vec![b' '; 64 * 1024], 160), KeySetProblem::TooLarge.into()),
        (Answer::redirect(302, "https://evil.example/"), FetchProblem::RedirectElsewhere),
        (Answer::raw(b"\x00\x01\r\n\r\n"), FetchProblem::BadAnswer),
    ];
    for (failures, (answer, expected)) in answers.into_iter().enumerate() {
        *next.lock().unwrap() = Some(answer);
        let failed = keystile.issuers().refresh("a").unwrap_err();
        let is = matches!(failed, RefreshIssuerError::Fetch { problem, has_keys: true, .. } if problem == expected);
        assert!(is, "{failed:?}");
        let info = keystile.issuers().show("a").unwrap().key_set;
        assert_eq!((info.keys.len(), info.failures as usize, info.problem), (1, failures + 1, Some(expected)));
        assert_eq!(documents(&keystile)[0], document, "the set is still that one");
    }
    *next.lock().unwrap() = Some(Answer::ok(set(&[ED])));
    let other = keystile.issuers().refresh("a").unwrap();
    assert!(other.changed && other.info.key_set.failures == 0 && other.info.key_set.problem.is_none());
    assert_eq!(other.info.key_set.keys[0].kid.as_deref(), Some("ed"));
    assert_ne!(documents(&keystile)[0], document);
    let trail = trail(&keystile);
    let changes: Vec<_> = trail.iter().filter(|(action, _)| action == "issuer.keys_changed").collect();
    assert_eq!(changes.len(), 2, "only what has changed is told: {trail:?}");
    assert_eq!(changes[1].1, r#"{"keys":1,"kids":["ed"]}"#);
}

#[test]
fn a_known_state_is_asked_for_by_its_tag() {
    let place = Place::new();
    let keystile = place.command();
    let (server, next) = changing(Answer::ok(set(&[EC])).header("ETag", "\"1\""));
    keystile.issuers().add(fetched("a", &server)).unwrap();
    keystile.issuers().refresh("a").unwrap();
    place.clock.advance(100);
    *next.lock().unwrap() = Some(Answer::status(304).header("Cache-Control", "max-age=120"));
    let same = keystile.issuers().refresh("a").unwrap();
    assert!(!same.changed && same.info.key_set.max_age == 120);
    assert_eq!(same.info.key_set.fetched_at.unwrap().unix(), 1_700_000_100);
    assert!(server.requests()[1].to_ascii_lowercase().contains("if-none-match: \"1\""));
    // After an answer of no use, the whole set is asked for.
    *next.lock().unwrap() = Some(Answer::ok("garbage"));
    keystile.issuers().refresh("a").unwrap_err();
    *next.lock().unwrap() = Some(Answer::ok(set(&[EC])));
    keystile.issuers().refresh("a").unwrap();
    assert!(!server.requests()[3].to_ascii_lowercase().contains("if-none-match"));
}

#[test]
fn an_age_that_the_issuer_gives_is_honoured() {
    let place = Place::new();
    let keystile = place.command();
    let server = Server::new(|_| Answer::ok(set(&[EC])).header("Cache-Control", "max-age=900"));
    keystile.issuers().add(fetched("a", &server)).unwrap();
    keystile.issuers().refresh("a").unwrap();
    let due = |reason| keystile.inner.lease_fetch("a", reason).unwrap().is_some();
    place.clock.advance(899);
    assert!(!due(Reason::Schedule));
    place.clock.advance(1);
    assert!(due(Reason::Schedule));
    // Whoever has the lease has it for a cooldown, also against other processes.
    let other = place.command();
    for reason in [Reason::Schedule, Reason::UnknownKey] {
        assert!(!due(reason) && other.inner.lease_fetch("a", reason).unwrap().is_none());
    }
    place.clock.advance(FETCH_COOLDOWN);
    assert!(other.inner.lease_fetch("a", Reason::Schedule).unwrap().is_some() && !due(Reason::Schedule));
    // A disabled issuer is not asked.
    keystile.issuers().disable("a").unwrap();
    place.clock.advance(100_000);
    assert!(!due(Reason::Schedule) && !due(Reason::UnknownKey));
}

#[test]
fn a_service_fetches_by_itself_and_again_when_it_is_time() {
    let place = Place::new();
    let (server, next) = changing(Answer::ok(set(&[EC])));
    let service = place.serve();
    place.command().issuers().add(fetched("a", &server)).unwrap();
    eventually("the keys come", || documents(&service).first().is_some_and(|document| document.has_keys));
    let document = documents(&service)[0].clone();
    *next.lock().unwrap() = Some(Answer::ok(set(&[ED])));
    place.clock.advance(u64::from(DEFAULT_MAX_AGE));
    service.inner.issuers.refresher.wake();
    eventually("the new keys come", || documents(&service)[0] != document);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_flood_of_unknown_keys_is_one_fetch_in_a_cooldown() {
    let place = Place::new();
    let server = Server::new(|_| Answer::ok(set(&[EC])));
    // Two processes, so that no cooldown is of one of them only.
    let services = [place.serve(), place.serve()];
    place.command().issuers().add(fetched("a", &server)).unwrap();
    for service in &services {
        eventually("the keys come", || documents(service).first().is_some_and(|document| document.has_keys));
    }
    let flood = || {
        thread::scope(|scope| {
            for service in &services {
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        assert!(!service.inner.note_unknown_kid("https://a.example.com"), "nobody waits");
                        service.inner.note_unknown_kid("https://unknown.example.com");
                    }
                });
            }
        });
    };
    let attempted = || services[0].issuers().show("a").unwrap().key_set.attempted_at.unwrap();
    flood();
    for round in 1..=3 {
        place.clock.advance(FETCH_COOLDOWN);
        let now = crate::Clock::now(&*place.clock);
        flood();
        eventually("it is fetched again", || attempted() == now);
        eventually("the answer comes", || server.requests().len() == 1 + round);
    }
    flood();
    drop(services);
    assert_eq!(server.requests().len(), 4, "one at first, and one for each cooldown");
}

#[test]
fn an_issuer_that_is_down_keeps_its_keys_also_over_a_restart() {
    let place = Place::new();
    let server = Server::new(|_| Answer::ok(set(&[EC])));
    let service = place.serve();
    service.issuers().add(fetched("a", &server)).unwrap();
    eventually("the keys come", || documents(&service)[0].has_keys);
    drop(server);
    place.clock.advance(u64::from(DEFAULT_MAX_AGE));
    service.inner.issuers.refresher.wake();
    eventually("it fails", || service.issuers().show("a").unwrap().key_set.failures == 1);
    assert_eq!(service.issuers().show("a").unwrap().key_set.problem, Some(FetchProblem::Unreachable));
    assert!(documents(&service)[0].has_keys);
    drop(service);
    place.clock.advance(40 * 86_400);
    let restarted = place.serve();
    assert!(documents(&restarted)[0].has_keys, "at once");
}

#[test]
fn whoever_never_answers_delays_neither_others_nor_the_end() {
    let place = Place::new();
    let silent = Server::new(|_| Answer::nothing().hang());
    let good = Server::new(|_| Answer::ok(set(&[EC])));
    let service = place.serve();
    for number in 0..MAX_FETCHES_AT_ONCE - 1 {
        service.issuers().add(fetched(&format!("a{number}"), &silent)).unwrap();
    }
    eventually("they are asked", || silent.requests().len() == MAX_FETCHES_AT_ONCE - 1);
    service.issuers().add(fetched("good", &good)).unwrap();
    let named = |name| documents(&service).iter().find(|known| known.name == name).is_some_and(|known| known.has_keys);
    eventually("the good one is there", || named("good"));
    let started = Instant::now();
    drop(service);
    assert!(started.elapsed() < Duration::from_secs(3));
}

const MAX_FETCHES_AT_ONCE: usize = 8;

#[test]
fn a_command_fetches_only_what_is_not_there_at_all() {
    let place = Place::new();
    let hits = Arc::new(AtomicUsize::new(0));
    let of_server = Arc::clone(&hits);
    let server = Server::new(move |_| match of_server.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::status(500),
        _ => Answer::ok(set(&[EC])),
    });
    let keystile = place.command();
    keystile.issuers().add(fetched("a", &server)).unwrap();
    let note = || keystile.inner.note_unknown_kid("https://a.example.com");
    assert!(!documents(&keystile)[0].has_keys);
    assert!(!note() && !note(), "it fails, and is not tried again at once");
    assert_eq!(hits.load(Ordering::SeqCst), 1);
    place.clock.advance(FETCH_COOLDOWN);
    assert!(note(), "it makes sense to judge again");
    assert!(documents(&keystile)[0].has_keys);
    place.clock.advance(FETCH_COOLDOWN);
    assert!(!note(), "keys that are there are for the service to refresh");
    assert_eq!(hits.load(Ordering::SeqCst), 2);
    // Who may only read does not fetch.
    drop(keystile);
    let reader = Keystile::options().clock(Arc::clone(&place.clock)).read_only(true).on_demand(true);
    let reader = reader.open(place.path()).unwrap();
    assert!(documents(&reader)[0].has_keys && !reader.inner.note_unknown_kid("https://a.example.com"));
}

/// An issuer that is changed or removed while its keys are fetched does not get them.
#[test]
fn an_answer_that_comes_too_late_is_dropped() {
    let place = Place::new();
    let keystile = place.command();
    let (one, two) = (Server::new(|_| Answer::ok(set(&[EC]))), Server::new(|_| Answer::ok(set(&[ED]))));
    keystile.issuers().add(fetched("a", &one)).unwrap();
    let lease = keystile.inner.lease_fetch("a", Reason::Schedule).unwrap().unwrap();
    let answer = keystile.inner.issuers.fetcher.fetch(&lease.url, None, fetch::FetchLimits::PATIENT);
    keystile.issuers().remove("a").unwrap();
    assert_eq!(keystile.inner.keep_answer(&lease, answer.clone()).unwrap(), refresh::Outcome::Gone);
    keystile.issuers().add(fetched("a", &two)).unwrap();
    assert_eq!(keystile.inner.keep_answer(&lease, answer).unwrap(), refresh::Outcome::Gone);
    assert!(!documents(&keystile)[0].has_keys);
}

/// A slow answer holds what the issuer published when it was asked: a key that is withdrawn by a later answer stays
/// withdrawn, also within one second and when the clock is set back in between.
#[test]
fn only_the_answer_to_the_newest_lease_is_kept() {
    for (what, seconds) in [("in the same second", 0), ("later", 1), ("with the clock set back", -100)] {
        let place = Place::new();
        let (keystile, other) = (place.command(), place.command());
        let (server, next) = changing(Answer::ok(set(&[EC, ED])));
        keystile.issuers().add(fetched("a", &server)).unwrap();
        keystile.issuers().refresh("a").unwrap();
        let slow = keystile.inner.lease_fetch("a", Reason::Operator).unwrap().unwrap();
        let answer = keystile.inner.issuers.fetcher.fetch(&slow.url, None, fetch::FetchLimits::PATIENT);
        place.clock.set(Timestamp::from_unix((1_700_000_000 + seconds).try_into().unwrap()).unwrap());
        *next.lock().unwrap() = Some(Answer::ok(set(&[ED])));
        assert!(other.issuers().refresh("a").unwrap().changed, "{what}");
        assert_eq!(keystile.inner.keep_answer(&slow, answer.clone()).unwrap(), refresh::Outcome::Superseded, "{what}");
        // Nor when the newer one has failed.
        let failing = other.inner.lease_fetch("a", Reason::Operator).unwrap().unwrap();
        other.inner.keep_answer(&failing, Err(FetchProblem::TimedOut)).unwrap();
        assert_eq!(keystile.inner.keep_answer(&slow, answer).unwrap(), refresh::Outcome::Superseded, "{what}");
        let keys = keystile.issuers().show("a").unwrap().key_set.keys;
        assert_eq!(keys.iter().filter_map(|key| key.kid.as_deref()).collect::<Vec<_>>(), ["ed"], "{what}");
    }
}

/// The same `iss` at the same URL, added anew, is another issuer.
#[test]
fn a_lease_ends_with_its_issuer() {
    let place = Place::new();
    let keystile = place.command();
    let server = Server::new(|_| Answer::ok(set(&[EC])));
    keystile.issuers().add(fetched("a", &server)).unwrap();
    let lease = keystile.inner.lease_fetch("a", Reason::Schedule).unwrap().unwrap();
    let answer = keystile.inner.issuers.fetcher.fetch(&lease.url, None, fetch::FetchLimits::PATIENT);
    keystile.issuers().remove("a").unwrap();
    keystile.issuers().add(fetched("a", &server)).unwrap();
    assert_eq!(keystile.inner.keep_answer(&lease, answer).unwrap(), refresh::Outcome::Superseded);
    assert!(!documents(&keystile)[0].has_keys);
}

/// What a process fetches while a backup is restored is older than what the restore has put there: whether the
/// replaced store names the lease, or the backup does.
#[test]
fn a_lease_ends_with_a_restore() {
    for in_backup in [false, true] {
        let place = Place::new();
        let keystile = place.command();
        let server = Server::new(|_| Answer::ok(set(&[EC])));
        keystile.issuers().add(fetched("a", &server)).unwrap();
        let backup = place.folder.path().join("backup.db");
        let take = || keystile.inner.lease_fetch("a", Reason::Operator).unwrap().unwrap();
        let before = in_backup.then(take);
        keystile.backup(&backup).unwrap();
        let lease = before.unwrap_or_else(take);
        let answer = keystile.inner.issuers.fetcher.fetch(&lease.url, None, fetch::FetchLimits::PATIENT);
        Keystile::restore(&backup, place.path(), "tests").unwrap();
        assert_eq!(keystile.inner.keep_answer(&lease, answer).unwrap(), refresh::Outcome::Superseded, "{in_backup}");
        assert!(!documents(&place.command())[0].has_keys);
    }
}

/// Those that were added since stay, those that were removed since stay removed, and all others are as they are now.
#[test]
fn issuers_are_those_of_the_replaced_store_after_a_restore() {
    let place = Place::new();
    let keystile = place.command();
    for name in ["disabled", "kept", "moved", "removed"] {
        keystile.issuers().add(given(name, &[EC])).unwrap();
    }
    let backup = place.folder.path().join("backup.db");
    keystile.backup(&backup).unwrap();
    keystile.issuers().disable("disabled").unwrap();
    keystile.issuers().remove("removed").unwrap();
    keystile.issuers().set_keys("kept", &set(&[ED])).unwrap();
    // The same `iss` under another name, and another one under its name.
    keystile.issuers().remove("moved").unwrap();
    keystile.issuers().add(NewIssuer { issuer: "elsewhere".into(), ..given("moved", &[ED]) }).unwrap();
    keystile.issuers().add(NewIssuer { issuer: "https://moved.example.com".into(), ..given("heir", &[ED]) }).unwrap();
    drop(keystile);
    Keystile::restore(&backup, place.path(), "tests").unwrap();

    let restored = place.command();
    let state: Vec<_> = restored
        .issuers()
        .list()
        .unwrap()
        .issuers
        .into_iter()
        .map(|info| (info.issuer.name, info.issuer.issuer, info.issuer.enabled, info.key_set.keys[0].kty.clone()))
        .collect();
    let expected = [
        ("disabled", "https://disabled.example.com", false, "EC"),
        ("heir", "https://moved.example.com", true, "OKP"),
        ("kept", "https://kept.example.com", true, "OKP"),
        ("moved", "elsewhere", true, "OKP"),
    ];
    assert_eq!(state, expected.map(|(name, issuer, enabled, kty)| (name.into(), issuer.into(), enabled, kty.into())));
    assert_eq!(documents(&restored).len(), 3);
    let told: Vec<_> = trail(&restored).into_iter().filter(|(action, _)| action == "issuer.carried_over").collect();
    assert_eq!(told.len(), 5, "{told:?}");
}

/// However many there were when the backup was made.
#[test]
fn a_restore_leaves_no_more_issuers_than_a_validator_takes() {
    let place = Place::new();
    let keystile = place.command();
    keystile.issuers().add(given("old", &[EC])).unwrap();
    let backup = place.folder.path().join("backup.db");
    keystile.backup(&backup).unwrap();
    keystile.issuers().remove("old").unwrap();
    for number in 0..MAX_ISSUERS {
        keystile.issuers().add(given(&format!("i{number}"), &[EC])).unwrap();
    }
    drop(keystile);
    Keystile::restore(&backup, place.path(), "tests").unwrap();
    let restored = place.command();
    assert_eq!(documents(&restored).len(), MAX_ISSUERS);
    assert!(matches!(restored.issuers().show("old"), Err(crate::ShowIssuerError::NotFound { .. })));
}

#[test]
fn the_doctor_looks_at_keys() {
    let place = Place::new();
    let keystile = place.command();
    let finding = || {
        let health = keystile.doctor(&place.path()).unwrap();
        health.findings.into_iter().filter(|finding| finding.check == "issuers").collect::<Vec<_>>()
    };
    assert_eq!(finding(), [], "without issuers there is nothing to say");
    keystile.issuers().add(given("file", &[EC])).unwrap();
    assert_eq!(finding()[0].severity, Severity::Ok);
    let (server, next) = changing(Answer::status(503));
    keystile.issuers().add(fetched("a", &server)).unwrap();
    keystile.issuers().refresh("a").unwrap_err();
    let [missing] = &finding()[..] else { panic!("{:?}", finding()) };
    assert!(missing.severity == Severity::Error && missing.message.contains("http_status_503"), "{missing:?}");
    *next.lock().unwrap() = Some(Answer::ok(set(&[EC])));
    keystile.issuers().refresh("a").unwrap();
    assert_eq!(finding()[0].severity, Severity::Ok);
    keystile.issuers().refresh("a").unwrap_err();
    place.clock.advance(2 * 86_400);
    let [stale] = &finding()[..] else { panic!("{:?}", finding()) };
    assert!(stale.severity == Severity::Warning && stale.message.contains("http_status_500"), "{stale:?}");
    keystile.issuers().disable("a").unwrap();
    assert_eq!(finding()[0].severity, Severity::Ok, "a disabled issuer needs no keys");
}

/// As the command that adds the issuer does, but for as long as it is so.
#[test]
fn the_doctor_warns_of_settings_that_are_not_said() {
    let place = Place::new();
    let keystile = place.command();
    let typed = NewIssuer {
        token_type: Some(TokenType::AccessToken),
        audiences: Vec::new(),
        any_audience: true,
        ..given("typed", &[EC])
    };
    let bound = NewIssuer { token_type: None, audiences: vec!["web".to_owned()], ..given("bound", &[EC]) };
    let open = NewIssuer { token_type: None, audiences: Vec::new(), any_audience: true, ..given("open", &[EC]) };
    let warnings = || {
        let health = keystile.doctor(&place.path()).unwrap();
        let warnings = health.findings.into_iter().filter(|finding| finding.severity == Severity::Warning);
        warnings.filter(|finding| finding.check == "issuers").map(|finding| finding.message).collect::<Vec<_>>()
    };
    keystile.issuers().add(bound).unwrap();
    assert_eq!(warnings(), [""; 0]);
    keystile.issuers().add(typed).unwrap();
    let [warning] = &warnings()[..] else { panic!("{:?}", warnings()) };
    assert!(warning.starts_with("tokens of typed for other services are let in"), "{warning}");
    keystile.issuers().disable("typed").unwrap();
    keystile.issuers().add(open).unwrap();
    let [warning] = &warnings()[..] else { panic!("{:?}", warnings()) };
    assert!(warning.starts_with("ID tokens of open") && warning.contains("--audience or --typ"), "{warning}");
    keystile.issuers().disable("open").unwrap();
    assert_eq!(warnings(), [""; 0]);
    keystile.issuers().add(NewIssuer { any_environment: false, ..given("nowhere", &[EC]) }).unwrap();
    let [warning] = &warnings()[..] else { panic!("{:?}", warnings()) };
    assert!(warning.starts_with("tokens of nowhere belong to no environment"), "{warning}");
}
