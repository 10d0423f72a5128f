//! What is wrong with a file of rules, shown where it is.

use rhai::Position;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// The column, from 1; 0 when it is about the whole line.
    pub column: usize,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The line's text.
    pub text: String,
}

/// Bytes of a line that are shown.
const TEXT_BYTES_MAX: usize = 240;

impl LoadError {
    pub(crate) fn new(file: &str, script: &str, at: Position, message: impl Into<String>) -> Self {
        let line = at.line().unwrap_or(0);
        let text = line.checked_sub(1).and_then(|index| script.lines().nth(index)).unwrap_or_default();
        Self {
            file: file.to_owned(),
            line,
            column: at.position().unwrap_or(0),
            message: message.into(),
            text: text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned(),
        }
    }
}

impl LoadError {
    /// About a whole line.
    pub(crate) fn at_line(file: &str, script: &str, line: usize, message: impl Into<String>) -> Self {
        let at = Position::new(u16::try_from(line).unwrap_or(u16::MAX), 0);
        Self::new(file, script, at, message)
    }
}

impl std::error::Error for LoadError {}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, line, column, message, text } = self;
        match (line, column) {
            (0, _) => return write!(f, "{file}: {message}"),
            (_, 0) => writeln!(f, "{file}:{line}: {message}")?,
            _ => writeln!(f, "{file}:{line}:{column}: {message}")?,
        }
        let margin = " ".repeat(line.to_string().len());
        write!(f, "{margin} |\n{line} | {text}\n{margin} |")?;
        if *column > 0 {
            // Tabs stay tabs, so that the caret stands below its column in any terminal.
            let before = text.chars().take(column - 1).map(|c| if c == '\t' { c } else { ' ' });
            write!(f, " {}^", before.collect::<String>())?;
        }
        Ok(())
    }
}

/// Everything that is wrong with all files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadErrors(pub Vec<LoadError>);

impl std::error::Error for LoadErrors {}

impl std::fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}
