//! Random operations at random times, against a model that fits on a page. After each one, every
//! secret that ever existed is judged: by records in memory, by look-up in the store, and by the
//! model; all three must agree.

use std::sync::Arc;

use keystile::{
    Clock as _, Code, Grace, KeyChange, Keystile, ManualClock, NewKey, NewStore, Request, RevokeReason, Rotation,
    Scope, Timestamp,
};
use proptest::prelude::*;

const START: u64 = 1_800_000_000;

#[derive(Clone, Debug)]
enum Operation {
    Create { starts_in: Option<u64>, lives: Option<u64>, scoped: bool },
    Rotate { key: usize, grace: u64, from_first_use: bool },
    Suspend { key: usize },
    Resume { key: usize },
    Revoke { key: usize },
    Expire { key: usize, lives: Option<u64> },
    Use { secret: usize },
    Wait { seconds: u64 },
}

fn operations() -> impl Strategy<Value = Operation> {
    let key = 0_usize..6;
    let soon = prop::option::of(1_u64..40);
    prop_oneof![
        2 => (soon.clone(), prop::option::of(41_u64..120), any::<bool>())
            .prop_map(|(starts_in, lives, scoped)| Operation::Create { starts_in, lives, scoped }),
        4 => (key.clone(), prop_oneof![Just(0_u64), 1_u64..60], any::<bool>())
            .prop_map(|(key, grace, from_first_use)| Operation::Rotate { key, grace, from_first_use }),
        1 => key.clone().prop_map(|key| Operation::Suspend { key }),
        1 => key.clone().prop_map(|key| Operation::Resume { key }),
        1 => key.clone().prop_map(|key| Operation::Revoke { key }),
        1 => (key, prop::option::of(1_u64..100)).prop_map(|(key, lives)| Operation::Expire { key, lives }),
        4 => (0_usize..20).prop_map(|secret| Operation::Use { secret }),
        4 => (1_u64..50).prop_map(|seconds| Operation::Wait { seconds }),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Active,
    Suspended,
    Revoked,
}

struct ModelKey {
    id: keystile::KeyId,
    state: State,
    starts: Option<u64>,
    expires: Option<u64>,
    scoped: bool,
    secrets: Vec<ModelSecret>,
}

struct ModelSecret {
    text: String,
    retires: Option<u64>,
    pending: Option<u64>,
}

impl ModelKey {
    fn verdict(&self, secret: usize, now: u64, wants_scope: bool) -> Option<Code> {
        let reached = |time: Option<u64>| time.is_some_and(|time| now >= time);
        match self.state {
            State::Revoked => Some(Code::Revoked),
            State::Suspended => Some(Code::Suspended),
            State::Active if reached(self.secrets[secret].retires) => Some(Code::Rotated),
            State::Active if reached(self.expires) => Some(Code::Expired),
            State::Active if self.starts.is_some_and(|starts| now < starts) => Some(Code::NotYetValid),
            State::Active if wants_scope && !self.scoped => Some(Code::InsufficientScope),
            State::Active => None,
        }
    }

    fn rotate(&mut self, new: String, grace: u64, from_first_use: bool, now: u64) {
        for old in self.secrets.iter_mut().filter(|old| old.retires.is_none_or(|at| now < at)) {
            if from_first_use {
                old.pending = Some(old.pending.map_or(grace, |before| before.min(grace)));
            } else {
                let end = self.expires.map_or(now + grace, |expires| expires.min(now + grace));
                old.retires = Some(old.retires.map_or(end, |before| before.min(end)));
            }
        }
        self.secrets.push(ModelSecret { text: new, retires: None, pending: None });
    }

    /// A secret was allowed: the graces of older ones that wait for that start.
    fn used(&mut self, secret: usize, now: u64) {
        let expires = self.expires;
        for old in &mut self.secrets[..secret] {
            if let Some(grace) = old.pending.take() {
                let end = expires.map_or(now + grace, |expires| expires.min(now + grace));
                old.retires = Some(old.retires.map_or(end, |before| before.min(end)));
            }
        }
    }

    fn expire(&mut self, expires: Option<u64>) {
        self.expires = expires;
        for secret in &mut self.secrets {
            if let (Some(retires), Some(expires)) = (secret.retires, expires) {
                secret.retires = Some(retires.min(expires));
            }
        }
    }
}

struct World {
    clock: Arc<ManualClock>,
    resident: Keystile,
    on_demand: Keystile,
    keys: Vec<ModelKey>,
    scope: Scope,
}

impl World {
    fn new(folder: &std::path::Path) -> World {
        let path = folder.join("keystile.db");
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix(START).unwrap()));
        Keystile::options().clock(Arc::clone(&clock)).create(&path, NewStore::default()).unwrap();
        let resident = Keystile::options().clock(Arc::clone(&clock)).open(&path).unwrap();
        let on_demand = Keystile::options().clock(Arc::clone(&clock)).on_demand(true).open(&path).unwrap();
        World { clock, resident, on_demand, keys: Vec::new(), scope: Scope::new("read").unwrap() }
    }

    fn now(&self) -> u64 {
        self.clock.now().unix()
    }

    fn run(&mut self, operation: &Operation) {
        let now = self.now();
        let at = |seconds: Option<u64>| seconds.map(|seconds| Timestamp::from_unix(now + seconds).unwrap());
        let keys = self.resident.keys();
        match *operation {
            Operation::Create { starts_in, lives, scoped } => {
                let scopes = if scoped { vec![self.scope.clone()] } else { Vec::new() };
                let new = NewKey {
                    name: "model".into(),
                    scopes,
                    not_before: at(starts_in),
                    expires_at: at(lives),
                    ..NewKey::default()
                };
                let created = keys.create(new).unwrap();
                let text = created.secret.expose_secret().to_owned();
                self.keys.push(ModelKey {
                    id: created.key.id,
                    state: State::Active,
                    starts: starts_in.map(|seconds| now + seconds),
                    expires: lives.map(|seconds| now + seconds),
                    scoped,
                    secrets: vec![ModelSecret { text, retires: None, pending: None }],
                });
            }
            Operation::Rotate { key, grace, from_first_use } => {
                let Some(model) = self.keys.get_mut(key) else { return };
                let grace_of = if from_first_use { Grace::from_first_use(grace) } else { Grace::from_now(grace) };
                let rotated = keys.rotate(model.id, Rotation { grace: grace_of, ..Rotation::default() });
                if model.state == State::Revoked || model.expires.is_some_and(|expires| now >= expires) {
                    assert!(rotated.is_err(), "a key that is over cannot be rotated");
                } else {
                    let secret = rotated.unwrap().secret.unwrap();
                    model.rotate(secret.expose_secret().to_owned(), grace, from_first_use, now);
                }
            }
            Operation::Suspend { key } => {
                let Some(model) = self.keys.get_mut(key) else { return };
                assert_eq!(keys.suspend(model.id).is_ok(), model.state == State::Active);
                if model.state == State::Active {
                    model.state = State::Suspended;
                }
            }
            Operation::Resume { key } => {
                let Some(model) = self.keys.get_mut(key) else { return };
                assert_eq!(keys.resume(model.id).is_ok(), model.state == State::Suspended);
                if model.state == State::Suspended {
                    model.state = State::Active;
                }
            }
            Operation::Revoke { key } => {
                let Some(model) = self.keys.get_mut(key) else { return };
                let revoked = keys.revoke(model.id, RevokeReason::Superseded, None);
                assert_eq!(revoked.is_ok(), model.state != State::Revoked);
                model.state = State::Revoked;
            }
            Operation::Expire { key, lives } => {
                let Some(model) = self.keys.get_mut(key) else { return };
                let change = KeyChange { expires_at: Some(at(lives)), ..KeyChange::default() };
                let expires = lives.map(|seconds| now + seconds);
                let fits = expires.is_none_or(|expires| model.starts.is_none_or(|starts| starts < expires));
                let updated = keys.update(model.id, change);
                assert_eq!(updated.is_ok(), model.state != State::Revoked && fits);
                if updated.is_ok() {
                    model.expire(expires);
                }
            }
            Operation::Use { secret } => {
                let all: Vec<_> = (0..self.keys.len())
                    .flat_map(|key| (0..self.keys[key].secrets.len()).map(move |secret| (key, secret)))
                    .collect();
                let Some(&(key, secret)) = all.get(secret) else { return };
                let request = Request::at(self.clock.now());
                let verdict = self.resident.verify(&self.keys[key].secrets[secret].text, &request);
                assert_eq!(verdict.code(), self.keys[key].verdict(secret, now, false));
                if verdict.is_allow() {
                    self.keys[key].used(secret, now);
                    self.resident.flush().unwrap();
                }
            }
            Operation::Wait { seconds } => self.clock.advance(seconds),
        }
    }

    fn check(&self) {
        let now = self.now();
        for key in &self.keys {
            for (number, secret) in key.secrets.iter().enumerate() {
                for wants_scope in [false, true] {
                    let mut request = Request::at(self.clock.now());
                    if wants_scope {
                        request.all_of.push(self.scope.clone());
                    }
                    let expected = key.verdict(number, now, wants_scope);
                    let text = &secret.text;
                    assert_eq!(self.resident.preview(text, &request).code(), expected, "in memory, at {now}");
                    assert_eq!(self.on_demand.preview(text, &request).code(), expected, "in the store, at {now}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_verdict_follows_the_model(operations in prop::collection::vec(operations(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(folder.path());
        for operation in &operations {
            world.run(operation);
            world.check();
        }
        assert!(matches!(world.resident.verify_audit(None).unwrap(), keystile::AuditReport::Intact { .. }));
        // Every operation names the rows it leaves behind in an entry of its own.
        let entries = world.resident.audit(None, 0, 10_000).unwrap();
        assert!(entries.iter().all(|entry| entry.action != "rows.changed"));
    }
}
