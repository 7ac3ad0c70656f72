//! The secret is shown once, and is nowhere after that.

use std::mem::size_of;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};

use super::support::{FAKE, Harness, NOW, at, lines, model_with_a_secret, press, text};
use crate::message::{Effect, Message};
use crate::terminal::Frames;
use crate::update::update;
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
    assert!(shown.contains("ks_live_") && shown.contains("y stored it"), "{shown}");
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
    harness.take(Message::SecretSeen);
    harness.press("y");
    assert!(harness.model.secret().is_none());
}

#[test]
fn a_paste_without_its_marks_does_not_close_it() {
    for pasted in ["sy", "cyq", "scyyyyq"] {
        let mut model = model_with_a_secret();
        press(&mut model, pasted);
        assert!(model.secret().is_some() && !model.quit, "{pasted}");
        let toast = model.toast.as_ref().map(|toast| toast.text.as_str());
        let left = pasted.ends_with('q');
        assert!(left || toast.is_some_and(|text| text.contains("look at it, then press y")), "{pasted}: {toast:?}");
        assert!(!text(&model).contains("y stored it"), "what is refused is not offered: {}", text(&model));
        update(&mut model, Message::SecretSeen);
        assert!(text(&model).contains("y stored it"), "{}", text(&model));
        press(&mut model, "y");
        assert!(model.secret().is_none(), "{pasted}");
    }
    // That a screen was looked at says nothing while nothing was taken.
    let mut model = model_with_a_secret();
    update(&mut model, Message::SecretSeen);
    press(&mut model, "sy");
    assert!(model.secret().is_some());
}

#[test]
fn enter_twice_writes_one_file() {
    let mut model = model_with_a_secret();
    let effects = press(&mut model, "w<Enter><Enter><Esc>w<Enter>");
    assert!(matches!(effects.as_slice(), [Effect::WriteSecret { .. }]), "{effects:?}");
    update(&mut model, Message::SecretWritten(Ok("a.secret".into())));
    assert!(text(&model).contains("Written to a.secret"), "{}", text(&model));
    assert!(model.errors.is_empty() && model.secret().is_some_and(|secret| secret.was_taken()));
}

/// The bytes at a place of this process, whatever is there now; none where nothing is.
#[cfg(target_os = "linux")]
fn raw((address, len): (usize, usize)) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;
    let mut bytes = vec![0; len];
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    match memory.read_exact_at(&mut bytes, address as u64) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

/// Where the cells of both frames are.
fn places(frames: &mut Frames<TestBackend>) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    for _ in 0..2 {
        let cells = &frames.terminal.current_buffer_mut().content;
        places.push((cells.as_ptr() as usize, cells.capacity() * size_of::<Cell>()));
        frames.terminal.swap_buffers();
    }
    places
}

#[test]
#[cfg(target_os = "linux")]
fn no_cell_of_a_frame_that_is_over_holds_it() {
    // On one line at every width.
    let part = &FAKE.as_bytes()[12..24];
    let holds = |places: &[(usize, usize)]| {
        places.iter().any(|place| {
            let bytes = raw(*place);
            let at = |at: usize, index: usize| bytes.get(at + index * size_of::<Cell>());
            (0..bytes.len()).any(|start| part.iter().enumerate().all(|(index, byte)| at(start, index) == Some(byte)))
        })
    };
    type Change = fn(&mut crate::model::Model, &mut Frames<TestBackend>);
    fn resize(model: &mut crate::model::Model, frames: &mut Frames<TestBackend>, size: (u16, u16)) {
        model.size = size;
        frames.terminal.backend_mut().resize(size.0, size.1);
        frames.draw(model).unwrap();
    }
    fn close(model: &mut crate::model::Model, frames: &mut Frames<TestBackend>) {
        update(model, Message::SecretSeen);
        press(model, "y");
        frames.draw(model).unwrap();
    }
    let changes: [(&str, (u16, u16), Change); 5] = [
        ("closed", (80, 24), close),
        ("hidden", (80, 24), |model, frames| {
            press(model, "s");
            frames.draw(model).unwrap();
        }),
        ("left", (80, 24), |_, frames| frames.wipe()),
        ("larger", (40, 10), |model, frames| {
            resize(model, frames, (120, 40));
            close(model, frames);
        }),
        ("smaller", (120, 40), |model, frames| {
            resize(model, frames, (40, 10));
            close(model, frames);
        }),
    ];
    for (name, size, change) in changes {
        let mut model = model_with_a_secret();
        model.size = size;
        let mut frames = Frames::new(Terminal::new(TestBackend::new(size.0, size.1)).unwrap());
        let mut all = places(&mut frames);
        frames.draw(&model).unwrap();
        press(&mut model, "s");
        // More than one frame, as it is when the time goes on.
        for _ in 0..3 {
            frames.draw(&model).unwrap();
        }
        assert!(holds(&all), "it can be found where it is: {name}");
        change(&mut model, &mut frames);
        assert!(!holds(&all), "{name}");
        all = places(&mut frames);
        assert!(!holds(&all), "{name}, where the cells are now");
    }
}
