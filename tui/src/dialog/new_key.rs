//! What should a new key be?

use crossterm::event::{KeyCode, KeyEvent};
use keystile::bounds::{MAX_ADDRESSES, MAX_NAME_LEN, MAX_OWNER_LEN, MAX_SCOPES};
use keystile::{AddressRange, CreateKeyError, Environment, KeyFieldError, NamedFormat, NewKey, Rate, Scope, Timestamp};

use super::{Ring, Step, choose};
use crate::input::Input;
use crate::message::Effect;
use crate::model::Model;
use crate::text;
use crate::view::sheet::Sheet;

/// The form of a new key.
#[derive(Debug)]
pub(crate) struct NewKeyForm {
    formats: Vec<NamedFormat>,
    max_lifetime: Option<u64>,
    /// Scopes that other keys hold.
    known_scopes: Vec<String>,
    format: usize,
    environment: usize,
    name: Input,
    owner: Input,
    scopes: Input,
    expiry: usize,
    date: Input,
    limit: Input,
    addresses: Input,
    focus: Ring<Field>,
    /// Fields that the focus has left: what is missing in them is told.
    visited: Vec<Field>,
    /// Why it was refused.
    pub(crate) problem: Option<String>,
    field_problem: Option<(Field, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Format,
    Name,
    Owner,
    Environment,
    Scopes,
    Expiry,
    Date,
    Limit,
    Addresses,
    Create,
    Cancel,
}

/// Lifetimes to choose from, in days.
const LIFETIMES: [(&str, u64); 4] = [("in 7 days", 7), ("in 30 days", 30), ("in 90 days", 90), ("in 365 days", 365)];
const ON_A_DATE: usize = LIFETIMES.len();
const NEVER: usize = LIFETIMES.len() + 1;
const NINETY_DAYS: usize = 2;

impl NewKeyForm {
    /// An empty form; the focus starts on the name.
    pub(crate) fn new(formats: Vec<NamedFormat>, max_lifetime: Option<u64>, known_scopes: Vec<String>) -> NewKeyForm {
        NewKeyForm {
            formats,
            max_lifetime,
            known_scopes,
            format: 0,
            environment: 0,
            name: Input::default(),
            owner: Input::default(),
            scopes: Input::default(),
            expiry: NINETY_DAYS,
            date: Input::default(),
            limit: Input::default(),
            addresses: Input::default(),
            focus: Ring(Field::Name),
            visited: Vec::new(),
            problem: None,
            field_problem: None,
        }
    }

    fn fields(&self) -> Vec<Field> {
        let date = (self.expiry == ON_A_DATE).then_some(Field::Date);
        let first = [Field::Format, Field::Name, Field::Owner, Field::Environment, Field::Scopes, Field::Expiry];
        let last = [Field::Limit, Field::Addresses, Field::Create, Field::Cancel];
        first.into_iter().chain(date).chain(last).collect()
    }

    fn environments(&self) -> &[Environment] {
        self.formats.get(self.format).map_or(&[], |named| named.format.environments())
    }

    pub(super) fn key(&mut self, key: KeyEvent, model: &Model) -> Step {
        let before = self.focus.0;
        if self.focus.key(key, &self.fields()) {
            self.visit(before);
            return Step::Stay;
        }
        match (key.code, before) {
            (KeyCode::Esc, _) | (KeyCode::Enter, Field::Cancel) => return Step::Close,
            (KeyCode::Enter, Field::Create) => match self.read(model.now) {
                Ok(new) => {
                    (self.problem, self.field_problem) = (None, None);
                    return Step::Submit(Effect::Create(Box::new(new)));
                }
                Err(field) => {
                    self.visited = self.fields();
                    self.focus.0 = field;
                }
            },
            // From field to field; the last one keeps the focus, so that a held key makes no key.
            (KeyCode::Enter, Field::Addresses) => self.visit(before),
            (KeyCode::Enter, _) => {
                self.focus.key(KeyEvent::from(KeyCode::Tab), &self.fields());
                self.visit(before);
            }
            (_, Field::Format) => {
                if choose(&mut self.format, self.formats.len(), key) {
                    self.environment = 0;
                }
            }
            (_, Field::Environment) => {
                let count = self.environments().len();
                choose(&mut self.environment, count, key);
            }
            (_, Field::Expiry) => {
                choose(&mut self.expiry, NEVER + 1, key);
            }
            (KeyCode::Right, Field::Scopes) if self.scopes.at_end() => {
                if let Some((typed, whole)) = self.suggestion() {
                    let rest = format!("{} ", &whole[typed..]);
                    self.scopes.insert(&rest);
                }
            }
            (_, Field::Create | Field::Cancel) => {}
            _ => {
                self.field_problem.take_if(|(field, _)| *field == before);
                if let Some(input) = self.text_field() {
                    input.key(key);
                }
            }
        }
        Step::Stay
    }

    fn visit(&mut self, field: Field) {
        if !self.visited.contains(&field) {
            self.visited.push(field);
        }
    }

    pub(super) fn text_field(&mut self) -> Option<&mut Input> {
        match self.focus.0 {
            Field::Name => Some(&mut self.name),
            Field::Owner => Some(&mut self.owner),
            Field::Scopes => Some(&mut self.scopes),
            Field::Date => Some(&mut self.date),
            Field::Limit => Some(&mut self.limit),
            Field::Addresses => Some(&mut self.addresses),
            Field::Format | Field::Environment | Field::Expiry | Field::Create | Field::Cancel => None,
        }
    }

    /// A scope in use that goes on from what is being typed: how much of it is typed, and all of it.
    fn suggestion(&self) -> Option<(usize, &str)> {
        let typed = self.scopes.text().rsplit([' ', ',']).next().unwrap_or_default();
        let taken: Vec<&str> = self.scopes.text().split([' ', ',']).collect();
        let found = self.known_scopes.iter().find(|scope| scope.starts_with(typed) && !taken.contains(&scope.as_str()));
        found.map(|scope| (typed.len(), scope.as_str()))
    }

    /// What the fields say, or the first one that does not fit.
    fn read(&self, now: Timestamp) -> Result<NewKey, Field> {
        for field in self.fields() {
            if self.check(field, now).is_some() {
                return Err(field);
            }
        }
        let owner = self.owner.text();
        Ok(NewKey {
            name: self.name.text().to_owned(),
            owner: (!owner.is_empty()).then(|| owner.to_owned()),
            format: self.formats.get(self.format).map(|named| named.name.clone()),
            environment: self.environments().get(self.environment).cloned(),
            scopes: self.scopes().map_err(|_| Field::Scopes)?,
            addresses: self.addresses().map_err(|_| Field::Addresses)?,
            rate: self.rate().map_err(|_| Field::Limit)?,
            expires_at: self.expires_at(now).map_err(|_| Field::Date)?,
            ..NewKey::default()
        })
    }

    /// Why a field does not fit, as far as that can be told before the store is asked.
    fn check(&self, field: Field, now: Timestamp) -> Option<String> {
        match field {
            Field::Name => (!text::is_line(self.name.text(), MAX_NAME_LEN))
                .then(|| format!("not a name · give 1 to {MAX_NAME_LEN} bytes without spaces at the ends")),
            Field::Owner => (!self.owner.text().is_empty() && !text::is_line(self.owner.text(), MAX_OWNER_LEN))
                .then(|| format!("not an owner · give at most {MAX_OWNER_LEN} bytes without spaces at the ends")),
            Field::Scopes => self.scopes().err(),
            Field::Expiry if self.expiry != ON_A_DATE => self.expires_at(now).err(),
            Field::Date => self.expires_at(now).err(),
            Field::Limit => self.rate().err(),
            Field::Addresses => self.addresses().err(),
            Field::Format | Field::Environment | Field::Expiry | Field::Create | Field::Cancel => None,
        }
    }

    fn scopes(&self) -> Result<Vec<Scope>, String> {
        let scopes: Result<Vec<Scope>, _> = words(self.scopes.text()).map(|word| word.parse::<Scope>()).collect();
        let scopes = scopes.map_err(|error| error.to_string())?;
        if scopes.len() > MAX_SCOPES {
            return Err(format!("too many scopes · give at most {MAX_SCOPES}"));
        }
        Ok(scopes)
    }

    fn addresses(&self) -> Result<Vec<AddressRange>, String> {
        let ranges: Result<Vec<AddressRange>, _> = words(self.addresses.text()).map(|word| word.parse()).collect();
        let ranges = ranges.map_err(|error: keystile::AddressRangeError| error.to_string())?;
        if ranges.len() > MAX_ADDRESSES {
            return Err(format!("too many address ranges · give at most {MAX_ADDRESSES}"));
        }
        Ok(ranges)
    }

    fn rate(&self) -> Result<Option<Rate>, String> {
        let text = self.limit.text();
        if text.is_empty() {
            return Ok(None);
        }
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let window = |text: &str| text::parse_duration(text).ok().and_then(|seconds| u32::try_from(seconds).ok());
        let parts = text.split_once('/').and_then(|(limit, rest)| number(limit).zip(window(rest)));
        // What is no rate at all gets the library's message for one that is out of bounds.
        let (limit, window) = parts.unwrap_or_default();
        Rate::new(limit, window).map(Some).map_err(|error| error.to_string())
    }

    fn expires_at(&self, now: Timestamp) -> Result<Option<Timestamp>, String> {
        let at = match LIFETIMES.get(self.expiry) {
            Some((_, days)) => Some(now.saturating_add(days * 86_400)),
            None if self.expiry == ON_A_DATE => {
                let at = text::parse_date(self.date.text())
                    .ok_or("not a date · give one such as 2030-01-31, or 2030-01-31T12:00:00Z")?;
                if at <= now {
                    return Err("the date is not after now · give a later one".to_owned());
                }
                Some(at)
            }
            None => None,
        };
        match (at, self.max_lifetime) {
            (Some(at), Some(max)) if at > now.saturating_add(max) => Err(format!(
                "the key would live longer than this store allows ({}) · choose an earlier end",
                text::format_duration(max)
            )),
            _ => Ok(at),
        }
    }

    /// Shows why the store refused, at the field that it refused.
    pub(crate) fn refused_by(&mut self, error: &CreateKeyError) {
        let message = error.to_string();
        let field = match error {
            CreateKeyError::Field(KeyFieldError::Name) => Some(Field::Name),
            CreateKeyError::Field(KeyFieldError::ExpiryInPast { .. } | KeyFieldError::LifetimeTooLong { .. }) => {
                Some(if self.expiry == ON_A_DATE { Field::Date } else { Field::Expiry })
            }
            CreateKeyError::UnknownFormat { .. } => Some(Field::Format),
            CreateKeyError::Format(_) => Some(Field::Environment),
            _ => None,
        };
        match field {
            Some(field) => {
                self.focus.0 = field;
                self.field_problem = Some((field, message));
            }
            None => self.problem = Some(message),
        }
    }

    pub(super) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        let mut sheet = Sheet::new("New key", model, width);
        let focus = self.focus.0;
        for field in self.fields() {
            let refused = self.field_problem.as_ref().filter(|(at, _)| *at == field).map(|(_, text)| text.clone());
            let empty = self.input(field).is_none_or(|input| input.text().is_empty());
            let told = !empty || self.visited.contains(&field) || matches!(field, Field::Expiry);
            let problem = refused.or_else(|| self.check(field, model.now).filter(|_| told));
            let problem = problem.as_deref();
            let has_focus = field == focus;
            match field {
                Field::Format => {
                    let name = self.formats.get(self.format).map_or("", |named| named.name.as_str());
                    sheet.choice_with("format", name, has_focus, problem);
                }
                Field::Name => sheet.input("name", &self.name, has_focus, problem),
                Field::Owner => sheet.input("owner", &self.owner, has_focus, problem),
                Field::Environment => {
                    let name = self.environments().get(self.environment).map_or("", |env| env.as_str());
                    sheet.choice_with("environment", name, has_focus, problem);
                }
                Field::Scopes => {
                    sheet.input("scopes", &self.scopes, has_focus, problem);
                    if has_focus && let Some((_, scope)) = self.suggestion() {
                        sheet.note(&format!("in use: {} · Right takes it", text::printable(scope)));
                    }
                }
                Field::Expiry => {
                    let expiry = match LIFETIMES.get(self.expiry) {
                        Some((name, _)) => *name,
                        None if self.expiry == ON_A_DATE => "on a date",
                        None => "never",
                    };
                    sheet.choice_with("expires", expiry, has_focus, problem);
                    if let (NEVER, Some(max)) = (self.expiry, self.max_lifetime) {
                        sheet.note(&format!("this store ends it after {}", text::format_duration(max)));
                    }
                }
                Field::Date => sheet.input("date", &self.date, has_focus, problem),
                Field::Limit => sheet.input("limit", &self.limit, has_focus, problem),
                Field::Addresses => sheet.input("addresses", &self.addresses, has_focus, problem),
                Field::Create | Field::Cancel => {}
            }
        }
        sheet.problem(self.problem.as_deref());
        sheet.blank();
        let fits = self.read(model.now).is_ok();
        sheet.buttons(&[("Create", focus == Field::Create, fits), ("Cancel", focus == Field::Cancel, true)]);
        sheet.hint(match focus {
            Field::Format | Field::Environment | Field::Expiry => "Left and Right choose · Tab moves · Esc cancels",
            Field::Scopes => "such as invoices:read, by spaces · Tab moves",
            Field::Date => "such as 2030-01-31 · Tab moves",
            Field::Limit => "such as 600/60s; empty: none · Tab moves",
            Field::Addresses => "such as 10.0.0.0/8; empty: any · Tab moves",
            Field::Name | Field::Owner => "Tab moves · Esc cancels",
            Field::Create | Field::Cancel => "Tab moves · Enter chooses · Esc cancels",
        });
        sheet
    }

    fn input(&self, field: Field) -> Option<&Input> {
        match field {
            Field::Name => Some(&self.name),
            Field::Owner => Some(&self.owner),
            Field::Scopes => Some(&self.scopes),
            Field::Date => Some(&self.date),
            Field::Limit => Some(&self.limit),
            Field::Addresses => Some(&self.addresses),
            Field::Format | Field::Environment | Field::Expiry | Field::Create | Field::Cancel => None,
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',']).filter(|word| !word.is_empty())
}
