//! Other keys than those of the table: a file of lines `action = "key"`, which is a subset of TOML.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crossterm::event::{KeyCode, KeyModifiers};

use crate::action::{ACTIONS, Action, ActionId, Binding, Place};
use crate::text;

/// The keys of this run. One for the process, set before anything is drawn, as the table itself is one.
static KEYMAP: OnceLock<Keymap> = OnceLock::new();

/// What a file says of the keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Keymap(Vec<(ActionId, Vec<Binding>)>);

/// The keys of an action, when a file gives it others.
pub(crate) fn bindings(id: ActionId) -> Option<&'static [Binding]> {
    KEYMAP.get()?.of(id)
}

/// Reads the file that was asked for, or else the one of this user when there is one; its keys hold from now on.
///
/// # Errors
/// All that is wrong with the file, a line each; nothing of it holds then.
pub(crate) fn install(asked_for: Option<&Path>) -> Result<(), Vec<KeymapError>> {
    let path = match asked_for {
        Some(path) => path.to_owned(),
        None => match of_user().filter(|path| path.exists()) {
            Some(path) => path,
            None => return Ok(()),
        },
    };
    let shown = text::printable(&path.to_string_lossy());
    let failed = |problem| vec![KeymapError { file: shown.clone(), line: None, problem }];
    let mut text = String::new();
    let file = std::fs::File::open(&path).map_err(|error| failed(Problem::Unreadable(error.to_string())))?;
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
    read.map_err(|error| failed(Problem::Unreadable(error.to_string())))?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(Problem::TooLong));
    }
    let named = |(line, problem)| KeymapError { file: shown.clone(), line: Some(line), problem };
    let keymap = Keymap::parse(&text).map_err(|problems| problems.into_iter().map(named).collect::<Vec<_>>())?;
    // It is set once, at the start.
    let _ = KEYMAP.set(keymap);
    Ok(())
}

/// Where a user keeps such a file (XDG Base Directory Specification).
fn of_user() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(config.join("keystile").join("keymap.toml"))
}

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeymapError {
    file: String,
    line: Option<usize>,
    problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Problem {
    /// The file cannot be read.
    Unreadable(String),
    /// The file is longer than any that makes sense.
    TooLong,
    /// The line is not `action = "key"`.
    NotALine,
    /// There is no action of this name.
    UnknownAction(String),
    /// There is no key of this name.
    UnknownKey(String),
    /// The action has been given keys already, on that line.
    Twice(usize),
    /// The action changes what people rely on, and the key is pressed by mistake too easily.
    TooEasy(&'static str, Binding),
    /// Another action has this key at the same place.
    Conflict(Binding, &'static str),
}

impl fmt::Display for KeymapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        f.write_str(": ")?;
        match &self.problem {
            Problem::Unreadable(error) => write!(f, "cannot be read: {error} · give another path with --keymap"),
            Problem::TooLong => write!(f, "longer than {MAX_FILE} bytes · keep only the lines that change a key"),
            Problem::NotALine => {
                f.write_str("not a line of a keymap · write it as: page-down = [\"PageDown\", \"Ctrl-F\"]")
            }
            Problem::UnknownAction(name) => {
                write!(f, "there is no action `{}` · docs/keys.md and ? list them", text::printable(name))
            }
            Problem::UnknownKey(name) => write!(
                f,
                "there is no key `{}` · give a character, Ctrl- and a letter, F1 to F12, Enter, Esc, Space, Tab, \
                 Shift-Tab, Up, Down, PageUp, PageDown, Home or End",
                text::printable(name)
            ),
            Problem::Twice(line) => write!(f, "this action has its keys on line {line} · put them all on one line"),
            Problem::TooEasy(name, key) => write!(
                f,
                "`{name}` must not be on {key}, which is pressed by mistake too easily · give it a capital, a key \
                 with Ctrl, or F1 to F12"
            ),
            Problem::Conflict(key, other) => {
                write!(f, "{key} is the key of `{other}` at the same place · give one of the two another key")
            }
        }
    }
}

impl std::error::Error for KeymapError {}

impl Keymap {
    /// Reads the lines of a file.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line.
    pub(crate) fn parse(text: &str) -> Result<Keymap, Vec<(usize, Problem)>> {
        let mut keymap = Keymap::default();
        let mut problems = Vec::new();
        let mut lines: Vec<(ActionId, usize)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            match parse_line(line) {
                Ok(None) => {}
                Ok(Some((action, keys))) => {
                    if let Some((_, first)) = lines.iter().find(|(id, _)| *id == action.id) {
                        problems.push((number, Problem::Twice(*first)));
                        continue;
                    }
                    if let Some(key) = keys.iter().find(|key| is_destructive(action) && is_easy(**key)) {
                        problems.push((number, Problem::TooEasy(action.name, *key)));
                    }
                    lines.push((action.id, number));
                    keymap.0.push((action.id, keys));
                }
                Err(problem) => problems.push((number, problem)),
            }
        }
        // Ctrl-C leaves every program, whatever else does.
        if let Some((_, keys)) = keymap.0.iter_mut().find(|(id, _)| *id == ActionId::Quit) {
            keys.extend([CTRL_C].into_iter().filter(|key| !keys.contains(key)).collect::<Vec<_>>());
        }
        for (id, line) in &lines {
            let action = id.action();
            for key in keymap.keys_of(action) {
                // Of two lines that take the same key, the later one is told.
                let other = ACTIONS.iter().find(|other| {
                    let later = lines.iter().any(|(known, at)| *known == other.id && at > line);
                    other.id != *id
                        && !later
                        && overlap(action.place, other.place)
                        && keymap.keys_of(other).contains(key)
                });
                if let Some(other) = other {
                    problems.push((*line, Problem::Conflict(*key, other.name)));
                }
            }
        }
        problems.sort_by_key(|(line, _)| *line);
        if problems.is_empty() { Ok(keymap) } else { Err(problems) }
    }

    fn of(&self, id: ActionId) -> Option<&[Binding]> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, keys)| keys.as_slice())
    }

    fn keys_of(&self, action: &'static Action) -> &[Binding] {
        self.of(action.id).unwrap_or(action.keys)
    }
}

/// An action and its keys; nothing for an empty line and a comment.
fn parse_line(line: &str) -> Result<Option<(&'static Action, Vec<Binding>)>, Problem> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = line.split_once('=').ok_or(Problem::NotALine)?;
    let name = name.trim().trim_matches('"');
    let plain = |name: &str| name.to_lowercase().replace('-', " ");
    let action = ACTIONS.iter().find(|action| plain(action.name) == plain(name));
    let keys = parse_value(value)?;
    let action = action.ok_or_else(|| Problem::UnknownAction(name.to_owned()))?;
    let keys: Result<Vec<Binding>, Problem> = keys.iter().map(|key| parse_key(key)).collect();
    keys.map(|keys| Some((action, keys)))
}

/// `"j"` or `["j", "Down"]`, with a comment behind it or not.
fn parse_value(value: &str) -> Result<Vec<String>, Problem> {
    let mut rest = value.trim();
    let is_list = rest.starts_with('[');
    rest = rest.strip_prefix('[').unwrap_or(rest);
    let mut keys = Vec::new();
    loop {
        let quoted = rest.trim_start().strip_prefix('"').ok_or(Problem::NotALine)?;
        // A quotation mark is a key too: it is written as in TOML.
        let (key, after) = match quoted.strip_prefix("\\\"") {
            Some(after) => ("\"", after.strip_prefix('"').ok_or(Problem::NotALine)?),
            None => quoted.split_once('"').ok_or(Problem::NotALine)?,
        };
        keys.push(key.replace("\\\\", "\\"));
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(next) if is_list => rest = next,
            _ => break,
        }
    }
    if is_list {
        rest = rest.strip_prefix(']').ok_or(Problem::NotALine)?.trim_start();
    }
    if rest.is_empty() || rest.starts_with('#') { Ok(keys) } else { Err(Problem::NotALine) }
}

/// A key by the name that the help gives it.
fn parse_key(name: &str) -> Result<Binding, Problem> {
    let unknown = || Problem::UnknownKey(name.to_owned());
    let mut characters = name.chars();
    if let (Some(character), None) = (characters.next(), characters.next()) {
        return if text::is_treacherous(character) { Err(unknown()) } else { Ok(plain(KeyCode::Char(character))) };
    }
    let lower = name.to_lowercase();
    if let Some(letter) = lower.strip_prefix("ctrl-") {
        let mut letters = letter.chars();
        return match (letters.next(), letters.next()) {
            // Terminals send these as Tab and Enter.
            (Some(letter @ 'a'..='z'), None) if !matches!(letter, 'i' | 'j' | 'm') => {
                Ok(Binding(KeyCode::Char(letter), KeyModifiers::CONTROL))
            }
            _ => Err(unknown()),
        };
    }
    if let Some(number) = lower.strip_prefix('f').and_then(|number| number.parse().ok()) {
        return if (1..=12).contains(&number) { Ok(plain(KeyCode::F(number))) } else { Err(unknown()) };
    }
    let code = match lower.as_str() {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "space" => KeyCode::Char(' '),
        "tab" => KeyCode::Tab,
        "shift-tab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "pageup" => KeyCode::PageUp,
        "pagedown" => KeyCode::PageDown,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        _ => return Err(unknown()),
    };
    Ok(plain(code))
}

const fn plain(code: KeyCode) -> Binding {
    Binding(code, KeyModifiers::NONE)
}

/// What has a capital in the table, and changes the store.
fn is_destructive(action: &Action) -> bool {
    action.mutating && matches!(action.keys.first(), Some(Binding(KeyCode::Char(c), _)) if c.is_ascii_uppercase())
}

fn is_easy(key: Binding) -> bool {
    let is_function = matches!(key.0, KeyCode::F(_));
    let is_capital = matches!(key.0, KeyCode::Char(c) if c.is_uppercase());
    !(is_function || is_capital || key.1.contains(KeyModifiers::CONTROL))
}

/// Whether two places take keys at the same time.
fn overlap(one: Place, other: Place) -> bool {
    match (one, other) {
        (Place::In(one), Place::In(other)) => one == other,
        (Place::Secret, Place::Secret) => true,
        (Place::Secret, _) | (_, Place::Secret) => false,
        (Place::Start, Place::In(_) | Place::List) | (Place::In(_) | Place::List, Place::Start) => false,
        _ => true,
    }
}

const CTRL_C: Binding = Binding(KeyCode::Char('c'), KeyModifiers::CONTROL);
/// Longest file, in bytes.
const MAX_FILE: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn problems(text: &str) -> Vec<(usize, Problem)> {
        Keymap::parse(text).unwrap_err()
    }

    #[test]
    fn keys_are_given_by_the_names_of_the_table() {
        let text = "# mine\n\npage-down = [\"d\", \"Ctrl-D\"] # like a pager\n\"revoke\" = \"F9\"\nI-stored-it=\"Space\"\n\
                    quit = \"Q\"\nfilter = \"\\\"\"\n";
        let keymap = Keymap::parse(text).unwrap();
        let d = [plain(KeyCode::Char('d')), Binding(KeyCode::Char('d'), KeyModifiers::CONTROL)];
        assert_eq!(keymap.of(ActionId::PageDown), Some(d.as_slice()));
        assert_eq!(keymap.of(ActionId::Revoke), Some([plain(KeyCode::F(9))].as_slice()));
        assert_eq!(keymap.of(ActionId::StoredSecret), Some([plain(KeyCode::Char(' '))].as_slice()));
        assert_eq!(keymap.of(ActionId::Quit), Some([plain(KeyCode::Char('Q')), CTRL_C].as_slice()), "Ctrl-C stays");
        assert_eq!(keymap.of(ActionId::Filter), Some([plain(KeyCode::Char('"'))].as_slice()));
        assert_eq!(keymap.of(ActionId::Up), None);
        assert_eq!(Keymap::parse("").unwrap(), Keymap::default());
    }

    #[test]
    fn names_of_actions_and_keys_mean_one_thing() {
        let mut names = HashSet::new();
        for action in ACTIONS {
            assert!(names.insert(action.name.to_lowercase()), "{}", action.name);
            assert!(!action.name.contains('-'), "{}", action.name);
            for key in action.keys {
                assert_eq!(parse_key(&key.to_string()).as_ref(), Ok(key), "what the help shows can be written");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, expected) in [
            ("help = \"h\"\nnonsense\n", vec![(2, Problem::NotALine)]),
            ("help = h\n", vec![(1, Problem::NotALine)]),
            ("help = [\"h\"\n", vec![(1, Problem::NotALine)]),
            ("help = \"h\" \"x\"\n", vec![(1, Problem::NotALine)]),
            ("dance = \"d\"\n", vec![(1, Problem::UnknownAction("dance".to_owned()))]),
            ("help = \"Hyper-H\"\n", vec![(1, Problem::UnknownKey("Hyper-H".to_owned()))]),
            ("help = \"Ctrl-I\"\n", vec![(1, Problem::UnknownKey("Ctrl-I".to_owned()))]),
            ("help = \"F13\"\n", vec![(1, Problem::UnknownKey("F13".to_owned()))]),
            ("help = \"\"\n", vec![(1, Problem::UnknownKey(String::new()))]),
            ("help = \"h\"\nhelp = \"F1\"\n", vec![(2, Problem::Twice(1))]),
            ("revoke = \"x\"\n", vec![(1, Problem::TooEasy("revoke", plain(KeyCode::Char('x'))))]),
            (
                "revoke = \"Enter\"\n",
                vec![
                    (1, Problem::TooEasy("revoke", plain(KeyCode::Enter))),
                    (1, Problem::Conflict(plain(KeyCode::Enter), "details")),
                ],
            ),
            (
                "suspend = [\"S\", \"Space\"]\nmark = \"M\"\n",
                vec![(1, Problem::TooEasy("suspend", plain(KeyCode::Char(' '))))],
            ),
            ("rotate = \"X\"\n", vec![(1, Problem::Conflict(plain(KeyCode::Char('X')), "revoke"))]),
            ("down = \"q\"\n", vec![(1, Problem::Conflict(plain(KeyCode::Char('q')), "quit"))]),
            ("down = \"d\"\nup = \"d\"\n", vec![(2, Problem::Conflict(plain(KeyCode::Char('d')), "down"))]),
            ("copy = \"s\"\n", vec![(1, Problem::Conflict(plain(KeyCode::Char('s')), "show"))]),
        ] {
            let found = problems(text);
            assert_eq!(found, expected, "{text}");
            for (line, problem) in found {
                let error = KeymapError { file: "keymap.toml".to_owned(), line: Some(line), problem };
                let told = error.to_string();
                assert!(told.starts_with(&format!("keymap.toml, line {line}: ")) && told.contains(" · "), "{told}");
            }
        }
        // Two that change places are no conflict, and neither are keys of places that are never together.
        Keymap::parse("rotate = \"X\"\nrevoke = \"R\"\n").unwrap();
        Keymap::parse("copy = \"n\"\n").unwrap();
    }
}
