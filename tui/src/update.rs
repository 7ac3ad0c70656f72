//! What happens next: a model and a message make a new model and effects. Pure; time comes in messages.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use keystile::{Key, KeyState, SortColumn, Timestamp};

use crate::action::{self, ActionId, Place};
use crate::dialog::{Audit, Confirm, Dialog, NewKeyForm, Picker, PickerKind, Revoke, Rotate, SecretDialog, Step};
use crate::input::Input;
use crate::message::{Effect, Message};
use crate::model::{Model, NO_RIGHTS, Screen, StoreState};
use crate::osc52::CLEAR_AFTER;
use crate::text;
use crate::view::layout;

/// Takes a message.
pub(crate) fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let was_busy = model.busy;
    let effects = take(model, message);
    if was_busy && !model.busy {
        model.toast.take_if(|toast| toast.text == WORKING);
    }
    effects
}

fn take(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Terminal(event) => terminal(model, event),
        Message::Now(now) => tick(model, now),
        Message::Opened { formats, max_lifetime, only_readable } => {
            if only_readable && model.read_only.is_none() {
                model.read_only = Some(NO_RIGHTS);
            }
            model.store = StoreState::Open { formats, max_lifetime };
            model.busy = false;
            vec![model.keys.restart()]
        }
        Message::Made { kek } => {
            model.say(match kek {
                Some(kek) => format!("made the store · keep {kek} elsewhere"),
                None => "made the store".to_owned(),
            });
            Vec::new()
        }
        Message::NotOpened { missing, problem } => {
            if !missing {
                model.fail(problem.clone());
                model.toast = None;
            }
            model.store = StoreState::Failed { missing, problem };
            model.busy = false;
            Vec::new()
        }
        Message::Changed => {
            let mut effects = refresh(model);
            if let Some(Dialog::Audit(audit)) = &model.dialog {
                effects.push(audit.read());
            }
            effects
        }
        Message::Loaded { request, start, page } => match page {
            Ok(page) => {
                let height = model.table_height();
                model.keys.loaded(request, start, page, height).into_iter().collect()
            }
            Err(problem) => {
                model.keys.failed(request);
                model.fail(problem);
                Vec::new()
            }
        },
        Message::Created(result) => {
            model.busy = false;
            match *result {
                Ok(created) => {
                    model.keys.follow(created.key.id);
                    let secret = SecretDialog::new("New key", &created.key, created.secret, None);
                    model.dialog = Some(Dialog::Secret(Box::new(secret)));
                }
                Err(error) => {
                    if let Some(Dialog::NewKey(form)) = &mut model.dialog {
                        form.refused_by(&error);
                    }
                    model.fail(error.to_string());
                }
            }
            refresh(model)
        }
        Message::Rotated(result) => {
            model.busy = false;
            match *result {
                Ok(rotated) => rotated_key(model, rotated),
                Err(error) => refused(model, error.to_string()),
            }
            refresh(model)
        }
        Message::StateChanged { done, result } => {
            model.busy = false;
            match *result {
                Ok(key) => {
                    model.dialog = None;
                    model.say(format!("{done} {} ({})", text::printable(&key.name), text::printable(key.display())));
                }
                Err(problem) => refused(model, problem),
            }
            refresh(model)
        }
        Message::Audited { id, entries } => {
            match (entries, &mut model.dialog) {
                (Ok(entries), Some(Dialog::Audit(audit))) => audit.take(id, entries),
                // It was closed before the answer came.
                (Ok(_), _) => {}
                (Err(problem), _) => model.fail(problem),
            }
            Vec::new()
        }
        Message::SecretSeen => {
            if let Some(secret) = model.secret_mut() {
                secret.seen();
            }
            Vec::new()
        }
        Message::SecretWritten(result) => {
            model.busy = false;
            if let Err(problem) = &result {
                model.fail(problem.clone());
                model.toast = None;
            }
            if let Some(secret) = model.secret_mut() {
                secret.written(result);
            }
            Vec::new()
        }
        Message::Trouble(problem) => {
            model.fail(problem);
            Vec::new()
        }
        Message::Terminate => quit(model),
    }
}

/// Does an action. The ONE gate: nothing that leads to a change passes it in read-only mode, however it
/// was asked for.
pub(crate) fn dispatch(model: &mut Model, id: ActionId) -> Vec<Effect> {
    if let Err(reason) = id.action().check(model) {
        // Going back where there is nothing to go back to needs no word.
        if id != ActionId::Back {
            model.refuse(reason);
        }
        return Vec::new();
    }
    let height = model.table_height();
    let page = isize::try_from(height.max(1)).unwrap_or(1);
    let details = model.screen == Screen::Details;
    let selected = model.keys.selected();
    match id {
        ActionId::New => {
            if let StoreState::Open { formats, max_lifetime } = &model.store {
                let form = NewKeyForm::new(formats.clone(), *max_lifetime, scopes_in_use(model.keys.rows()));
                model.dialog = Some(Dialog::NewKey(Box::new(form)));
            }
        }
        ActionId::Rotate => model.dialog = selected.map(|key| Dialog::Rotate(Box::new(Rotate::new(key)))),
        ActionId::Revoke => model.dialog = selected.map(|key| Dialog::Revoke(Box::new(Revoke::new(key)))),
        ActionId::Suspend => model.dialog = selected.map(|key| Dialog::Confirm(Confirm::new(key, true))),
        ActionId::Resume => model.dialog = selected.map(|key| Dialog::Confirm(Confirm::new(key, false))),
        ActionId::Details => (model.screen, model.details_top) = (Screen::Details, 0),
        ActionId::Audit => {
            let audit = selected.map(Audit::new);
            let effects = audit.iter().map(Audit::read).collect();
            model.dialog = audit.map(Dialog::Audit);
            return effects;
        }
        ActionId::Filter => (model.screen, model.keys.editing) = (Screen::Keys, true),
        ActionId::Sort => model.dialog = Some(Dialog::Picker(Picker::new(PickerKind::Sort))),
        ActionId::Reverse => {
            model.keys.descending = !model.keys.descending;
            return vec![model.keys.restart()];
        }
        ActionId::Down => return step(model, 1),
        ActionId::Up => return step(model, -1),
        ActionId::PageDown if details => scroll_details(model, page),
        ActionId::PageUp if details => scroll_details(model, -page),
        ActionId::PageDown => return step(model, page),
        ActionId::PageUp => return step(model, -page),
        ActionId::Top => return model.keys.select_first(height).into_iter().collect(),
        ActionId::Bottom => return model.keys.select_last(height).into_iter().collect(),
        ActionId::Back => {
            if details {
                model.screen = Screen::Keys;
            } else {
                return clear_filter(model);
            }
        }
        ActionId::MakeStore => {
            (model.store, model.opening_since) = (StoreState::Opening, model.now);
            model.busy = true;
            return vec![Effect::MakeStore];
        }
        ActionId::Retry => {
            (model.store, model.opening_since) = (StoreState::Opening, model.now);
            return vec![Effect::Open];
        }
        ActionId::Palette => model.dialog = Some(Dialog::Picker(Picker::new(PickerKind::Palette))),
        ActionId::Help => model.dialog = Some(Dialog::Picker(Picker::new(PickerKind::Help))),
        ActionId::Errors => {
            model.toast = None;
            model.dialog = Some(Dialog::Errors(0));
        }
        ActionId::Quit => return quit(model),
        ActionId::ShowSecret => {
            if let Some(secret) = model.secret_mut() {
                secret.toggle();
            }
        }
        ActionId::CopySecret => {
            model.clear_clipboard_at = Some(model.now.saturating_add(CLEAR_AFTER));
            return model.secret_mut().map(SecretDialog::copy).into_iter().collect();
        }
        ActionId::WriteSecret => {
            if let Some(secret) = model.secret_mut() {
                secret.ask_path();
            }
        }
        // Dropping the dialog wipes the secret; the next frame overwrites the cells that showed it.
        ActionId::StoredSecret => model.dialog = None,
    }
    Vec::new()
}

fn terminal(model: &mut Model, event: Event) -> Vec<Effect> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => press(model, key),
        Event::Paste(text) => paste(model, &text),
        Event::Resize(width, height) => {
            model.size = (width, height);
            let height = model.table_height();
            model.keys.step(0, height).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let ends = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    if layout::is_too_small(model.size) {
        // What cannot be seen must not be done, and a secret that waits must not be lost.
        let quits = (ends || key.code == KeyCode::Char('q')) && model.secret().is_none() && !model.busy;
        return if quits { quit(model) } else { Vec::new() };
    }
    if model.busy {
        model.refuse(WORKING);
        return Vec::new();
    }
    if let Some(secret) = model.secret()
        && secret.path.is_none()
    {
        return match action::find(&[Place::Secret], key) {
            Some(action) => dispatch(model, action.id),
            None if ends || matches!(key.code, KeyCode::Esc | KeyCode::Char('q')) => {
                model.refuse("a secret waits · take it by s, c or w, then press y");
                Vec::new()
            }
            None => Vec::new(),
        };
    }
    if let Some(mut dialog) = model.dialog.take() {
        if ends && !matches!(dialog, Dialog::Secret(_)) {
            return Vec::new();
        }
        let took = dialog.key(key, model);
        return dialog_step(model, dialog, took);
    }
    if model.keys.editing {
        return filter_key(model, key);
    }
    let here = if matches!(model.store, StoreState::Open { .. }) { Place::Keys } else { Place::Start };
    match action::find(&[here, Place::Everywhere], key) {
        Some(action) => {
            // The next key answers whatever was said.
            model.toast = None;
            dispatch(model, action.id)
        }
        None => Vec::new(),
    }
}

fn dialog_step(model: &mut Model, dialog: Dialog, step: Step) -> Vec<Effect> {
    match step {
        Step::Close => Vec::new(),
        Step::Stay => {
            model.dialog = Some(dialog);
            Vec::new()
        }
        Step::Run(id) => dispatch(model, id),
        // The list may have moved under the dialog.
        Step::RunOn(id, key) if model.keys.selected().is_some_and(|selected| selected.id == key) => dispatch(model, id),
        Step::RunOn(..) => {
            model.refuse("the key has left its place in the list · select it again");
            Vec::new()
        }
        Step::Sort(column) => {
            sort(model, column);
            vec![model.keys.restart()]
        }
        Step::Submit(effect) => {
            model.dialog = Some(dialog);
            // Whatever opened the dialog has passed the gate; the mode may have changed since.
            if model.is_read_only() {
                model.refuse(model.why_read_only());
                return Vec::new();
            }
            model.busy = true;
            vec![effect]
        }
        Step::Do(effect) => {
            model.dialog = Some(dialog);
            // Twice would fail where once has succeeded: the file is there then.
            model.busy = matches!(effect, Effect::WriteSecret { .. });
            vec![effect]
        }
    }
}

fn filter_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Esc => clear_filter(model),
        KeyCode::Enter => {
            model.keys.editing = false;
            Vec::new()
        }
        KeyCode::Down => step(model, 1),
        KeyCode::Up => step(model, -1),
        _ => {
            let before = model.keys.filter.text().to_owned();
            model.keys.filter.key(key);
            if model.keys.filter.text() == before { Vec::new() } else { vec![model.keys.restart()] }
        }
    }
}

fn clear_filter(model: &mut Model) -> Vec<Effect> {
    model.keys.editing = false;
    if model.keys.filter.text().is_empty() {
        return Vec::new();
    }
    model.keys.filter = Input::default();
    vec![model.keys.restart()]
}

/// Pasted text goes to text fields only: it must not run as commands.
fn paste(model: &mut Model, pasted: &str) -> Vec<Effect> {
    if layout::is_too_small(model.size) {
        return Vec::new();
    }
    if model.busy {
        model.refuse(WORKING);
        return Vec::new();
    }
    let field = match &mut model.dialog {
        Some(dialog) => dialog.text_field(),
        None if model.keys.editing => Some(&mut model.keys.filter),
        None => None,
    };
    let Some(field) = field else {
        model.refuse("pasted text goes to text fields only · nothing was done");
        return Vec::new();
    };
    field.insert(pasted);
    if model.dialog.is_none() { vec![model.keys.restart()] } else { Vec::new() }
}

fn step(model: &mut Model, by: isize) -> Vec<Effect> {
    let height = model.table_height();
    model.details_top = 0;
    model.keys.step(by, height).into_iter().collect()
}

fn scroll_details(model: &mut Model, by: isize) {
    let width = usize::from(model.size.0.saturating_sub(4));
    let lines = model.keys.selected().map_or(0, |key| crate::view::count_details(key, model.now, width));
    let last = lines.saturating_sub(model.table_height());
    model.details_top = model.details_top.saturating_add_signed(by).min(last);
}

/// Sorts by a column; the same one again turns the order around. Times and numbers start with the
/// largest, texts with the smallest.
fn sort(model: &mut Model, column: SortColumn) {
    model.keys.descending = if model.keys.sort == column {
        !model.keys.descending
    } else {
        matches!(column, SortColumn::CreatedAt | SortColumn::UpdatedAt | SortColumn::LastUsedAt | SortColumn::Uses)
    };
    model.keys.sort = column;
}

fn tick(model: &mut Model, now: Timestamp) -> Vec<Effect> {
    let mut effects = Vec::new();
    let is_new = now != model.now;
    model.now = now;
    model.toast.take_if(|toast| now >= toast.until);
    // A clock that was set back must not keep it there.
    if model.clear_clipboard_at.take_if(|at| now >= *at || at.seconds_since(now) > CLEAR_AFTER).is_some() {
        effects.push(Effect::ClearClipboard);
    }
    // Uses are written behind, by whoever counts them, and leave no entry in the audit trail.
    if is_new && now.unix().is_multiple_of(USES_EVERY) {
        effects.extend(refresh(model));
    }
    effects
}

fn refresh(model: &mut Model) -> Vec<Effect> {
    if !matches!(model.store, StoreState::Open { .. }) {
        return Vec::new();
    }
    let height = model.table_height();
    model.keys.refresh(height).into_iter().collect()
}

fn rotated_key(model: &mut Model, rotated: keystile::RotatedKey) {
    let key = rotated.key;
    let Some(secret) = rotated.secret else {
        model.dialog = None;
        return;
    };
    let now = model.now;
    let old = key.retiring().last().map(|old| match (old.retires_at, old.pending_grace) {
        (Some(at), _) if at <= now => "The old secret is refused from now on.".to_owned(),
        (Some(at), _) => format!("The old secret dies {} ({}).", text::minute(at), text::relative(now, at)),
        (None, Some(grace)) => {
            format!("The old secret dies {} after the first use of this one.", text::format_duration(grace))
        }
        (None, None) => "The old secret stays valid.".to_owned(),
    });
    model.dialog = Some(Dialog::Secret(Box::new(SecretDialog::new("Rotated", &key, secret, old))));
}

fn refused(model: &mut Model, problem: String) {
    if let Some(dialog) = &mut model.dialog {
        dialog.refused(problem.clone());
    }
    model.fail(problem);
}

fn quit(model: &mut Model) -> Vec<Effect> {
    model.quit = true;
    model.dialog = None;
    model.clear_clipboard_at.take().map(|_| Effect::ClearClipboard).into_iter().collect()
}

/// The scopes of the keys that were read, each once, in order.
fn scopes_in_use(keys: &[Key]) -> Vec<String> {
    let in_use = keys.iter().filter(|key| key.state != KeyState::Revoked);
    let mut scopes: Vec<String> = in_use.flat_map(|key| &key.scopes).map(ToString::to_string).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// Why a key does nothing while a change is under way.
const WORKING: &str = "working… the key was not taken · press it again when this is done";
/// How often uses are read again, in seconds.
const USES_EVERY: u64 = 5;
