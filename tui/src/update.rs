//! What happens next: a model and a message make a new model and effects. Pure; time comes in messages.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use keystile::{AuditReport, Key, KeyState, SortColumn, Timestamp, UnreadableRow, UserId};
use ratatui::layout::Rect;
use zeroize::Zeroizing;

use crate::action::{self, ActionId, Place, Subject};
use crate::dialog::{
    Audit, Confirm, Dialog, NewKeyForm, Picker, PickerKind, Revoke, Rotate, SecretDialog, Signing, Step, TrialForm,
};
use crate::input::Input;
use crate::message::{Change, Effect, Message, Page, Unread};
use crate::model::{Model, NO_RIGHTS, Screen, StoreState, with_table};
use crate::osc52::CLEAR_AFTER;
use crate::section::{ConcernCount, Section};
use crate::table::{self, Row, Table};
use crate::text;
use crate::view::layout;

/// Takes a message.
pub(crate) fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let was_busy = model.busy;
    let counted = matches!(message, Message::Loaded { page: Ok(Page::Keys(_)), .. });
    let mut effects = take(model, message);
    effects.extend(ask_for_usage(model, counted));
    if was_busy && !model.busy {
        model.toast.take_if(|toast| toast.text == WORKING);
    }
    effects
}

/// What is told of rows that a list leaves out because they cannot be read.
fn of_unreadable(rows: &[UnreadableRow]) -> Option<String> {
    let first = text::printable(&rows.first()?.to_string());
    let more = match rows.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!("{first}{more} · see the section Health, and restore a backup"))
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
            let height = model.table_height();
            let mut effects: Vec<Effect> =
                with_table!([&mut] model, table => table.enter(height)).into_iter().collect();
            effects.extend(model.safety.enter(height));
            effects
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
            model.uncounted.get_or_insert(model.now);
            let mut effects = refresh(model);
            if let Some(Dialog::Audit(audit)) = &model.dialog {
                effects.push(audit.read());
            }
            effects
        }
        Message::Loaded { request, start, page } => match page {
            Ok(page) => {
                let unreadable = of_unreadable(page.unreadable());
                let effects = loaded(model, request, start, page);
                if let Some(problem) = unreadable {
                    model.fail(problem);
                }
                effects
            }
            Err(Unread { section, problem }) => {
                with_table!([&mut] model, in section, table => table.failed(request));
                model.fail(problem);
                Vec::new()
            }
        },
        Message::Created(result) => {
            model.busy = false;
            match *result {
                Ok(created) => {
                    let effect = model.keys.restart();
                    model.keys.follow(created.key.id);
                    let secret = SecretDialog::new("New key", &created.key, created.secret, None);
                    model.dialog = Some(Dialog::Secret(Box::new(secret)));
                    vec![effect]
                }
                Err(error) => {
                    if let Some(Dialog::NewKey(form)) = &mut model.dialog {
                        form.refused_by(&error);
                    }
                    model.fail(error.to_string());
                    refresh(model)
                }
            }
        }
        Message::Rotated(result) => {
            model.busy = false;
            match *result {
                Ok(rotated) => rotated_key(model, rotated),
                Err(error) => refused(model, error.to_string()),
            }
            refresh(model)
        }
        Message::Done { result, changed } => {
            model.busy = false;
            model.keys.unmark_some(&changed);
            match result {
                Ok(done) => {
                    model.dialog = None;
                    model.say(done);
                }
                Err(problem) => {
                    // What was refused stays marked, for another try.
                    if !changed.is_empty() {
                        model.dialog = None;
                    }
                    refused(model, problem);
                }
            }
            refresh(model)
        }
        Message::Fetched(result) => {
            match result {
                Ok(fetched) => model.say(fetched),
                Err(problem) => model.fail(problem),
            }
            refresh(model)
        }
        Message::PasswordReset(result) => {
            model.busy = false;
            match *result {
                Ok((user, password)) => {
                    model.dialog = Some(Dialog::Secret(Box::new(SecretDialog::password(&user, password))));
                }
                Err(problem) => refused(model, problem),
            }
            refresh(model)
        }
        Message::Explained { number, explained } => {
            // It was closed, or something else was presented, before the answer came.
            if let Some(Dialog::Trial(trial)) = &mut model.dialog {
                trial.take(number, explained);
            }
            Vec::new()
        }
        Message::AuditVerified(result) => {
            match result {
                Ok(AuditReport::Intact { entries, head }) => {
                    let head = head.to_string();
                    model.say(format!("the trail is intact: {entries} entries, head {}…", &head[..16]));
                }
                Ok(AuditReport::Broken { sequence, problem }) => model.fail(format!(
                    "the trail is broken at entry {sequence}: {problem} · find out who wrote to the store, and compare \
                     with a backup"
                )),
                Ok(AuditReport::Differs { differences, more, .. }) => {
                    let count = more.saturating_add(differences.len() as u64);
                    let first = differences.first().map(ToString::to_string).unwrap_or_default();
                    model.fail(format!(
                        "the store differs from its trail, {count} times: {first} · find out who wrote to the store; \
                         revoke the key anew, or restore a backup"
                    ));
                }
                Ok(_) => {}
                Err(problem) => model.fail(problem),
            }
            Vec::new()
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
        Message::Used { id, usage } => {
            match (usage, &mut model.usage) {
                (Ok(days), Some((known, uses))) if *known == id => *uses = days,
                // Another key is in the details by now.
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
        Message::Clock { behind } => {
            model.clock_behind = behind;
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
    // In the details there is one key, and it is that one. One mark is none: the dialog names its key.
    let marked = if details { Vec::new() } else { model.keys.marked_rows() };
    match id {
        ActionId::New => {
            if let StoreState::Open { formats, max_lifetime } = &model.store {
                let form = NewKeyForm::new(formats.clone(), *max_lifetime, scopes_in_use(model.keys.rows()));
                model.dialog = Some(Dialog::NewKey(Box::new(form)));
            }
        }
        ActionId::Rotate => model.dialog = selected.map(|key| Dialog::Rotate(Box::new(Rotate::new(key)))),
        ActionId::Revoke if marked.len() > 1 => model.dialog = Some(Dialog::Revoke(Box::new(Revoke::all(&marked)))),
        ActionId::Revoke => model.dialog = selected.map(|key| Dialog::Revoke(Box::new(Revoke::new(key)))),
        ActionId::Suspend if marked.len() > 1 => {
            let confirm = Confirm::suspend_all(&marked);
            ask(model, Some(confirm));
        }
        ActionId::Suspend => ask(model, selected.map(|key| Confirm::suspend(key, model))),
        ActionId::Resume => ask(model, selected.map(|key| Confirm::resume(key, model))),
        ActionId::Mark => {
            if let Some(id) = selected.map(|key| key.id)
                && !model.keys.mark(&id)
            {
                model.refuse(format!("{} keys are marked · change these first", table::MAX_MARKED));
                return Vec::new();
            }
            return step(model, 1);
        }
        ActionId::Unmark => model.keys.unmark(),
        ActionId::Details if model.section == Section::Safety => {
            let concern = model.safety.selected().map(|row| row.concern);
            narrow(&mut model.keys, Input::default());
            model.keys.choice.concern = concern;
            return show_anew(model, Section::Keys);
        }
        ActionId::SuspendUser => ask(model, model.users.selected().map(Confirm::suspend_user)),
        ActionId::ResumeUser => ask(model, model.users.selected().map(Confirm::resume_user)),
        ActionId::UnlockUser => ask(model, model.users.selected().map(Confirm::unlock_user)),
        ActionId::ResetPassword => ask(model, model.users.selected().map(Confirm::reset_password)),
        ActionId::EndSessions => ask(model, model.users.selected().map(Confirm::end_sessions)),
        ActionId::SessionsOf => {
            let user = model.users.selected().map(|user| (user.id, user.email.to_string()));
            narrow(&mut model.sessions, Input::default());
            model.sessions.choice = user;
            return show_anew(model, Section::Sessions);
        }
        ActionId::AllSessions => {
            model.sessions.choice = None;
            return show_anew(model, Section::Sessions);
        }
        ActionId::EndSession => {
            ask(model, model.sessions.selected().map(|session| Confirm::end_session(session, model)));
        }
        ActionId::RotateSigningKey => model.dialog = Some(Dialog::Signing(Signing::new())),
        ActionId::EnableIssuer => ask(model, model.issuers.selected().map(Confirm::enable_issuer)),
        ActionId::DisableIssuer => ask(model, model.issuers.selected().map(Confirm::disable_issuer)),
        ActionId::RefreshIssuer => {
            if let Some(info) = model.issuers.selected() {
                // Nobody waits for an issuer that does not answer.
                let fetch = Effect::Change(Change::RefreshIssuer(info.issuer.name.clone()));
                model.say("fetching…");
                return vec![fetch];
            }
        }
        ActionId::VerifyAudit => {
            model.say("walking the trail…");
            return vec![Effect::VerifyAudit];
        }
        ActionId::Subject => {
            let subject = model.audit.selected().and_then(|entry| action::subject(entry.subject.as_deref()?));
            match subject {
                Some(Subject::Key(id)) => {
                    narrow(&mut model.keys, Input::new(id.to_string()));
                    model.keys.choice.concern = None;
                    return show_anew(model, Section::Keys);
                }
                Some(Subject::User(id)) => return show_user(model, id),
                None => {}
            }
        }
        ActionId::UserOfEvent => {
            if let Some(id) = model.security_events.selected().and_then(|event| event.user) {
                return show_user(model, id);
            }
        }
        ActionId::LookAgain => return vec![model.health.restart()],
        ActionId::Go(section) => return show(model, section),
        ActionId::NextSection => return show(model, model.section.step(1)),
        ActionId::PreviousSection => return show(model, model.section.step(Section::ALL.len() - 1)),
        ActionId::Try => {
            model.trials = model.trials.wrapping_add(1);
            model.dialog = Some(Dialog::Trial(Box::new(TrialForm::new(model.trials))));
        }
        ActionId::Details => (model.screen, model.details_top) = (Screen::Details, 0),
        ActionId::Audit => {
            let audit = selected.map(Audit::new);
            let effects = audit.iter().map(Audit::read).collect();
            model.dialog = audit.map(Dialog::Audit);
            return effects;
        }
        ActionId::Filter => {
            model.screen = Screen::List;
            with_table!([&mut] model, table => table.editing = true);
        }
        ActionId::Sort => model.dialog = Some(Dialog::Picker(Picker::new(PickerKind::Sort))),
        ActionId::Reverse => {
            model.keys.choice.descending = !model.keys.choice.descending;
            return vec![model.keys.restart()];
        }
        ActionId::Down => return step(model, 1),
        ActionId::Up => return step(model, -1),
        ActionId::PageDown if details => scroll_details(model, page),
        ActionId::PageUp if details => scroll_details(model, -page),
        ActionId::PageDown => return step(model, page),
        ActionId::PageUp => return step(model, -page),
        ActionId::Top if details => model.details_top = 0,
        ActionId::Top => return with_table!([&mut] model, table => table.select_first(height)).into_iter().collect(),
        ActionId::Bottom if details => scroll_details(model, isize::MAX),
        ActionId::Bottom => return with_table!([&mut] model, table => table.select_last(height)).into_iter().collect(),
        ActionId::Back => {
            if details {
                model.screen = Screen::List;
            } else {
                return widen(model);
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
        // It may be a credential.
        Event::Paste(text) => paste(model, &Zeroizing::new(text)),
        Event::Resize(width, height) => {
            model.size = (width, height);
            let height = model.table_height();
            with_table!([&mut] model, table => table.step(0, height)).into_iter().collect()
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
                let ids = [ActionId::ShowSecret, ActionId::CopySecret, ActionId::WriteSecret, ActionId::StoredSecret];
                let [show, copy, write, stored] = ids.map(|id| id.action().key());
                model.refuse(format!("a secret waits · take it by {show}, {copy} or {write}, then press {stored}"));
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
    if with_table!([&] model, table => table.editing) {
        return filter_key(model, key);
    }
    match action::find(&model.places(), key) {
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
        KeyCode::Esc => {
            with_table!([&mut] model, table => table.editing = false);
            widen(model)
        }
        KeyCode::Enter => {
            with_table!([&mut] model, table => table.editing = false);
            Vec::new()
        }
        KeyCode::Down => step(model, 1),
        KeyCode::Up => step(model, -1),
        _ => {
            let changed = with_table!([&mut] model, table => {
                let before = table.filter.text().to_owned();
                table.filter.key(key);
                table.filter.text() != before
            });
            if changed { vec![restart(model)] } else { Vec::new() }
        }
    }
}

/// Takes back what narrows the list: the filter first, then what else was chosen, then the marks.
fn widen(model: &mut Model) -> Vec<Effect> {
    if with_table!([&] model, table => !table.filter.text().is_empty()) {
        with_table!([&mut] model, table => table.filter = Input::default());
    } else if model.section == Section::Keys && model.keys.choice.concern.is_some() {
        model.keys.choice.concern = None;
    } else if model.section == Section::Sessions && model.sessions.choice.is_some() {
        model.sessions.choice = None;
    } else {
        model.keys.unmark();
        return Vec::new();
    }
    vec![restart(model)]
}

/// Sets the filter of a table that is about to be shown; marks of other rows would be out of view.
fn narrow<R: Row>(table: &mut Table<R>, filter: Input) {
    (table.filter, table.editing) = (filter, false);
    table.unmark();
}

/// Shows a section as it was left.
fn show(model: &mut Model, section: Section) -> Vec<Effect> {
    with_table!([&mut] model, table => table.editing = false);
    // Marks that nobody sees would be changed unseen.
    model.keys.unmark();
    (model.section, model.screen, model.details_top) = (section, Screen::List, 0);
    // These look at all of the store: they are read again when somebody asks, or now and then.
    let is_there = match section {
        Section::Safety => model.safety.loaded || model.safety.is_waiting(),
        Section::Health => model.health.loaded || model.health.is_waiting(),
        _ => false,
    };
    if is_there {
        return Vec::new();
    }
    let height = model.table_height();
    with_table!([&mut] model, table => table.enter(height)).into_iter().collect()
}

/// Shows a section that is narrowed in another way than before.
fn show_anew(model: &mut Model, section: Section) -> Vec<Effect> {
    (model.section, model.screen, model.details_top) = (section, Screen::List, 0);
    vec![restart(model)]
}

fn show_user(model: &mut Model, id: UserId) -> Vec<Effect> {
    narrow(&mut model.users, Input::new(id.to_string()));
    show_anew(model, Section::Users)
}

fn restart(model: &mut Model) -> Effect {
    with_table!([&mut] model, table => table.restart())
}

fn ask(model: &mut Model, confirm: Option<Confirm>) {
    model.dialog = confirm.map(Box::new).map(Dialog::Confirm);
}

/// Asks how often the key in the details was used, when that is another key than before, or was counted anew.
fn ask_for_usage(model: &mut Model, counted: bool) -> Option<Effect> {
    let (columns, rows) = model.size;
    let areas = layout::areas(Rect::new(0, 0, columns, rows), model.plain)?;
    let shown = model.section == Section::Keys && (areas.details.is_some() || model.screen == Screen::Details);
    let id = model.keys.selected().filter(|_| shown)?.id;
    match &mut model.usage {
        Some((known, _)) if *known == id && !counted => return None,
        Some((known, _)) if *known == id => {}
        usage => *usage = Some((id, Vec::new())),
    }
    Some(Effect::Usage(id))
}

/// Takes rows to their table, whichever is in view by now.
fn loaded(model: &mut Model, request: u64, start: usize, page: Page) -> Vec<Effect> {
    let height = model.table_height();
    let effect = match page {
        Page::Keys(page) => {
            let page = table::Page { rows: page.keys, next: page.next };
            model.keys.loaded(request, start, page, height)
        }
        Page::Counts(counts) => {
            let effect = model.safety.loaded(request, start, ConcernCount::page(&counts), height);
            model.counts = Some(counts);
            effect
        }
        Page::Users(page) => {
            let page = table::Page { rows: page.users, next: page.next };
            model.users.loaded(request, start, page, height)
        }
        Page::Sessions(page) => {
            let page = table::Page { rows: page.sessions, next: page.next };
            model.sessions.loaded(request, start, page, height)
        }
        Page::SigningKeys(rows) => model.signing_keys.loaded(request, start, table::Page { rows, next: None }, height),
        Page::Issuers(list) => {
            let page = table::Page { rows: list.issuers, next: None };
            model.issuers.loaded(request, start, page, height)
        }
        Page::Audit(page) => {
            let page = table::Page { rows: page.entries, next: page.next };
            model.audit.loaded(request, start, page, height)
        }
        Page::Health(rows) => model.health.loaded(request, start, table::Page { rows, next: None }, height),
        Page::SecurityEvents(page) => {
            let page = table::Page { rows: page.events, next: page.next };
            model.security_events.loaded(request, start, page, height)
        }
    };
    effect.into_iter().collect()
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
    if let Some(Dialog::Trial(trial)) = &mut model.dialog
        && let Some(taken) = trial.paste(pasted)
    {
        if let Err(problem) = taken {
            model.refuse(problem);
        }
        return Vec::new();
    }
    let filter = with_table!([&mut] model, table => table.editing.then_some(&mut table.filter));
    let field = match &mut model.dialog {
        Some(dialog) => dialog.text_field(),
        None => filter,
    };
    let Some(field) = field else {
        model.refuse("pasted text goes to text fields only · nothing was done");
        return Vec::new();
    };
    field.insert(pasted);
    if model.dialog.is_none() { vec![restart(model)] } else { Vec::new() }
}

fn step(model: &mut Model, by: isize) -> Vec<Effect> {
    let height = model.table_height();
    model.details_top = 0;
    with_table!([&mut] model, table => table.step(by, height)).into_iter().collect()
}

fn scroll_details(model: &mut Model, by: isize) {
    let width = usize::from(model.size.0.saturating_sub(4));
    let lines = with_table!([&] model, table => crate::view::count_details(table, model, width));
    let last = lines.saturating_sub(model.table_height());
    model.details_top = model.details_top.saturating_add_signed(by).min(last);
}

/// Sorts by a column; the same one again turns the order around. Times and numbers start with the
/// largest, texts with the smallest.
fn sort(model: &mut Model, column: SortColumn) {
    let choice = &mut model.keys.choice;
    choice.descending = if choice.sort == column {
        !choice.descending
    } else {
        matches!(column, SortColumn::CreatedAt | SortColumn::UpdatedAt | SortColumn::LastUsedAt | SortColumn::Uses)
    };
    choice.sort = column;
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
    // Counting looks at every key: at most once a second, and now and then because time goes by.
    if is_new && now.unix().is_multiple_of(COUNT_EVERY) {
        model.uncounted.get_or_insert(now);
    }
    if model.uncounted.take_if(|since| *since < now).is_some() && matches!(model.store, StoreState::Open { .. }) {
        let height = model.table_height();
        effects.extend(model.safety.refresh(height));
    }
    // Uses and security events are written by others, and leave no entry in the audit trail.
    if is_new && now.unix().is_multiple_of(USES_EVERY) {
        effects.extend(refresh(model));
    }
    effects
}

fn refresh(model: &mut Model) -> Vec<Effect> {
    if !matches!(model.store, StoreState::Open { .. }) {
        return Vec::new();
    }
    // These look at all of the store, and are asked for when somebody wants to know, or now and then.
    if matches!(model.section, Section::Safety | Section::Health) {
        return Vec::new();
    }
    let height = model.table_height();
    with_table!([&mut] model, table => table.refresh(height)).into_iter().collect()
}

fn rotated_key(model: &mut Model, rotated: keystile::RotatedKey) {
    let key = rotated.key;
    let Some(secret) = rotated.secret else {
        model.dialog = None;
        return;
    };
    let now = model.now;
    let old = key.retiring().last().map(|old| match (old.retires_at, old.pending_grace) {
        _ if old.has_ended(now) => "The old secret is refused from now on.".to_owned(),
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
/// How often keys are counted again when nothing has changed, in seconds.
const COUNT_EVERY: u64 = 60;
/// How often uses are read again, in seconds.
const USES_EVERY: u64 = 5;
