//! Models with and without a store.

use std::sync::Arc;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use keystile::{
    AccountHash, Algorithm, AuditEntry, AuditHash, AuditPage, ClaimMapping, CreatedKey, Digest, EndReason, Environment,
    ExternalIssuer, Finding, IssuerInfo, IssuerList, Key, KeyEncryptionKey, KeyFormat, KeyId, KeyPage, KeySetInfo,
    KeySetKey, KeySource, KeyState, Keystile, ManualClock, NamedFormat, NewStore, Origin, Revocation, RevokeReason,
    Scope, Secret, SecretInfo, SecurityEvent, SecurityEventKind, SecurityEventPage, Session, SessionEnd, SessionId,
    SessionPage, Severity, SigningAlgorithm, SigningKey, SigningKeyState, Timestamp, User, UserId, UserPage,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use crate::message::{Effect, Message, Page};
use crate::model::Model;
use crate::section::Section;
use crate::theme::Theme;
use crate::update::update;
use crate::{view, worker};

pub(crate) const NOW: u64 = 1_780_000_000;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap()
}

/// An active key that never expires and was never used.
pub(super) fn key(number: u8, name: &str) -> Key {
    Key {
        id: KeyId::from_bytes([number; 16]),
        name: name.to_owned(),
        owner: Some("billing".to_owned()),
        format: Some("hx".to_owned()),
        environment: Environment::new("live").unwrap(),
        scopes: vec![Scope::new("invoices:read").unwrap()],
        addresses: Vec::new(),
        rate: None,
        metadata: Default::default(),
        created_at: at(NOW - 40 * 86_400),
        created_by: "cli:ada".to_owned(),
        updated_at: at(NOW - 40 * 86_400),
        not_before: None,
        expires_at: None,
        state: KeyState::Active,
        suspended_at: None,
        suspended_for: None,
        suspended_by_restore: false,
        revocation: None,
        secrets: vec![secret(1, number)],
    }
}

fn secret(number: u32, letter: u8) -> SecretInfo {
    SecretInfo {
        number,
        digest: Digest::of(&[letter]),
        display: format!("hx_live_b{letter}F{number}…"),
        origin: Origin::Generated,
        created_at: at(NOW - 40 * 86_400),
        retires_at: None,
        pending_grace: None,
        ended_at: None,
        uses: 0,
        first_used_at: None,
        last_used_at: None,
    }
}

/// A key in each state, with a name that a terminal must not obey.
pub(super) fn keys() -> Vec<Key> {
    let mut active = key(1, "billing-worker");
    active.expires_at = Some(at(NOW + 6 * 86_400));
    active.secrets[0].uses = 1_204;
    active.secrets[0].last_used_at = Some(at(NOW - 130));
    let mut rotating = key(2, "ingest");
    rotating.secrets[0].retires_at = Some(at(NOW + 83_400));
    rotating.secrets.push(secret(2, 2));
    let mut revoked = key(3, "old deploy");
    revoked.state = KeyState::Revoked;
    revoked.revocation = Some(Revocation {
        at: at(NOW - 41 * 86_400),
        reason: RevokeReason::KeyCompromise,
        note: Some("seen in a log".to_owned()),
    });
    let mut suspended = key(4, "Ærøskøbing 日本語");
    (suspended.state, suspended.suspended_at) = (KeyState::Suspended, Some(at(NOW - 3_600)));
    let mut expired = key(5, "nightly\u{1b}[31m\u{202e}");
    expired.expires_at = Some(at(NOW - 86_400));
    let mut early = key(6, "next quarter, and a name that is much longer than any table has room for");
    (early.not_before, early.owner) = (Some(at(NOW + 86_400)), None);
    vec![active, rotating, revoked, suspended, expired, early]
}

/// Rows of the sections beside the keys, with texts that a terminal must not obey.
pub(super) fn sections() -> Vec<(Section, fn() -> Page)> {
    vec![
        (Section::Users, || {
            Page::Users(UserPage {
                users: vec![user(1, "ada@example.com"), user(2, "bob@example.com")],
                unreadable: Vec::new(),
                next: None,
            })
        }),
        (Section::Sessions, || {
            Page::Sessions(SessionPage { sessions: vec![session(1), session(2)], unreadable: Vec::new(), next: None })
        }),
        (Section::SigningKeys, || Page::SigningKeys(vec![signing_key(1), signing_key(2)])),
        (Section::Issuers, || {
            Page::Issuers(IssuerList {
                issuers: vec![issuer("acme", true), issuer("old \u{1b}[31m", false)],
                unreadable: Vec::new(),
            })
        }),
        (Section::Audit, || {
            Page::Audit(AuditPage { entries: vec![entry(2), entry(1)], unreadable: Vec::new(), next: None })
        }),
        (Section::Health, || {
            let finding = |severity, check, message: &str| Finding { severity, check, message: message.to_owned() };
            Page::Health(vec![
                finding(Severity::Ok, "integrity", "every page, index and reference is sound"),
                finding(Severity::Warning, "mode", "others can read the file · run: chmod 600 keystile.db"),
                finding(Severity::Error, "audit", "entry 7: it was changed · compare with a backup"),
            ])
        }),
        (Section::SecurityEvents, || {
            Page::SecurityEvents(SecurityEventPage { events: security_events(), unreadable: Vec::new(), next: None })
        }),
    ]
}

fn security_events() -> Vec<SecurityEvent> {
    let failed = SecurityEvent {
        id: 1,
        kind: SecurityEventKind::LoginFailed,
        user: Some(UserId::from_bytes([1; 16])),
        account: None,
        session: None,
        address: Some("192.0.2.7".parse().unwrap()),
        first_at: at(NOW - 3_000),
        last_at: at(NOW - 60),
        count: 12,
    };
    let unknown = SecurityEvent {
        id: 2,
        kind: SecurityEventKind::UnknownAccount,
        user: None,
        account: Some(AccountHash([7; 32])),
        address: Some("2001:db8:1:2::".parse().unwrap()),
        ..failed.clone()
    };
    let locked = SecurityEvent { id: 3, kind: SecurityEventKind::LoginLocked, count: 1, ..failed.clone() };
    let session = Some(SessionId::from_bytes([3; 16]));
    let reused =
        SecurityEvent { id: 4, kind: SecurityEventKind::TokenReused, session, address: None, ..locked.clone() };
    vec![reused, locked, unknown, failed]
}

fn user(number: u8, email: &str) -> User {
    User {
        id: UserId::from_bytes([number; 16]),
        email: email.parse().unwrap(),
        name: (number == 1).then(|| "Ada \u{202e}Lovelace".to_owned()),
        organization: Some("analytical".to_owned()),
        admin: number == 1,
        created_at: at(NOW - 86_400),
        created_by: "cli:ada".to_owned(),
        updated_at: at(NOW - 86_400),
        suspended_at: (number == 2).then(|| at(NOW - 60)),
        password_set_at: Some(at(NOW - 86_400)),
        last_login_at: (number == 1).then(|| at(NOW - 3_600)),
    }
}

fn session(number: u8) -> Session {
    Session {
        id: SessionId::from_bytes([number; 16]),
        user: UserId::from_bytes([1; 16]),
        client_id: None,
        client: Some("Firefox \u{1b}]0;x\u{7}".to_owned()),
        address: Some("203.0.113.7".parse().unwrap()),
        key: None,
        secret: None,
        environment: None,
        scopes: vec![Scope::new("invoices:read").unwrap()],
        created_at: at(NOW - 7_200),
        last_used_at: at(NOW - 60),
        expires_at: at(NOW + 7 * 86_400),
        end: (number == 2).then(|| SessionEnd { at: at(NOW - 30), reason: EndReason::Reuse }),
    }
}

fn signing_key(number: u8) -> SigningKey {
    SigningKey {
        kid: format!("kid-{number}-of-a-thumbprint"),
        algorithm: SigningAlgorithm::ALL[0],
        state: if number == 1 { SigningKeyState::Retiring } else { SigningKeyState::Active },
        created_at: at(NOW - 86_400),
        signs_from: at(NOW - 86_400),
        retired_at: (number == 1).then(|| at(NOW - 60)),
        kept_until: (number == 1).then(|| at(NOW + 3_600)),
    }
}

fn issuer(name: &str, enabled: bool) -> IssuerInfo {
    let key = KeySetKey { kid: Some("rsa-1".to_owned()), kty: "RSA".to_owned(), algorithm: None };
    IssuerInfo {
        issuer: ExternalIssuer {
            name: name.to_owned(),
            issuer: "https://acme.example.com".to_owned(),
            source: KeySource::Given,
            algorithms: vec![Algorithm::Rs256],
            audiences: Vec::new(),
            any_audience: true,
            forbidden_claims: Vec::new(),
            wildcard_scopes: false,
            token_type: None,
            leeway: 5,
            claims: ClaimMapping::default(),
            environment: None,
            any_environment: false,
            enabled,
            created_at: at(NOW - 86_400),
            created_by: "cli:ada".to_owned(),
            updated_at: at(NOW - 86_400),
        },
        key_set: KeySetInfo {
            keys: vec![key],
            fetched_at: Some(at(NOW - 60)),
            max_age: 600,
            attempted_at: Some(at(NOW - 60)),
            failures: 0,
            problem: None,
        },
    }
}

fn entry(sequence: u64) -> AuditEntry {
    AuditEntry {
        sequence,
        at: at(NOW - 60),
        actor: "cli:ada".to_owned(),
        action: "key.revoked".to_owned(),
        subject: Some(KeyId::from_bytes([1; 16]).to_string()),
        detail: r#"{"reason":"key_compromise"}"#.to_owned(),
        rows: Default::default(),
        previous: AuditHash([0; 32]),
        hash: AuditHash([7; 32]),
    }
}

/// A model with an open store that has these keys.
pub(super) fn model(keys: Vec<Key>, size: (u16, u16), theme: Theme, plain: bool) -> Model {
    let mut model = Model::new("prod.db".to_owned(), theme, plain, false, at(NOW));
    model.size = size;
    let formats = vec![NamedFormat {
        name: "hx".to_owned(),
        format: KeyFormat::with_defaults("hx").unwrap(),
        created_at: at(NOW),
    }];
    let effects = update(&mut model, Message::Opened { formats, max_lifetime: None, only_readable: false });
    let [Effect::Load { request, start, .. }, _] = effects.as_slice() else { panic!("{effects:?}") };
    let page = Ok(Page::Keys(KeyPage { keys, unreadable: Vec::new(), next: None }));
    update(&mut model, Message::Loaded { request: *request, start: *start, page });
    model
}

/// As long as a secret of the default format.
pub(super) const FAKE: &str = "hx_live_0123456789abcdefghijklmnopqrst0aBcDe";

/// A model in which a new secret waits.
pub(crate) fn model_with_a_secret() -> Model {
    let mut model = model(keys(), (80, 24), Theme::Default, false);
    let created = CreatedKey { key: keys().remove(0), secret: Secret::from(FAKE.to_owned()) };
    update(&mut model, Message::Created(Box::new(Ok(created))));
    model
}

/// Presses keys: characters as they are, the others by name in `<>`.
pub(super) fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for event in events(keys) {
        effects.extend(update(model, Message::Terminal(Event::Key(event))));
    }
    effects
}

pub(super) fn events(keys: &str) -> Vec<KeyEvent> {
    let mut events = Vec::new();
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|named| named.split_once('>'));
        let (code, modifiers, after) = match named {
            Some((name, after)) => {
                let code = match name {
                    "Enter" => KeyCode::Enter,
                    "Esc" => KeyCode::Esc,
                    "Tab" => KeyCode::Tab,
                    "BackTab" => KeyCode::BackTab,
                    "Up" => KeyCode::Up,
                    "Down" => KeyCode::Down,
                    "Left" => KeyCode::Left,
                    "Right" => KeyCode::Right,
                    "End" => KeyCode::End,
                    "Home" => KeyCode::Home,
                    "PageDown" => KeyCode::PageDown,
                    "PageUp" => KeyCode::PageUp,
                    "Ctrl-C" => KeyCode::Char('c'),
                    other => panic!("no key {other}"),
                };
                let control = if name.starts_with("Ctrl-") { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
                (code, control, after)
            }
            None => (KeyCode::Char(c), KeyModifiers::NONE, &rest[c.len_utf8()..]),
        };
        events.push(KeyEvent::new(code, modifiers));
        rest = after;
    }
    events
}

/// What the screen shows.
pub(super) fn screen(model: &Model) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| view::draw(model, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// The same as text.
pub(super) fn text(model: &Model) -> String {
    lines(&screen(model))
}

pub(super) fn lines(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut text = String::new();
    for y in 0..area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip == 0 {
                line.push_str(symbol);
                skip = crate::text::width(symbol).saturating_sub(1);
            } else {
                skip -= 1;
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What the screen shows, with its styles: under each line that has any, from which column to which, and how.
pub(super) fn styled(model: &Model) -> String {
    let buffer = screen(model);
    let plain = lines(&buffer);
    let mut text = String::new();
    for (y, line) in (0..buffer.area.height).zip(plain.lines()) {
        text.push_str(line);
        text.push('\n');
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = match (cell.fg, cell.bg, cell.modifier) {
                (Color::Reset, Color::Reset, modifier) if modifier.is_empty() => continue,
                (fg, Color::Reset, modifier) if modifier.is_empty() => format!("{fg:?}"),
                (Color::Reset, Color::Reset, modifier) => format!("{modifier:?}"),
                (fg, Color::Reset, modifier) => format!("{fg:?} {modifier:?}"),
                (fg, bg, modifier) => format!("{fg:?} on {bg:?} {modifier:?}"),
            };
            match runs.last_mut() {
                Some((_, end, last)) if *end + 1 == x && *last == style => *end = x,
                _ => runs.push((x, x, style)),
            }
        }
        if !runs.is_empty() {
            let runs: Vec<String> = runs.iter().map(|(from, to, style)| format!("{from}-{to} {style}")).collect();
            text.push_str(&format!("    ^ {}\n", runs.join(", ")));
        }
    }
    text
}

/// A model over a real store, whose effects are carried out at once.
pub(super) struct Harness {
    pub(super) model: Model,
    pub(super) keystile: Keystile,
    /// Secrets that were sent to the clipboard.
    pub(super) copied: Vec<String>,
    folder: tempfile::TempDir,
}

impl Harness {
    pub(super) fn new() -> Harness {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystile.db");
        let clock = Arc::new(ManualClock::at(at(NOW)));
        let kek = folder.path().join("keystile.db.kek");
        KeyEncryptionKey::generate().unwrap().write_new(&kek).unwrap();
        let options = || Keystile::options().clock(clock.clone()).key_encryption_key_file(&kek);
        options().create(&path, NewStore::default()).unwrap();
        let keystile = options().actor("tui:test").on_demand(true).open(&path).unwrap();
        let model = Model::new("keystile.db".to_owned(), Theme::Default, false, false, at(NOW));
        let mut harness = Harness { model, keystile, copied: Vec::new(), folder };
        let formats = harness.keystile.formats().unwrap();
        harness.take(Message::Opened { formats, max_lifetime: None, only_readable: false });
        harness
    }

    /// The file of the store.
    pub(super) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("keystile.db")
    }

    pub(super) fn take(&mut self, message: Message) {
        let mut effects = update(&mut self.model, message);
        while !effects.is_empty() {
            let mut next = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Copy(secret) => self.copied.push(secret.expose_secret().to_owned()),
                    Effect::ClearClipboard => self.copied.clear(),
                    effect => {
                        let answer = worker::call(&self.keystile, &self.folder.path().join("keystile.db"), effect);
                        next.extend(update(&mut self.model, answer));
                    }
                }
            }
            effects = next;
        }
    }

    /// Presses keys as people do: they look at a secret before the next one.
    pub(super) fn press(&mut self, keys: &str) {
        for event in events(keys) {
            self.take(Message::Terminal(Event::Key(event)));
            self.take(Message::SecretSeen);
        }
    }

    pub(super) fn text(&self) -> String {
        text(&self.model)
    }
}
