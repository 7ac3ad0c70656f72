//! A picture of a terminal, as SVG: text that can be read and searched, no fonts of its own, and a background
//! of its own, so that it is as readable on a light page as on a dark one.

use unicode_width::UnicodeWidthStr as _;
use vt100::{Cell, Color, Screen};

/// Draws what a terminal shows.
pub(crate) fn draw(screen: &Screen, title: &str) -> String {
    let (rows, columns) = screen.size();
    let (width, height) = (f64::from(columns) * CELL.0 + 2.0 * MARGIN, f64::from(rows) * CELL.1 + 2.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
         font-size=\"{FONT}\" fill=\"{FOREGROUND}\">\n",
        escaped(title)
    );
    text.push_str(&format!("<path d=\"{}\" fill=\"none\" stroke=\"{FOREGROUND}\" opacity=\"0.6\"/>\n", frames(screen)));
    for y in 0..rows {
        for run in runs(screen, y) {
            let (x, line) = (MARGIN + f64::from(run.x) * CELL.0, MARGIN + f64::from(y) * CELL.1);
            let long = run.columns as f64 * CELL.0;
            if let Some(colour) = run.style.background {
                text.push_str(&format!(
                    "<rect x=\"{x:.1}\" y=\"{line}\" width=\"{long:.1}\" height=\"{}\" fill=\"{colour}\"/>\n",
                    CELL.1
                ));
            }
            if run.text.trim().is_empty() {
                continue;
            }
            let mut style = String::new();
            if run.style.colour != FOREGROUND {
                style.push_str(&format!(" fill=\"{}\"", run.style.colour));
            }
            if run.style.bold {
                style.push_str(" font-weight=\"bold\"");
            }
            if run.style.dim {
                style.push_str(" opacity=\"0.6\"");
            }
            for (at, word) in parts(&run.text) {
                // Of the length that it has in the terminal, whichever font draws it.
                text.push_str(&format!(
                    "<text x=\"{:.1}\" y=\"{}\" textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\"{style}>{}</text>\n",
                    x + at as f64 * CELL.0,
                    line + BASELINE,
                    word.width() as f64 * CELL.0,
                    escaped(word)
                ));
            }
        }
    }
    text.push_str("</g>\n</svg>\n");
    text
}

/// The parts of a text between two or more spaces, each with its column: what draws it need not keep spaces.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let mut at = 0;
    for part in text.split("  ") {
        let word = part.trim();
        if !word.is_empty() {
            parts.push((at + part.width() - part.trim_start().width(), word));
        }
        at += part.width() + 2;
    }
    parts
}

/// The lines of frames. As characters they would have gaps where a font is less high than a line.
fn frames(screen: &Screen) -> String {
    let mut path = String::new();
    let (rows, columns) = screen.size();
    for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
        let Some(arms) = screen.cell(y, x).and_then(|cell| arms(cell.contents())) else { continue };
        let middle = (MARGIN + (f64::from(x) + 0.5) * CELL.0, MARGIN + (f64::from(y) + 0.5) * CELL.1);
        for (across, down) in arms {
            let (across, down) = (across * CELL.0 / 2.0, down * CELL.1 / 2.0);
            path.push_str(&format!("M{:.1} {:.1}l{across:.1} {down:.1}", middle.0, middle.1));
        }
    }
    path
}

/// Where the arms of a character of a frame go, from its middle.
fn arms(symbol: &str) -> Option<[(f64, f64); 2]> {
    let (left, right, up, down) = ((-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0));
    Some(match symbol {
        "─" => [left, right],
        "│" => [up, down],
        "┌" => [right, down],
        "┐" => [left, down],
        "└" => [right, up],
        "┘" => [left, up],
        _ => return None,
    })
}

/// Columns next to each other that look the same.
struct Run {
    x: u16,
    columns: usize,
    text: String,
    style: Style,
}

#[derive(PartialEq, Eq)]
struct Style {
    colour: &'static str,
    background: Option<&'static str>,
    bold: bool,
    dim: bool,
}

fn runs(screen: &Screen, y: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for x in 0..screen.size().1 {
        let Some(cell) = screen.cell(y, x).filter(|cell| !cell.is_wide_continuation()) else { continue };
        let symbol = if cell.has_contents() && arms(cell.contents()).is_none() { cell.contents() } else { " " };
        let style = style(cell);
        match runs.last_mut() {
            Some(run) if run.style == style => {
                run.text.push_str(symbol);
                run.columns += symbol.width();
            }
            _ => runs.push(Run { x, columns: symbol.width(), text: symbol.to_owned(), style }),
        }
    }
    runs
}

fn style(cell: &Cell) -> Style {
    let (colour, background) = (colour(cell.fgcolor()), colour(cell.bgcolor()));
    let (colour, background) = if cell.inverse() {
        (background.unwrap_or(BACKGROUND), Some(colour.unwrap_or(FOREGROUND)))
    } else {
        (colour.unwrap_or(FOREGROUND), background)
    };
    Style { colour, background, bold: cell.bold(), dim: cell.dim() }
}

/// The sixteen colours; the program asks for no others.
fn colour(colour: Color) -> Option<&'static str> {
    match colour {
        Color::Idx(index) => SIXTEEN.get(usize::from(index)).copied(),
        Color::Default | Color::Rgb(..) => None,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Width and height of a cell.
const CELL: (f64, f64) = (8.4, 18.0);
const FONT: u32 = 14;
/// From the top of a cell.
const BASELINE: f64 = 13.5;
const MARGIN: f64 = 12.0;
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#dcdfe4";
const SIXTEEN: [&str; 16] = [
    "#3b4048", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#dcdfe4", "#6b7280", "#ff7b86",
    "#b5e48c", "#ffd479", "#7cc4ff", "#d9a0ff", "#7fdbe6", "#ffffff",
];

#[test]
fn a_picture_has_the_text_and_the_colours() {
    let mut parser = vt100::Parser::new(2, 20, 0);
    parser.process("a<b> \x1b[32m● ok\x1b[0m \x1b[7minv\x1b[0m 日本".as_bytes());
    let picture = draw(parser.screen(), "a & b");
    assert!(picture.contains("<title>a &amp; b</title>") && picture.contains(">a&lt;b&gt;</text>"), "{picture}");
    assert!(picture.contains("fill=\"#98c379\">● ok</text>"), "{picture}");
    assert!(picture.contains("fill=\"#dcdfe4\"/>\n<text") && picture.contains(">inv</text>"), "{picture}");
    assert_eq!(parts(" a b   c    日 d "), [(1, "a b"), (7, "c"), (12, "日 d")]);
    assert!(!picture.contains("<style") && !picture.contains("http://www.w3.org/1999/xhtml"));
}
