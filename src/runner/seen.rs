//! The tests that the scripts have had, read from what was recorded: whether one was among those that were asked for, and
//! whether one has the option `only`. Runs nothing.

use crate::event::Failure;
use crate::handed::SETUP;
use crate::select::{Known, Select};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::FileExt;

#[derive(Default)]
pub struct Seen {
    /// How much of the record has been read.
    read: u64,
    known: Vec<Known>,
    /// By script and try: those that have had a test that was asked for, and those with `only`.
    selected: Vec<(String, u64)>,
    only: Vec<(String, u64)>,
}

impl Seen {
    /// Whether a try of a script has had a test that was asked for, and whether one has `only`. What cannot be read has
    /// not happened.
    pub fn of(&mut self, record: &File, script: &str, number: u32) -> (bool, bool) {
        self.look(record);
        let has =
            |list: &[(String, u64)]| list.iter().any(|(name, at)| name == script && *at == u64::from(number));
        (has(&self.selected), has(&self.only))
    }

    /// Reads the whole lines that have come since; others write at the end of the file meanwhile.
    fn look(&mut self, record: &File) {
        let length = record.metadata().map_or(0, |it| it.len());
        let mut bytes = vec![0; usize::try_from(length.saturating_sub(self.read)).unwrap_or(0)];
        if record.read_exact_at(&mut bytes, self.read).is_err() {
            return;
        }
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        for line in bytes[..whole].split(|byte| *byte == b'\n') {
            let Ok(event) = serde_json::from_slice::<Value>(line) else { continue };
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let of = || (text("script"), event["try"].as_u64().unwrap_or_default());
            if std::path::Path::new(&text("script")).ends_with(SETUP) {
                continue;
            }
            match event["event"].as_str() {
                Some("test") => {
                    if event["selected"] == true {
                        self.selected.push(of());
                    }
                    let tags = event["tags"].as_array().into_iter().flatten();
                    let tags = tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
                    self.known.push(Known { script: text("script"), test: text("name"), tags });
                }
                Some("run_ended") if event["only"] == true => self.only.push(of()),
                _ => {}
            }
        }
    }

    /// What is wrong when tests were asked for and there was none of them.
    pub fn wrong(&self, select: &Select) -> Option<Failure> {
        let any = || self.known.iter().any(|test| select.takes(test));
        (!select.is_all() && self.selected.is_empty() && !any()).then(|| select.nothing(&self.known))
    }
}
