//! Rotate a key? How long does the old secret stay valid?

use crossterm::event::{KeyCode, KeyEvent};
use keystile::bounds::MAX_GRACE;
use keystile::{Grace, Key, KeyId, Rotation, Timestamp};

use super::{Ring, Step, choose};
use crate::input::Input;
use crate::message::Effect;
use crate::model::Model;
use crate::text;
use crate::theme::Role;
use crate::view::sheet::Sheet;

/// The question before a key gets a new secret.
#[derive(Debug)]
pub(crate) struct Rotate {
    id: KeyId,
    name: String,
    prefix: String,
    expires_at: Option<Timestamp>,
    grace: usize,
    custom: Input,
    from_first_use: usize,
    focus: Ring<Field>,
    /// Why it was refused.
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Grace,
    Custom,
    From,
    Rotate,
    Cancel,
}

/// Graces to choose from, in seconds; the last one is typed.
const GRACES: [(&str, u64); 4] = [("0, at once", 0), ("1 hour", 3_600), ("24 hours", 86_400), ("7 days", 7 * 86_400)];
const CUSTOM: usize = GRACES.len();
const DAY: usize = 2;

impl Rotate {
    /// Asks how to rotate this key.
    pub(crate) fn new(key: &Key) -> Rotate {
        Rotate {
            id: key.id,
            name: text::printable(&key.name),
            prefix: text::printable(key.display()),
            expires_at: key.expires_at,
            grace: DAY,
            custom: Input::new("48h"),
            from_first_use: 0,
            focus: Ring(Field::Cancel),
            problem: None,
        }
    }

    fn fields(&self) -> Vec<Field> {
        let custom = (self.grace == CUSTOM).then_some(Field::Custom);
        let rest = [Field::From, Field::Rotate, Field::Cancel];
        [Field::Grace].into_iter().chain(custom).chain(rest).collect()
    }

    /// The grace in seconds, or why there is none.
    fn seconds(&self) -> Result<u64, String> {
        let seconds = match GRACES.get(self.grace) {
            Some((_, seconds)) => *seconds,
            None => text::parse_duration(self.custom.text())
                .map_err(|_| "not a duration · give a number with s, m, h, d or w, such as 48h")?,
        };
        if seconds > MAX_GRACE {
            return Err(format!("the grace period is too long · give at most {} days", MAX_GRACE / 86_400));
        }
        Ok(seconds)
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Step {
        if self.focus.key(key, &self.fields()) {
            return Step::Stay;
        }
        match (key.code, self.focus.0) {
            (KeyCode::Esc, _) | (KeyCode::Enter, Field::Cancel) => return Step::Close,
            (KeyCode::Enter, Field::Rotate) => {
                if let Ok(seconds) = self.seconds() {
                    let grace = if self.from_first_use == 1 {
                        Grace::from_first_use(seconds)
                    } else {
                        Grace::from_now(seconds)
                    };
                    let rotation = Rotation { grace, ..Rotation::default() };
                    return Step::Submit(Effect::Rotate { id: self.id, rotation });
                }
            }
            (KeyCode::Enter, Field::Grace | Field::Custom) => self.focus.0 = Field::From,
            (KeyCode::Enter, Field::From) => {}
            (_, Field::Grace) => {
                choose(&mut self.grace, GRACES.len() + 1, key);
            }
            (_, Field::From) => {
                choose(&mut self.from_first_use, 2, key);
            }
            (_, Field::Custom) => {
                self.custom.key(key);
            }
            (_, Field::Rotate | Field::Cancel) => {}
        }
        Step::Stay
    }

    pub(super) fn text_field(&mut self) -> Option<&mut Input> {
        (self.focus.0 == Field::Custom).then_some(&mut self.custom)
    }

    /// When the old secret dies.
    fn death(&self, now: Timestamp) -> (Role, String) {
        let Ok(seconds) = self.seconds() else { return (Role::Faint, String::new()) };
        let expiry = self.expires_at.map(|at| format!(", and never after {}", text::minute(at))).unwrap_or_default();
        if self.from_first_use == 1 {
            let after =
                if seconds == 0 { "at once".to_owned() } else { format!("{} later", text::format_duration(seconds)) };
            return (
                Role::Waiting,
                format!("The old secret stays valid until the new one is first used, and dies {after}{expiry}."),
            );
        }
        if seconds == 0 {
            return (Role::Bad, "The old secret is refused at once.".to_owned());
        }
        let end = now.saturating_add(seconds);
        match self.expires_at {
            Some(at) if at < end => {
                (Role::Warning, format!("The old secret dies {}, when the key expires.", text::minute(at)))
            }
            _ => (Role::Waiting, format!("The old secret dies {} ({}).", text::minute(end), text::relative(now, end))),
        }
    }

    pub(super) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        let mut sheet = Sheet::new(&format!("Rotate: {}", self.name), model, width);
        let focus = self.focus.0;
        sheet.text(Role::Title, &self.prefix);
        sheet.text(Role::Text, "The key gets a new secret, which is shown once. It keeps its id and all else.");
        sheet.blank();
        let grace = GRACES.get(self.grace).map_or("custom", |(name, _)| *name);
        sheet.choice("grace", grace, focus == Field::Grace);
        let problem = self.seconds().err();
        if self.grace == CUSTOM {
            sheet.input("custom", &self.custom, focus == Field::Custom, problem.as_deref());
        }
        let from = if self.from_first_use == 1 { "first use of the new secret" } else { "now" };
        sheet.choice("from", from, focus == Field::From);
        let (role, death) = self.death(model.now);
        sheet.text(role, &death);
        sheet.problem(self.problem.as_deref());
        sheet.blank();
        sheet.buttons(&[
            ("Rotate", focus == Field::Rotate, problem.is_none()),
            ("Cancel", focus == Field::Cancel, true),
        ]);
        sheet.hint(match focus {
            Field::Grace | Field::From => "Left and Right choose · Tab moves · Esc cancels",
            Field::Custom => "Tab moves · Esc cancels",
            Field::Rotate | Field::Cancel => "Tab moves · Enter chooses · Esc cancels",
        });
        sheet
    }
}
