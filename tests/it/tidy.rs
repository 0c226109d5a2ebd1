//! What is not code but must hold: the layers, the documentation, the lists.

use crate::support::{bgjobs, repo};
use std::path::{Path, PathBuf};
use std::process::Command;

fn files(dir: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![repo(dir)];
    while let Some(dir) = queue.pop() {
        for path in std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                queue.push(path);
            } else if path.extension().is_some_and(|extension| extension == end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("readable")
}

/// The room that a source file is in: the first folder below src, or its own name.
fn room(path: &Path) -> String {
    let relative = path.strip_prefix(repo("src")).expect("below src");
    let first = relative.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// What each room may import, besides itself. The map in src/main.rs says what they are for.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["cli", "guard", "host", "mock", "report", "run", "starter", "sweep", "doctor"]),
    ("starter", &["builtin", "cli", "event", "exit", "host", "report", "words"]),
    ("cli", &["builtin", "exit", "isolate", "words"]),
    ("api", &["words"]),
    ("builtin", &[]),
    ("manual", &[]),
    ("words", &["sys"]),
    ("guard", &["cli", "event", "exit", "isolate", "jobs", "report", "run", "rundir", "runs", "sys"]),
    ("run", &["cli", "event", "exit", "host", "jobs", "report", "rundir", "runs", "suite", "sys"]),
    ("doctor", &["cli", "exit", "isolate", "jobs", "report", "rundir", "sys"]),
    ("sweep", &["cli", "exit", "jobs", "report", "rundir", "runs", "sys"]),
    ("runs", &["jobs", "rundir", "sys"]),
    ("rundir", &["sys"]),
    ("isolate", &["sys"]),
    ("mock", &["exit", "probe"]),
    ("report", &["cli", "event", "exit", "isolate", "jobs", "manual", "secret", "sys", "words"]),
    (
        "host",
        &[
            "api", "builtin", "cli", "event", "exit", "jobs", "manual", "mock", "probe", "rundir", "secret",
            "suite", "words",
        ],
    ),
    ("probe", &["jobs"]),
    ("jobs", &["event", "secret", "sys", "words"]),
    ("secret", &["sys"]),
    ("suite", &["event"]),
    ("event", &["sys"]),
    // Only for the tests, in which every room may use it.
    ("fuzz", &["cli", "exit", "fuzz", "host", "report"]),
    ("exit", &[]),
    ("sys", &[]),
];

#[test]
fn imports_point_downward_only() {
    let import = regex::Regex::new(r"crate::(\w+)").expect("a pattern");
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let room = room(&path);
        let allowed = MAY_IMPORT.iter().find(|(name, _)| *name == room).map(|(_, list)| *list);
        let allowed = allowed.unwrap_or_else(|| panic!("`{room}` is not in the list of rooms"));
        for found in import.captures_iter(&read(&path)) {
            let other = &found[1];
            if other != room && other != "fuzz" && !allowed.contains(&other) {
                wrong.push(format!("{} imports {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_its_own_folder_touches_rhai_and_unsafe() {
    for path in files("src", "rs") {
        let text = read(&path);
        if room(&path) != "host" {
            assert!(!text.contains("rhai::"), "{} uses rhai", path.display());
        }
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if room(&path) != "sys" {
            let uses = code.filter(|line| line.contains("unsafe {") || line.contains("unsafe fn")).count();
            assert_eq!(uses, 0, "{} uses unsafe", path.display());
        }
    }
}

/// A wall clock jumps. All bounds are kept on CLOCK_MONOTONIC, by `sys::clock`.
#[test]
fn no_bound_is_kept_on_a_clock_that_jumps() {
    // These keep none: when a run was started, for people; which kept directory is the oldest; whether an unlocked
    // cgroup is older than the moment before its lock; a mock's own log.
    let allowed =
        ["src/sys/page.rs", "src/runs.rs", "src/report/runs.rs", "src/jobs/cgroup.rs", "src/mock.rs"];
    for path in files("src", "rs").into_iter().filter(|path| !allowed.iter().any(|end| path.ends_with(end))) {
        let text = read(&path);
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let clock = ["SystemTime", "Instant", "UNIX_EPOCH", "CLOCK_REALTIME", "gettimeofday"];
            assert!(!clock.iter().any(|word| line.contains(word)), "{}: {line}", path.display());
        }
    }
}

#[test]
fn every_source_file_says_what_it_is() {
    for path in files("src", "rs").into_iter().chain(files("tests/it", "rs")) {
        assert!(read(&path).starts_with("//!"), "{} has no header", path.display());
    }
}

#[test]
fn every_function_is_documented_with_an_example() {
    let api = Command::new(bgjobs()).args(["api", "--all"]).output().expect("bgjobs starts");
    let api = String::from_utf8_lossy(&api.stdout).into_owned();
    assert!(api.contains("```rhai"), "{api}");
    // A property needs a sentence, a function an example as well; overloads may leave both to the first one.
    let mut documented: std::collections::BTreeMap<String, bool> = std::collections::BTreeMap::new();
    let named = regex::Regex::new(r#"(name|get) = "([a-z_]+)""#).expect("a pattern");
    for path in files("src/host", "rs") {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in
            lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("#[rhai_fn("))
        {
            let Some(found) = named.captures(line) else { continue };
            let (property, name) = (&found[1] == "get", &found[2]);
            if matches!(name, "to_string" | "to_debug") {
                continue;
            }
            let doc: Vec<&str> = lines[..i]
                .iter()
                .rev()
                .take_while(|line| line.trim_start().starts_with("///"))
                .copied()
                .collect();
            let sentence = doc.iter().any(|line| line.contains(". ") || line.trim_end().ends_with('.'));
            let example = doc.iter().any(|line| line.contains("```rhai") || line.contains("error"));
            let key = format!("{}: {}{name}", path.display(), if property { "." } else { "" });
            *documented.entry(key).or_default() |= sentence && (property || example);
        }
    }
    assert!(documented.len() > 100, "{documented:?}");
    let without: Vec<&String> = documented.iter().filter(|(_, done)| !**done).map(|(name, _)| name).collect();
    assert!(without.is_empty(), "without a sentence or an example: {without:#?}");
}

#[test]
fn every_module_of_the_standard_library_is_built_in() {
    let embedded = read(&repo("src/builtin.rs"));
    for path in files("stdlib", "rhai") {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(embedded.contains(&format!("stdlib/{name}")), "{name} is not in src/builtin.rs");
        assert!(read(&path).starts_with("//!"), "{name} has no header");
    }
}

#[test]
fn every_scenario_script_is_built_in() {
    let embedded = read(&repo("src/builtin.rs"));
    let listed = Command::new(bgjobs()).args(["scripts", "--json"]).output().expect("bgjobs starts");
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let listed = listed.as_array().expect("an array");
    let files = files("scripts", "rhai");
    assert_eq!(files.len(), listed.len(), "{listed:#?}");
    for (path, it) in files.iter().zip(listed) {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(embedded.contains(&format!("scripts/{name}.rhai")), "{name} is not in src/builtin.rs");
        assert_eq!(it["name"], name.as_str(), "src/builtin.rs is in the order of the names");
        assert!(it["sentence"].as_str().is_some_and(|text| text.ends_with('.')), "{name} has no sentence");
        for param in it["params"].as_array().expect("an array") {
            let help = param["help"].as_str().expect("a string");
            assert!(!help.is_empty(), "{name}: --{} has no help", param["name"]);
        }
    }
}

#[test]
fn the_changelog_knows_this_version() {
    let changelog = read(&repo("CHANGELOG.md"));
    let version = env!("CARGO_PKG_VERSION");
    assert!(changelog.contains("## Unreleased") || changelog.contains(&format!("## {version}")));
}
