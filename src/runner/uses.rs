//! Which files a script is made of: itself, what it imports, and the setups above it with what these import. Looks for
//! `import` in texts and evaluates nothing: a name that is computed is not seen, one in a comment is.

use crate::runner::setups::files_above;
use regex::Regex;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// By script, as it is called: all files that it is made of, without links.
pub type Uses = HashMap<PathBuf, BTreeSet<PathBuf>>;

/// What tells that a file has changed.
pub type Seen = HashMap<PathBuf, (Option<SystemTime>, u64)>;

pub fn uses(scripts: &[PathBuf], include: &[PathBuf]) -> Uses {
    let import = Regex::new(r#"\bimport\s*"([^"\n]+)""#).ok();
    let mut known: HashMap<PathBuf, Vec<PathBuf>> = HashMap::new();
    let mut imported = |file: &Path| -> Vec<PathBuf> {
        known.entry(file.to_owned()).or_insert_with(|| imports(file, include, import.as_ref())).clone()
    };
    let mut all = Uses::new();
    for script in scripts {
        let mut mine = BTreeSet::new();
        let mut to_look = files_above(script);
        to_look.extend(std::fs::canonicalize(script));
        while let Some(file) = to_look.pop() {
            if mine.insert(file.clone()) {
                to_look.extend(imported(&file));
            }
        }
        all.insert(script.clone(), mine);
    }
    all
}

/// The files that the text of another one names: beside it, or in the directories of `-I`.
fn imports(file: &Path, include: &[PathBuf], import: Option<&Regex>) -> Vec<PathBuf> {
    let (Some(import), Ok(text)) = (import, std::fs::read_to_string(file)) else { return Vec::new() };
    let beside = file.parent().unwrap_or(Path::new(""));
    let found = import.captures_iter(&text).filter_map(|found| {
        let name = &found[1];
        let mut dirs = std::iter::once(beside).chain(include.iter().map(PathBuf::as_path));
        dirs.find_map(|dir| {
            let plain = dir.join(name);
            let with_ending = dir.join(format!("{name}.rhai"));
            [with_ending, plain].into_iter().find(|path| path.is_file())
        })
    });
    found.filter_map(|path| std::fs::canonicalize(path).ok()).collect()
}

/// How all scripts of these directories, and these files, are now.
pub fn seen(dirs: &BTreeSet<PathBuf>, uses: &Uses) -> Seen {
    let is_script = |path: &PathBuf| path.extension().is_some_and(|end| end == "rhai");
    let listed = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let files: BTreeSet<PathBuf> =
        listed.map(|entry| entry.path()).filter(is_script).chain(uses.values().flatten().cloned()).collect();
    let state = |file: PathBuf| {
        let about = std::fs::metadata(&file).ok()?;
        let file = std::fs::canonicalize(file).ok()?;
        Some((file, (about.modified().ok(), about.len())))
    };
    files.into_iter().filter_map(state).collect()
}

/// The files that are in one and not, or not so, in the other.
pub fn changed(before: &Seen, now: &Seen) -> BTreeSet<PathBuf> {
    let differs = |(file, about): &(&PathBuf, &_)| before.get(*file) != Some(*about);
    let new = now.iter().filter(differs).map(|(file, _)| file.clone());
    new.chain(before.keys().filter(|file| !now.contains_key(*file)).cloned()).collect()
}

/// The scripts that are made of something that has changed, before or now, in their order.
pub fn affected(changed: &BTreeSet<PathBuf>, before: &Uses, now: &Uses, scripts: &[PathBuf]) -> Vec<PathBuf> {
    let of =
        |uses: &Uses, script: &PathBuf| uses.get(script).is_some_and(|files| !files.is_disjoint(changed));
    let is_meant = |script: &&PathBuf| of(before, script) || of(now, script);
    scripts.iter().filter(is_meant).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_change_reaches_the_users_of_a_file_and_all_below_a_setup() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| fs::canonicalize(dir.path()).expect("there").join(name);
        let write = |name: &str, text: &str| {
            fs::create_dir_all(path(name).parent().expect("a directory")).expect("made");
            fs::write(path(name), text).expect("written");
        };
        write("bgjobs.toml", "");
        write("_setup.rhai", "import \"lib/db\" as db;");
        write("lib/db.rhai", "import \"sql.rhai\" as sql;");
        write("lib/sql.rhai", "");
        write("own/.git/HEAD", "");
        write("own/a.rhai", "import \"helper\" as helper;\nimport \"std/http\" as http;");
        write("b.rhai", "import \"helper\" as helper;");
        write("inc/helper.rhai", "");
        let scripts = [path("own/a.rhai"), path("b.rhai")];
        let include = [path("inc")];
        let before = uses(&scripts, &include);
        let meant = |files: &[&str]| {
            let changed = files.iter().map(|name| path(name)).collect();
            affected(&changed, &before, &Uses::new(), &scripts)
        };
        assert_eq!(meant(&["own/a.rhai"]), scripts[..1]);
        assert_eq!(meant(&["inc/helper.rhai"]), scripts);
        assert_eq!(meant(&["lib/sql.rhai"]), scripts[1..]);
        assert_eq!(meant(&["_setup.rhai"]), scripts[1..]);
        assert!(meant(&["other.rhai"]).is_empty());
        let dirs = BTreeSet::from([path("")]);
        let then = seen(&dirs, &before);
        assert!(changed(&then, &seen(&dirs, &before)).is_empty());
        write("lib/sql.rhai", "longer");
        write("new.rhai", "");
        fs::remove_file(path("b.rhai")).expect("removed");
        let expected = ["b.rhai", "lib/sql.rhai", "new.rhai"].map(path);
        assert_eq!(changed(&then, &seen(&dirs, &before)), BTreeSet::from(expected));
    }
}
