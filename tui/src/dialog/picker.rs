//! Lists to choose from: help, commands, columns. All filter as one types.

use crossterm::event::{KeyCode, KeyEvent};
use keystile::SortColumn;

use super::Step;
use crate::action::{ACTIONS, Action, ActionId, Place};
use crate::input::Input;
use crate::model::Model;
use crate::theme::Role;
use crate::view::sheet::Sheet;

/// A list to choose from.
#[derive(Debug)]
pub(crate) struct Picker {
    /// What it lists.
    kind: PickerKind,
    /// What was typed.
    pub(crate) input: Input,
    selected: usize,
}

/// What a picker lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PickerKind {
    /// Every action, with what it does.
    Help,
    /// Every action, by its name.
    Palette,
    /// Columns to sort by.
    Sort,
}

#[derive(Clone, Copy)]
enum Item {
    Action(&'static Action),
    Column(SortColumn),
}

impl Picker {
    /// An unfiltered list.
    pub(crate) fn new(kind: PickerKind) -> Picker {
        Picker { kind, input: Input::default(), selected: 0 }
    }

    fn items(&self) -> Vec<Item> {
        let typed = self.input.text().to_lowercase();
        let typed = typed.trim();
        match self.kind {
            PickerKind::Help => ACTIONS.iter().filter(|action| is_in_help(action, typed)).map(Item::Action).collect(),
            PickerKind::Palette => {
                // What cannot be run by a name is in the help.
                let runs = |action: &&Action| action.place != Place::Secret && action.id != ActionId::Palette;
                let mut ranked: Vec<(usize, &Action)> = ACTIONS
                    .iter()
                    .filter(runs)
                    .filter_map(|action| rank(action, typed).map(|rank| (rank, action)))
                    .collect();
                ranked.sort_by_key(|(rank, _)| *rank);
                ranked.into_iter().map(|(_, action)| Item::Action(action)).collect()
            }
            PickerKind::Sort => SortColumn::ALL
                .iter()
                .filter(|column| column.as_str().contains(typed))
                .map(|column| Item::Column(*column))
                .collect(),
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent, model: &Model) -> Step {
        let items = self.items();
        let last = items.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc if self.input.text().is_empty() => return Step::Close,
            KeyCode::Esc => self.input = Input::default(),
            KeyCode::Enter => match items.get(self.selected.min(last)) {
                // What cannot be done stays on the screen, with the reason beside it.
                Some(Item::Action(action)) if action.check(model).is_ok() => return Step::Run(action.id),
                Some(Item::Column(column)) => return Step::Sort(*column),
                Some(Item::Action(_)) | None => {}
            },
            KeyCode::Down | KeyCode::Tab => self.selected = (self.selected + 1).min(last),
            KeyCode::Up | KeyCode::BackTab => self.selected = self.selected.saturating_sub(1),
            KeyCode::PageDown => self.selected = (self.selected + 10).min(last),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(10),
            _ => {
                let before = self.input.text().to_owned();
                self.input.key(key);
                if self.input.text() != before {
                    self.selected = 0;
                }
            }
        }
        Step::Stay
    }

    pub(super) fn sheet<'a>(&'a self, model: &'a Model, width: usize) -> Sheet<'a> {
        let (title, label) = match self.kind {
            PickerKind::Help => ("Help", "find"),
            PickerKind::Palette => ("Command", "name"),
            PickerKind::Sort => ("Sort by", "column"),
        };
        let mut sheet = Sheet::new(title, model, width);
        sheet.head(label, &self.input);
        let items = self.items();
        if items.is_empty() {
            sheet.text(Role::Faint, "nothing fits · delete some of it");
        }
        for (index, item) in items.iter().enumerate() {
            let selected = index == self.selected.min(items.len().saturating_sub(1));
            match item {
                Item::Action(action) => {
                    let reason = action.check(model).err();
                    let key = action.key();
                    let text = match &reason {
                        Some(reason) => format!("{key:<9}{:<17}{reason}", action.name),
                        None => format!("{key:<9}{:<17}{}", action.name, action.description),
                    };
                    sheet.row(&text, selected, if reason.is_some() { Role::Faint } else { Role::Text });
                }
                Item::Column(column) => {
                    let arrow = match (*column == model.keys.choice.sort, model.keys.choice.descending) {
                        (false, _) => "",
                        (true, true) => " ▼",
                        (true, false) => " ▲",
                    };
                    sheet.row(&format!("{column}{arrow}"), selected, Role::Text);
                }
            }
        }
        sheet.hint("type to filter · Enter runs · Esc back");
        if self.kind == PickerKind::Sort {
            sheet.hint("Enter sorts · the same again turns it");
        }
        sheet
    }
}

fn is_in_help(action: &Action, typed: &str) -> bool {
    let key = action.bindings().iter().any(|key| key.to_string().to_lowercase() == typed);
    key || action.name.to_lowercase().contains(typed) || action.description.to_lowercase().contains(typed)
}

/// How well a name fits what was typed, 0 best: its start, a part of it, its letters in order, a part of
/// its description.
fn rank(action: &Action, typed: &str) -> Option<usize> {
    let name = action.name.to_lowercase();
    if name.starts_with(typed) {
        return Some(0);
    }
    if name.contains(typed) {
        return Some(1);
    }
    let mut letters = name.chars();
    if typed.chars().all(|c| letters.any(|letter| letter == c)) {
        return Some(2);
    }
    action.description.to_lowercase().contains(typed).then_some(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_name_comes_first() {
        let names = |typed: &str| -> Vec<&str> {
            let picker = Picker { kind: PickerKind::Palette, input: Input::new(typed), selected: 0 };
            let name = |item: &Item| match item {
                Item::Action(action) => action.name,
                Item::Column(column) => column.as_str(),
            };
            picker.items().iter().map(name).collect()
        };
        assert_eq!(names("rev")[0], "revoke");
        assert_eq!(names("rvk"), ["revoke"]);
        assert_eq!(names("create"), ["new"]);
        assert_eq!(names("zzz"), [""; 0]);
    }

    #[test]
    fn the_help_lists_every_action() {
        let picker = Picker::new(PickerKind::Help);
        assert_eq!(picker.items().len(), ACTIONS.len());
    }
}
