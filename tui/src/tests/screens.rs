//! What the screen shows: at four sizes, in every theme, plain.

use clap::ValueEnum as _;
use ratatui::style::{Color, Modifier};

use super::support::{self, FAKE, keys, model, press, screen, styled, text};
use crate::message::{Effect, Message};
use crate::section::Section;
use crate::theme::Theme;
use crate::update::update;

const SIZES: [(u16, u16); 4] = [(120, 40), (80, 24), (40, 10), (20, 5)];

/// Each dialog by the keys that open it.
const DIALOGS: [(&str, &str); 12] = [
    ("keys", ""),
    ("details", "<Enter>"),
    ("help", "?"),
    ("palette", ":re"),
    ("revoke", "X"),
    ("suspend", "S"),
    ("rotate", "R"),
    ("new_key", "n"),
    ("trail", "a"),
    ("errors", "!"),
    ("try_credential", "T"),
    ("new_signing_key", "5R<BackTab><BackTab><Right><Right>"),
];

#[test]
fn screens_of_every_size() {
    for (name, pressed) in DIALOGS {
        for size in SIZES {
            let mut model = model(keys(), size, Theme::Default, false);
            press(&mut model, pressed);
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), text(&model));
        }
    }
}

#[test]
fn sections_of_every_size() {
    for (section, rows) in support::sections() {
        let name = section.title().to_lowercase().replace(' ', "_");
        for size in SIZES {
            let mut model = model(keys(), size, Theme::Default, false);
            let digit = Section::ALL.iter().position(|known| *known == section).unwrap() + 1;
            let asked = press(&mut model, &digit.to_string());
            let page = rows();
            if let Some(Effect::Load { request, start, .. }) = asked.last() {
                update(&mut model, Message::Loaded { request: *request, start: *start, page: Ok(page) });
            }
            insta::assert_snapshot!(format!("section_{name}_{}x{}", size.0, size.1), text(&model));
        }
    }
}

#[test]
fn the_dialog_of_a_secret_never_shows_it_unasked() {
    let secret = keystile::Secret::from("hx_live_0123456789abcdefghijklmnopqrstuvwxyz".to_owned());
    let created = keystile::CreatedKey { key: keys().remove(0), secret };
    let mut model = model(keys(), (80, 24), Theme::Default, false);
    update(&mut model, Message::Created(Box::new(Ok(created))));
    insta::assert_snapshot!("secret_hidden_80x24", text(&model));
}

#[test]
fn plain_screens_are_ascii_without_borders() {
    let mut ascii = keys();
    ascii.retain(|key| key.name.is_ascii());
    for (_, pressed) in DIALOGS {
        for size in SIZES {
            let mut model = model(ascii.clone(), size, Theme::Mono, true);
            press(&mut model, pressed);
            let shown = text(&model);
            assert!(shown.is_ascii(), "{pressed} {size:?}: {shown}");
        }
    }
    let mut model = model(ascii, (80, 24), Theme::Mono, true);
    insta::assert_snapshot!("plain_80x24", text(&model));
    model.read_only = Some("read-only · as asked");
    press(&mut model, "X");
    insta::assert_snapshot!("plain_read_only_80x24", text(&model));
}

#[test]
fn themes_color_the_state_and_mark_the_selection() {
    for theme in Theme::value_variants() {
        let shown = screen(&model(keys(), (80, 24), *theme, false));
        let row = (0..24).find(|y| shown[(3, *y)].symbol() == "●").unwrap();
        assert_eq!(shown[(1, row)].symbol(), ">", "{theme:?}");
        assert!(shown[(20, row)].modifier.contains(Modifier::REVERSED), "{theme:?}");
        let colour = shown[(3, row)].fg;
        let expected = match theme {
            Theme::Default => Color::Green,
            Theme::Mono => Color::Reset,
            Theme::Deuteranopia => Color::Blue,
            Theme::HighContrast => Color::LightGreen,
        };
        assert_eq!(colour, expected, "{theme:?}");
    }
    let mono = screen(&model(keys(), (120, 40), Theme::Mono, false));
    assert!(mono.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
}

#[test]
fn styles_of_every_theme() {
    for theme in Theme::value_variants() {
        let name = theme.to_possible_value().unwrap();
        let mut model = model(keys(), (80, 24), *theme, false);
        insta::assert_snapshot!(format!("styled_keys_{}", name.get_name()), styled(&model));
        let created = keystile::CreatedKey { key: keys().remove(0), secret: keystile::Secret::from(FAKE.to_owned()) };
        update(&mut model, Message::Created(Box::new(Ok(created))));
        press(&mut model, "s");
        insta::assert_snapshot!(format!("styled_secret_{}", name.get_name()), styled(&model));
    }
}

#[test]
fn names_are_shown_and_not_obeyed() {
    let shown = text(&model(keys(), (120, 40), Theme::Default, false));
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    assert!(shown.contains("Ærøskøbing 日本語"), "{shown}");
}
