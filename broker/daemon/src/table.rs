//! Tables for people: aligned columns under a head, as wide as they have to be.

use std::fmt::Write as _;

use rustix::termios::tcgetwinsize;

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// See the module's description. The last column is not padded.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The table; the last column is cut where a line is longer than `width`, if there is one.
    pub(crate) fn print(&self, width: Option<usize>) -> String {
        let head: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(&self.rows).collect();
        let width_of = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| chars(cell)).max();
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| width_of(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for line in lines {
            let mut shown = String::new();
            for (index, (cell, (_, align))) in line.iter().zip(&self.columns).enumerate() {
                let is_last = index + 1 == self.columns.len();
                let pad = widths.get(index).copied().unwrap_or(0).saturating_sub(chars(cell));
                let gap = if index == 0 { "" } else { "  " };
                let _a_string_takes_all = match align {
                    Align::Right => write!(shown, "{gap}{:pad$}{cell}", ""),
                    Align::Left if is_last => write!(shown, "{gap}{cell}"),
                    Align::Left => write!(shown, "{gap}{cell}{:pad$}", ""),
                };
            }
            text.push_str(&width.map_or_else(|| shown.clone(), |width| cut(&shown, width)));
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }
}

/// How wide the terminal is; `None` where standard output is none.
pub(crate) fn terminal_width() -> Option<usize> {
    let size = tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

/// What a terminal can show of a text: one line, and nothing that moves the cursor.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            character if character.is_control() => {
                let _a_string_takes_all = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            character => shown.push(character),
        }
    }
    shown
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: &str, width: usize) -> String {
    if chars(text) <= width {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(width.saturating_sub(1)).collect();
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_cut() {
        let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right), ("TEXT", Align::Left)]);
        table.row(vec!["a".to_owned(), "12".to_owned(), "short".to_owned()]);
        table.row(vec!["längst".to_owned(), "7".to_owned(), "much too long".to_owned()]);
        assert_eq!(table.print(None), "NAME     N  TEXT\na       12  short\nlängst   7  much too long\n");
        assert_eq!(table.print(Some(18)), "NAME     N  TEXT\na       12  short\nlängst   7  much …\n");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(plain("a\nb\t\u{1b}[2J\r\u{9b}"), "a\\nb\\t\\u{1b}[2J\\r\\u{9b}");
    }
}
