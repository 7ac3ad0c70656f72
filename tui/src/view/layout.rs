//! Where things go on a terminal of any size.

use ratatui::layout::Rect;

/// The smallest terminal that shows anything.
pub(crate) const SMALLEST: (u16, u16) = (40, 10);
const TABLE: (u16, u16) = (80, 24);
const WIDE: (u16, u16) = (100, 30);

/// Where things go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Areas {
    /// The line at the top.
    pub(crate) header: Rect,
    /// The table, with its frame.
    pub(crate) list: Rect,
    /// The details beside the table, with their frame.
    pub(crate) details: Option<Rect>,
    /// The line at the bottom.
    pub(crate) bar: Rect,
    /// Whether parts have borders; else a title line.
    pub(crate) borders: bool,
}

/// Whether a terminal is too small for anything but a word about that.
pub(crate) fn is_too_small((width, height): (u16, u16)) -> bool {
    width < SMALLEST.0 || height < SMALLEST.1
}

/// Three layouts: table and details, table, list.
pub(crate) fn areas(area: Rect, plain: bool) -> Option<Areas> {
    let size = (area.width, area.height);
    if is_too_small(size) {
        return None;
    }
    let fits = |(width, height): (u16, u16)| area.width >= width && area.height >= height;
    let header = Rect { height: 1, ..area };
    let bar = Rect { y: area.y + area.height - 1, height: 1, ..area };
    let main = Rect { y: area.y + 1, height: area.height - 2, ..area };
    let (list, details) = if fits(WIDE) {
        let left = area.width / 5 * 3;
        let list = Rect { width: left, ..main };
        (list, Some(Rect { x: main.x + left, width: main.width - left, ..main }))
    } else {
        (main, None)
    };
    Some(Areas { header, list, details, bar, borders: fits(TABLE) && !plain })
}

/// What is inside a frame: without its borders, or without its title line.
pub(crate) fn inside(frame: Rect, borders: bool) -> Rect {
    if borders {
        Rect {
            x: frame.x + 1,
            y: frame.y + 1,
            width: frame.width.saturating_sub(2),
            height: frame.height.saturating_sub(2),
        }
    } else {
        Rect { y: frame.y + 1, height: frame.height.saturating_sub(1), ..frame }
    }
}

/// Rows of the table that are in view: what is inside its frame, but for the names of the columns.
pub(crate) fn table_height((width, height): (u16, u16), plain: bool) -> usize {
    areas(Rect::new(0, 0, width, height), plain)
        .map_or(1, |areas| usize::from(inside(areas.list, areas.borders).height.saturating_sub(1)))
}

/// Where a dialog of so many lines goes: in the middle, or everywhere when there is little room.
pub(crate) fn dialog(area: Rect, lines: usize, borders: bool) -> Rect {
    let frame = if borders { 3 } else { 2 };
    let width = if area.width >= TABLE.0 { area.width.min(84).saturating_sub(8) } else { area.width };
    let wanted = u16::try_from(lines.saturating_add(frame)).unwrap_or(u16::MAX);
    let height = wanted.min(area.height);
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// Columns of text in a dialog.
pub(crate) fn dialog_columns(area: Rect, borders: bool) -> usize {
    usize::from(inside(dialog(area, 1, borders), borders).width.saturating_sub(if borders { 2 } else { 0 }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_are_inside_and_apart_at_every_size(width in 0_u16..400, height in 0_u16..200, plain: bool) {
            let area = Rect::new(0, 0, width, height);
            match areas(area, plain) {
                None => prop_assert!(width < 40 || height < 10),
                Some(areas) => {
                    let parts: Vec<Rect> =
                        [Some(areas.header), Some(areas.list), areas.details, Some(areas.bar)].into_iter().flatten().collect();
                    let cells: u32 = parts.iter().map(|part| part.area()).sum();
                    prop_assert_eq!(cells, area.area(), "together they are the screen");
                    for (index, part) in parts.iter().enumerate() {
                        prop_assert_eq!(part.intersection(area), *part);
                        for other in &parts[index + 1..] {
                            prop_assert!(!part.intersects(*other));
                        }
                        let inner = inside(*part, areas.borders);
                        prop_assert!(inner.is_empty() || inner.intersection(*part) == inner);
                    }
                    prop_assert!(table_height((width, height), plain) >= 5);
                    prop_assert_eq!(areas.details.is_some(), width >= 100 && height >= 30);
                }
            }
        }

        #[test]
        fn dialogs_are_inside_at_every_size(width in 0_u16..400, height in 0_u16..200, lines in 0_usize..500, borders: bool) {
            let area = Rect::new(0, 0, width, height);
            let dialog = dialog(area, lines, borders);
            prop_assert_eq!(dialog.intersection(area), dialog);
        }
    }
}
