//! The secret is shown once, and is nowhere after that.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::support::{Harness, NOW, at, lines};
use crate::message::Message;
use crate::view;

fn create(harness: &mut Harness) {
    harness.press("nci<BackTab><BackTab><BackTab>");
    assert!(harness.text().contains("> [ Create ]"), "{}", harness.text());
    harness.press("<Enter>");
}

/// All that cells hold, in order and without the spaces between lines.
fn bytes(buffer: &Buffer) -> String {
    buffer.content.iter().map(|cell| cell.symbol()).collect::<String>().replace(' ', "")
}

#[test]
fn it_is_hidden_until_asked_and_closes_only_after_it_was_taken() {
    let mut harness = Harness::new();
    create(&mut harness);
    assert!(harness.text().contains("(hidden)"), "{}", harness.text());
    // None of these closes it or quits: not even the word that it is stored, before it was taken.
    harness.press("y<Enter><Esc>q<Ctrl-C><Tab>n");
    assert!(harness.model.secret().is_some() && !harness.model.quit);
    harness.press("s");
    let shown = harness.text();
    assert!(shown.contains("ks_live_") && shown.contains("y I stored it"), "{shown}");
    harness.press("s");
    assert!(harness.text().contains("(hidden)"));
    harness.press("<Esc>q");
    assert!(harness.model.secret().is_some() && !harness.model.quit);
    harness.press("y");
    assert!(harness.model.secret().is_none());
}

#[test]
fn a_copy_is_the_secret_and_goes_away() {
    let mut harness = Harness::new();
    create(&mut harness);
    harness.press("c");
    let copied = harness.copied.clone();
    assert!(harness.keystile.verify(&copied[0], &harness.keystile.request()).is_allow());
    harness.press("y");
    harness.take(Message::Now(at(NOW + 29)));
    assert_eq!(harness.copied.len(), 1);
    harness.take(Message::Now(at(NOW + 30)));
    assert!(harness.copied.is_empty());
    // Who leaves earlier leaves nothing behind either.
    create(&mut harness);
    harness.press("cyq");
    assert!(harness.model.quit && harness.copied.is_empty());
}

#[test]
fn after_the_dialog_no_buffer_holds_it() {
    for size in [(120, 40), (40, 10)] {
        let mut harness = Harness::new();
        harness.model.size = size;
        create(&mut harness);
        harness.press("cs");
        let secret = harness.copied[0].clone();
        // The display form is the first characters; the rest must be nowhere.
        let rest = secret[secret.len() - 12..].to_owned();
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal.draw(|frame| view::draw(&harness.model, frame)).unwrap();
        let shown = bytes(terminal.backend().buffer());
        assert!(shown.contains(&rest[..4]), "it was on the screen: {}", lines(terminal.backend().buffer()));
        harness.press("y");
        let drawn = terminal.draw(|frame| view::draw(&harness.model, frame)).unwrap();
        let drawn = bytes(drawn.buffer);
        let next = bytes(terminal.current_buffer_mut());
        let screen = bytes(terminal.backend().buffer());
        for (name, buffer) in [("drawn", drawn), ("next", next), ("screen", screen)] {
            assert!(!buffer.contains(&rest[..4]), "{name} at {size:?}");
        }
    }
}

#[test]
fn no_debug_output_holds_it() {
    let mut harness = Harness::new();
    create(&mut harness);
    harness.press("cs");
    let secret = harness.copied[0].clone();
    let model = format!("{:?}", harness.model);
    assert!(model.contains("Secret(…)") && !model.contains(&secret[secret.len() - 12..]));
}

#[test]
fn a_file_is_written_for_its_owner_only() {
    let mut harness = Harness::new();
    create(&mut harness);
    harness.press("w");
    assert!(harness.text().contains(".secret"), "{}", harness.text());
    // Keys are text here, not actions; Esc leaves the file alone.
    harness.press("ys<Esc>");
    assert!(harness.model.secret().is_some());
    harness.press("y");
    assert!(harness.model.secret().is_some(), "nothing was written");
    harness.take(Message::SecretWritten(Err("x already exists · give another path".to_owned())));
    harness.press("y");
    assert!(harness.model.secret().is_some() && harness.text().contains("already exists"));
    harness.take(Message::SecretWritten(Ok("a.secret".into())));
    harness.press("y");
    assert!(harness.model.secret().is_none());
}
