//! The file of the snapshots of a script, for people who read it in a diff: each has its name in brackets, and its text
//! below, four spaces to the right. Trailing newlines of a text do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The directory beside the script.
const DIR: &str = "__snapshots__";
const INDENT: &str = "    ";

/// The snapshots of one script, and what this run does with them.
#[derive(Debug)]
pub struct Snapshots {
    pub path: PathBuf,
    kept: BTreeMap<String, String>,
    /// Those that this run has asked for.
    used: BTreeSet<String>,
}

impl Snapshots {
    /// Where those of a script are.
    pub fn path_of(dir: &Path, script: &Path) -> PathBuf {
        dir.join(DIR).join(script.file_name().unwrap_or_default()).with_extension("snap")
    }

    /// Reads them; a file that is not there has none.
    ///
    /// # Errors
    /// Why it cannot be read, or what is wrong in which line.
    pub fn read(path: PathBuf) -> Result<Self, String> {
        let kept = match std::fs::read_to_string(&path) {
            Ok(text) => parse(&text).map_err(|line| {
                format!(
                    "{}:{line}: neither `[name]` nor a line of a snapshot, which begins with 4 spaces",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        Ok(Self { path, kept, used: BTreeSet::new() })
    }

    /// The text of a snapshot, which counts as asked for.
    pub fn get(&mut self, name: &str) -> Option<&str> {
        self.used.insert(name.to_owned());
        self.kept.get(name).map(String::as_str)
    }

    /// Keeps a text, at once: a run that is killed later has not lost it.
    ///
    /// # Errors
    /// Why the file cannot be written.
    pub fn put(&mut self, name: &str, text: &str) -> Result<(), String> {
        self.kept.insert(name.to_owned(), normal(text));
        self.write()
    }

    /// Those that nobody has asked for.
    pub fn unused(&self) -> Vec<String> {
        self.kept.keys().filter(|name| !self.used.contains(*name)).cloned().collect()
    }

    /// Removes those that nobody has asked for.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn remove_unused(&mut self) -> Result<(), String> {
        let used = std::mem::take(&mut self.used);
        self.kept.retain(|name, _| used.contains(name));
        self.used = used;
        self.write()
    }

    /// In one step, so that nobody meets half of it; a file of no snapshot goes.
    fn write(&self) -> Result<(), String> {
        let why = |error: std::io::Error| format!("{}: {error}", self.path.display());
        if self.kept.is_empty() {
            return match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(why(error)),
                _ => Ok(()),
            };
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir).map_err(why)?;
        let mut file = tempfile::Builder::new().permissions(mode()).tempfile_in(dir).map_err(why)?;
        file.write_all(text(&self.kept).as_bytes()).map_err(why)?;
        file.persist(&self.path).map(drop).map_err(|error| why(error.error))
    }
}

/// As any file that is created; the umask takes its part.
fn mode() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

/// A text as it is kept and compared.
pub fn normal(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    lines.join("\n").trim_end_matches('\n').to_owned()
}

fn text(snapshots: &BTreeMap<String, String>) -> String {
    let mut text =
        "# Written by assert_snapshot; --update (of bgjobs script, bgjobs test) writes it anew.\n".to_owned();
    for (name, snapshot) in snapshots {
        text.push_str(&format!("\n[{name}]\n"));
        for line in snapshot.split('\n') {
            let indent = if line.is_empty() { "" } else { INDENT };
            text.push_str(&format!("{indent}{line}\n"));
        }
    }
    text
}

/// The snapshots in a text, or the number of the line that is none.
fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    // Split as it was joined: a carriage return may be part of a line.
    for (line, number) in text.split('\n').zip(1..) {
        let name = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match (name, found.last_mut()) {
            (Some(name), _) => found.push((name.to_owned(), Vec::new())),
            (None, Some((_, lines))) if line.is_empty() => lines.push(""),
            (None, Some((_, lines))) => lines.push(line.strip_prefix(INDENT).ok_or(number)?),
            (None, None) if line.is_empty() || line.starts_with('#') => {}
            (None, None) => return Err(number),
        }
    }
    Ok(found.into_iter().map(|(name, lines)| (name, normal(&lines.join("\n")))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let texts = [
            ("a › b", "1"),
            ("[c]", "[d]\n    e\n\n\n# f\n"),
            ("empty", ""),
            ("blank first", "\n\nx"),
            ("r", "a\rb\r\n\r"),
        ];
        let all: BTreeMap<String, String> =
            texts.iter().map(|(name, text)| ((*name).to_owned(), normal(text))).collect();
        assert_eq!(parse(&text(&all)), Ok(all));
    }

    #[test]
    fn no_text_makes_the_reader_panic_and_all_come_back() {
        crate::fuzz::for_a_while("snapshot", |random| {
            let _ = parse(&random.text(60));
            let all = BTreeMap::from([("a".to_owned(), normal(&random.text(40)))]);
            assert_eq!(parse(&text(&all)).as_ref(), Ok(&all));
        });
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        assert_eq!(parse("# a\n\n[a]\n    b\nc\n"), Err(5));
        assert_eq!(parse("c\n"), Err(1));
        assert_eq!(parse(""), Ok(BTreeMap::new()));
    }
}
