//! The law of a restore, over generated stores: what the current store refuses, the restored one refuses.
//!
//! A store changes, is backed up, changes again and is restored. Whatever was refused right before the restore is
//! refused after it, for every secret and token there ever was, and for requests of several kinds. The backup alone
//! must allow some of that, or the law would say nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystile_validator::jwt::{Algorithm, ClaimMapping};
use keystile_validator::{KeyFormat, Request, Scope};

use crate::clock::{Clock as _, SystemClock};
use crate::{
    AudienceRule, EnvironmentRule, Grace, IssuerKeys, IssuerUpdate, KeyChange, KeyEncryptionKey, KeyId, Keystile,
    ManualClock, NewIssuer, NewKey, NewStore, NewToken, NewUser, RevokeReason, Rotation, SigningKeyRotation, TokensOf,
    UserId,
};

/// Generated histories.
const HISTORIES: u64 = 12;
/// Changes before the backup, and again after it.
const CHANGES: usize = 30;

#[test]
fn what_was_refused_before_a_restore_is_refused_after_it() {
    let (mut would_come_back, mut still_allowed) = (0, 0);
    for seed in 1..=HISTORIES {
        let mut history = History::new(seed);
        (0..CHANGES).for_each(|_| history.change());
        let backup = history.backup("backup.db");
        (0..CHANGES).for_each(|_| history.change());
        let before = history.verdicts(&history.keystile);
        let rules = history.rules();
        let alone = history.path("alone.db");
        Keystile::restore(&backup, &alone, "tests").unwrap();
        let of_backup = history.verdicts(&history.open(&alone));

        history.restore(&backup);
        let after = history.verdicts(&history.keystile);
        for (number, (before, after)) in before.iter().zip(&after).enumerate() {
            assert!(*before || !after, "seed {seed}: probe {number} was refused, and is allowed after the restore");
        }
        assert_eq!(history.rules(), rules, "seed {seed}");
        would_come_back += before.iter().zip(&of_backup).filter(|(before, backup)| !**before && **backup).count();
        still_allowed += after.iter().filter(|allowed| **allowed).count();
        let report = history.keystile.verify_audit(None).unwrap();
        assert!(matches!(report, crate::AuditReport::Intact { .. }), "seed {seed}: {report:?}");

        // Once more, and from a backup of what is there now: nothing is left to be changed.
        history.restore(&backup);
        assert_eq!(history.verdicts(&history.keystile), after, "seed {seed}");
        history.restore(&history.backup("same.db"));
        assert_eq!(history.verdicts(&history.keystile), after, "seed {seed}");
    }
    assert!(would_come_back > 100 && still_allowed > 100, "{would_come_back} would come back, {still_allowed} allowed");
}

/// A store, other stores whose tokens it lets in, and everything that was ever presented to it.
struct History {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    random: Random,
    keystile: Keystile,
    others: Vec<Keystile>,
    credentials: Vec<String>,
    keys: Vec<KeyId>,
    users: Vec<UserId>,
    formats: usize,
}

/// The names of external issuers; the last ones are two names of one `iss`.
const ISSUERS: [(&str, usize); 3] = [("one", 0), ("two", 1), ("twin", 1)];
const SCOPES: [&str; 3] = ["a:read", "a:write", "b:read"];
const ENVIRONMENTS: [&str; 2] = ["live", "test"];

impl History {
    fn new(seed: u64) -> History {
        let folder = tempfile::tempdir().unwrap();
        KeyEncryptionKey::generate().unwrap().write_new(folder.path().join("kek")).unwrap();
        // A restore asks the clock of the system.
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let make = |name: &str| {
            let path = folder.path().join(name);
            open_with(&folder.path().join("kek"), &clock).create(&path, NewStore::default()).unwrap();
            open_with(&folder.path().join("kek"), &clock).open(&path).unwrap()
        };
        let keystile = make("keystile.db");
        let others = ["one.db", "two.db"].map(&make).into_iter().enumerate();
        let others: Vec<Keystile> = others
            .map(|(number, other)| {
                let name = Some(iss(number));
                other.change_settings(|settings| settings.tokens.issuer = name).unwrap();
                let user = NewUser::new("eve@x.org".parse().unwrap());
                other.users().create(user).unwrap();
                other
            })
            .collect();
        let mut history = History {
            random: Random(seed),
            keystile,
            others,
            credentials: Vec::new(),
            keys: Vec::new(),
            users: Vec::new(),
            formats: 1,
            clock,
            folder,
        };
        for number in 0..2 {
            history.create_user();
            history.create_key();
            for scopes in [&SCOPES[..1], &["a:*"]] {
                let token = token("eve@x.org", scopes, None);
                let issued = history.others[number].tokens().issue(token).unwrap();
                history.credentials.push(issued.token.expose_secret().to_owned());
            }
        }
        history
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, path: &Path) -> Keystile {
        open_with(&self.path("kek"), &self.clock).open(path).unwrap()
    }

    fn backup(&self, name: &str) -> PathBuf {
        let to = self.path(name);
        self.keystile.backup(&to).unwrap();
        to
    }

    fn restore(&mut self, from: &Path) {
        Keystile::restore(from, self.path("keystile.db"), "tests").unwrap();
        self.keystile = self.open(&self.path("keystile.db"));
    }

    /// Whether each credential is allowed, for each kind of request.
    fn verdicts(&self, keystile: &Keystile) -> Vec<bool> {
        let now = self.clock.now();
        let scoped = SCOPES.map(|scope| Request { all_of: vec![Scope::new(scope).unwrap()], ..Request::at(now) });
        let environments = ENVIRONMENTS.map(|environment| environment.parse().unwrap());
        let for_environment = environments.map(|name| Request { environment: Some(name), ..Request::at(now) });
        let addressed = Request { address: Some("192.0.2.1".parse().unwrap()), ..Request::at(now) };
        let requests: Vec<_> = scoped.into_iter().chain(for_environment).chain([addressed, Request::at(now)]).collect();
        let verdict = |credential: &String| {
            requests.iter().map(|request| keystile.preview(credential, request).is_allow()).collect::<Vec<_>>()
        };
        self.credentials.iter().flat_map(verdict).collect()
    }

    /// What refuses beside keys, users and revocations: settings, formats, issuers with their keys, as text.
    fn rules(&self) -> [String; 4] {
        let issuers = self.keystile.issuers().list().unwrap();
        [
            format!("{:?}", self.keystile.settings().unwrap()),
            format!("{:?}", self.keystile.formats().unwrap()),
            format!("{:?}", issuers.issuers.iter().map(|info| (&info.issuer, &info.key_set.keys)).collect::<Vec<_>>()),
            format!("{:?}", self.keystile.tokens().issuer().unwrap()),
        ]
    }

    fn create_key(&mut self) {
        let owner = self.random.one_of(&[None, Some("user0@x.org"), Some("user1@x.org")]);
        let new = NewKey {
            name: "k".into(),
            scopes: vec!["a:*".parse().unwrap()],
            environment: Some(self.random.one_of(&ENVIRONMENTS).parse().unwrap()),
            owner: owner.map(str::to_owned),
            ..NewKey::default()
        };
        if let Ok(created) = self.keystile.keys().create(new) {
            self.keys.push(created.key.id);
            self.credentials.push(created.secret.expose_secret().to_owned());
        }
    }

    fn create_user(&mut self) {
        let email = format!("user{}@x.org", self.users.len());
        if let Ok(user) = self.keystile.users().create(NewUser::new(email.parse().unwrap())) {
            self.users.push(user.id);
        }
    }

    /// One change. Many do not fit what is there, and are refused.
    fn change(&mut self) {
        let key = self.random.one_of(&self.keys.clone());
        let user = self.random.one_of(&self.users.clone());
        let credential = self.random.one_of(&self.credentials.clone());
        let (name, other) = self.random.one_of(&ISSUERS);
        let (keys, users, issuers) = (self.keystile.keys(), self.keystile.users(), self.keystile.issuers());
        match self.random.below(24) {
            0 | 1 => self.create_key(),
            2 => self.create_user(),
            3 => drop(keys.suspend(key)),
            4 => drop(keys.resume(key)),
            5 => drop(keys.revoke(key, RevokeReason::Unspecified, None)),
            6 | 7 => {
                let grace = self.random.one_of(&[Grace::NONE, Grace::from_now(3_600), Grace::from_first_use(0)]);
                if let Ok(rotated) = keys.rotate(key, Rotation { grace, ..Rotation::default() }) {
                    self.credentials.push(rotated.secret.unwrap().expose_secret().to_owned());
                }
            }
            8 => {
                let scopes = self.random.one_of(&[&["a:*"][..], &["a:read"], &["b:*"], &[]]);
                let scopes = Some(scopes.iter().map(|scope| scope.parse().unwrap()).collect());
                drop(keys.update(key, KeyChange { scopes, ..KeyChange::default() }));
            }
            9 => {
                let ranges = self.random.one_of(&[&[][..], &["10.0.0.0/8"], &["192.0.2.0/24"]]);
                let addresses = Some(ranges.iter().map(|range| range.parse().unwrap()).collect());
                drop(keys.update(key, KeyChange { addresses, ..KeyChange::default() }));
            }
            10 => drop(users.suspend(user)),
            11 => drop(users.resume(user)),
            12 => drop(users.delete(user)),
            13 => {
                let environment = self.random.one_of(&[None, Some("live"), Some("test")]);
                let owner = format!("user{}@x.org", self.random.below(3));
                if let Ok(issued) = self.keystile.tokens().issue(token(&owner, &["a:*"], environment)) {
                    self.credentials.push(issued.token.expose_secret().to_owned());
                }
            }
            14 => drop(self.keystile.tokens().revoke(&credential)),
            15 => drop(self.keystile.tokens().revoke_all(name, TokensOf::Subject("nobody"))),
            16 => {
                let issuer = self.random.one_of(&[None, Some("https://a.example"), Some("https://b.example")]);
                let audience = self.random.one_of(&[None, Some("https://api.example")]);
                let change = |settings: &mut crate::Settings| {
                    settings.tokens.issuer = issuer.map(str::to_owned);
                    settings.tokens.audience = audience.map(str::to_owned);
                };
                drop(self.keystile.change_settings(change));
            }
            17 => {
                let lifetime = self.random.one_of(&[None, Some(86_400), Some(90 * 86_400)]);
                drop(self.keystile.change_settings(|settings| settings.max_lifetime = lifetime));
            }
            18 => {
                self.formats += 1;
                let prefix = format!("f{}", self.formats);
                drop(self.keystile.add_format(&prefix, KeyFormat::with_defaults(&prefix).unwrap()));
            }
            19 => drop(issuers.add(trusted(name, other, &self.others[other]))),
            20 => drop(issuers.remove(name)),
            21 if self.random.below(3) == 0 => drop(issuers.enable(name)),
            21 => drop(issuers.disable(name)),
            22 => {
                let audience = self.random.one_of(&[AudienceRule::Any, AudienceRule::OneOf(vec!["elsewhere".into()])]);
                let environment =
                    self.random.one_of(&[EnvironmentRule::Any, EnvironmentRule::Fixed("test".parse().unwrap())]);
                let forbidden = self.random.one_of(&[Vec::new(), vec!["client_id".to_owned()]]);
                let change = IssuerUpdate {
                    audience: Some(audience),
                    environment: Some(environment),
                    forbidden_claims: Some(forbidden),
                    wildcard_scopes: Some(self.random.below(2) == 0),
                    ..IssuerUpdate::default()
                };
                drop(issuers.update(name, change));
            }
            _ => {
                let refuse_older = self.random.below(2) == 0;
                let rotation = SigningKeyRotation { algorithm: None, at_once: true, refuse_older };
                drop(self.keystile.signing_keys().rotate(rotation));
            }
        }
    }
}

fn open_with(kek: &Path, clock: &Arc<ManualClock>) -> crate::OpenOptions {
    Keystile::options().clock(Arc::clone(clock)).on_demand(true).actor("tests").key_encryption_key_file(kek)
}

fn iss(number: usize) -> String {
    format!("https://id{number}.example.com")
}

fn token(user: &str, scopes: &[&str], environment: Option<&str>) -> NewToken {
    NewToken {
        user: user.to_owned(),
        scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
        environment: environment.map(|environment| environment.parse().unwrap()),
        ttl: None,
    }
}

/// Another store as an external issuer of this one.
fn trusted(name: &str, number: usize, other: &Keystile) -> NewIssuer {
    NewIssuer {
        name: name.to_owned(),
        issuer: iss(number),
        keys: IssuerKeys::Given(other.signing_keys().jwks().unwrap()),
        algorithms: vec![Algorithm::EdDsa],
        audiences: Vec::new(),
        any_audience: true,
        forbidden_claims: Vec::new(),
        wildcard_scopes: true,
        token_type: None,
        leeway: 0,
        claims: ClaimMapping::default(),
        environment: None,
        any_environment: true,
    }
}

/// xorshift64: the same history for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_of<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize].clone()
    }
}
