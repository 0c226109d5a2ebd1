//! What is not code but must hold: the layers, the documentation, the lists.

use crate::support::{bgjobs, repo};
use std::collections::{BTreeMap, BTreeSet};
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
    (
        "main",
        &[
            "cli", "ctl", "guard", "host", "logs", "mock", "recorded", "report", "run", "runner", "starter",
            "sweep", "sys", "doctor", "up",
        ],
    ),
    ("starter", &["builtin", "cli", "event", "exit", "host", "report", "words"]),
    ("up", &["cli", "envfile", "event", "exit", "report", "sys", "words"]),
    ("runner", &["cli", "event", "exit", "guard", "handed", "isolate", "report", "select", "sys", "words"]),
    ("recorded", &["cli", "event", "exit", "jobs", "report"]),
    ("envfile", &["words"]),
    ("handed", &[]),
    ("cli", &["ask", "builtin", "event", "exit", "handed", "isolate", "select", "words"]),
    ("select", &["event", "exit", "words"]),
    ("ask", &["event"]),
    ("ctl", &["ask", "cli", "event", "exit", "jobs", "report", "rundir", "runs", "sys", "words"]),
    ("api", &["words", "builtin", "lock"]),
    ("builtin", &[]),
    ("manual", &[]),
    ("words", &["sys"]),
    ("guard", &["cli", "end", "event", "exit", "isolate", "jobs", "report", "run", "rundir", "sys"]),
    (
        "run",
        &[
            "cli", "end", "event", "exit", "host", "jobs", "report", "rundir", "select", "spans", "suite",
            "sys",
        ],
    ),
    ("doctor", &["cli", "end", "exit", "isolate", "jobs", "report", "rundir", "sys"]),
    ("logs", &["cli", "event", "exit", "jobs", "report", "rundir", "runs", "sys", "words"]),
    ("sweep", &["cli", "end", "exit", "jobs", "report", "rundir", "runs", "sys"]),
    ("end", &["cli", "jobs", "rundir", "runs", "sys"]),
    ("runs", &["jobs", "rundir", "sys"]),
    ("rundir", &["sys"]),
    ("isolate", &["sys"]),
    ("mock", &["exit", "lock", "probe", "words"]),
    ("issuer", &[]),
    (
        "report",
        &[
            "ask", "cli", "event", "exit", "isolate", "jobs", "manual", "pending", "secret", "spans", "sys",
            "words",
        ],
    ),
    (
        "host",
        &[
            "api", "ask", "builtin", "cli", "envfile", "event", "exit", "handed", "issuer", "jobs", "lock",
            "manual", "mock", "pending", "probe", "rundir", "secret", "select", "snapshot", "spans", "suite",
            "words",
        ],
    ),
    ("probe", &["jobs", "lock", "pending"]),
    ("jobs", &["event", "lock", "pending", "secret", "sys", "words"]),
    ("secret", &["sys"]),
    ("snapshot", &[]),
    ("suite", &["event"]),
    ("event", &["pending", "sys"]),
    ("pending", &["lock", "sys"]),
    // Only for the tests, in which every room may use it.
    ("fuzz", &["cli", "exit", "fuzz", "host", "report"]),
    ("exit", &[]),
    ("spans", &["sys"]),
    ("lock", &[]),
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

/// The name of a source file as a module: `jobs::table`; a `mod.rs` has that of its folder, and a child of it is a file
/// like others.
fn module(path: &Path) -> String {
    let relative = path.strip_prefix(repo("src")).expect("below src").with_extension("");
    let name = relative.to_string_lossy().replace('/', "::");
    name.trim_end_matches("::mod").to_owned()
}

/// The code of a file: without comments, and without its unit tests, which may use what stands above it.
fn code(path: &Path) -> String {
    let text = read(path);
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that the tree of a `use` names: `a::{b, c::d}` → `a::b`, `a::c::d`.
fn paths(before: &str, tree: &str, found: &mut Vec<String>) {
    let Some((start, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        found.push(format!("{before}{path}"));
        return;
    };
    let before = format!("{before}{}", start.trim());
    let (mut depth, mut from) = (0, 0);
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                paths(&before, &rest[from..at], found);
                from = at + 1;
            }
            '}' if depth == 0 => {
                paths(&before, &rest[from..at], found);
                return;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
}

/// Which modules each module imports, by `use` or by a path in its code.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let files = files("src", "rs");
    let modules: BTreeSet<String> = files.iter().map(|path| module(path)).collect();
    let used = regex::Regex::new(r"\buse ([^;]+);").expect("a pattern");
    let inline = regex::Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").expect("a pattern");
    let child = regex::Regex::new(r"\bmod (\w+);").expect("a pattern");
    let bare = regex::Regex::new(r"(?:^|[^:\w])(\w+)::").expect("a pattern");
    let mut all = BTreeMap::new();
    for path in &files {
        let (me, code) = (module(path), code(path));
        let mut named: Vec<String> = inline.find_iter(&code).map(|found| found.as_str().to_owned()).collect();
        for tree in used.captures_iter(&code) {
            paths("", &tree[1], &mut named);
        }
        // A child is also meant by its name alone.
        let children: BTreeSet<&str> =
            child.captures_iter(&code).filter_map(|found| found.get(1)).map(|name| name.as_str()).collect();
        let bare = bare.captures_iter(&code).map(|found| found[1].to_owned());
        named.extend(bare.filter(|name| children.contains(name.as_str())));
        let mut mine = BTreeSet::new();
        for name in named {
            let mut words: Vec<&str> = name.split("::").filter(|word| !word.is_empty()).collect();
            let mut place: Vec<&str> = me.split("::").filter(|name| *name != "main").collect();
            match words.first() {
                Some(&"crate") => {
                    place.clear();
                    words.remove(0);
                }
                Some(&"self") => drop(words.remove(0)),
                Some(&"super") => {
                    while words.first() == Some(&"super") {
                        words.remove(0);
                        place.pop();
                    }
                }
                // A child of this `mod.rs`, or another crate.
                _ => {}
            }
            place.extend(words);
            // The longest beginning that is a file: `jobs::spec::Command` is in jobs/spec.rs.
            let whole = (1..=place.len()).rev().map(|length| place[..length].join("::"));
            let other = whole.into_iter().find(|name| modules.contains(name));
            mine.extend(other.filter(|other| *other != me));
        }
        all.insert(me, mine);
    }
    all
}

/// All that a module imports, and that they import.
fn reached<'a>(imports: &'a BTreeMap<String, BTreeSet<String>>, from: &'a String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(one) = next.pop() {
        next.extend(imports[one].iter().filter(|other| reached.insert(*other)));
    }
    reached
}

/// Not in a longer circle either. A file is read and changed on its own only when what it imports does not import it back.
///
/// `mod x;` is no import, but what a `mod.rs` re-exports of a child is one of the child. So a `mod.rs` re-exports what
/// others use, and its children import each other, not it; or it is the base of its children, which it knows nothing of.
#[test]
fn no_two_files_import_each_other() {
    let imports = imports();
    assert!(imports["main"].contains("guard") && imports["jobs"].contains("jobs::table"), "{imports:?}");
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|name| (name, reached(&imports, name))).collect();
    let mut circles: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (name, others) in &reached {
        if others.contains(name) {
            let back = others.iter().filter(|other| reached[**other].contains(name));
            circles.insert(back.map(|other| other.as_str()).collect());
        }
    }
    assert!(circles.is_empty(), "files that import each other: {circles:#?}");
}

/// The rooms of the script functions, from the base to the top. Those of one line do not know each other.
const HOST: &[&[&str]] = &[
    &["value"],
    &["source"],
    &["explain"],
    &["check", "run"],
    &["functions"],
    &["engine"],
    &["reference", "ctl"],
    &["pages"],
    &["script"],
];

/// Also where an import closes no circle: whoever words an error does not wait for a job.
#[test]
fn the_rooms_of_the_script_functions_import_downward_only() {
    // The room of a module, and how far up it stands; none outside of them, and of the map.
    let place = |module: &str| {
        let room = module.strip_prefix("host::")?.split("::").next()?.to_owned();
        let level = HOST.iter().position(|rooms| rooms.contains(&room.as_str()));
        Some((level.unwrap_or_else(|| panic!("`{room}` is not in the list of rooms")), room))
    };
    let imports = imports();
    let mut wrong = Vec::new();
    for (module, others) in &imports {
        let Some((level, room)) = place(module) else { continue };
        for other in others {
            // The map only re-exports: a room that wants something of another names that.
            let up = other == "host" || place(other).is_some_and(|(to, name)| name != room && to >= level);
            if up {
                wrong.push(format!("{module} imports {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_of_each_folder_names_exactly_its_files() {
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        if !path.ends_with("mod.rs") && !path.ends_with("src/main.rs") {
            continue;
        }
        let dir = path.parent().expect("a folder");
        let children: BTreeSet<String> = std::fs::read_dir(dir)
            .expect("readable")
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "rs") || path.join("mod.rs").exists())
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .filter(|name| name != "mod")
            .collect();
        let text = read(&path);
        let header = text.lines().map_while(|line| line.strip_prefix("//!"));
        let map = header.skip_while(|line| line.trim() != "```text").skip(1);
        let map = map.take_while(|line| line.trim() != "```");
        let named: Vec<String> = map
            .filter_map(|line| line.split_whitespace().next())
            .map(|name| name.trim_end_matches('/').to_owned())
            .collect();
        let once: BTreeSet<String> = named.iter().cloned().collect();
        if once != children || once.len() != named.len() {
            let missing: Vec<_> = children.difference(&once).collect();
            let gone: Vec<_> = once.difference(&children).collect();
            wrong.push(format!("{}: not in the map: {missing:?}; no file: {gone:?}", path.display()));
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
    // cgroup is older than the moment before its lock; a mock's own log; from when on a certificate is valid, and
    // until when a token; what the lines of a recording say; whether a file was changed.
    let allowed = [
        "src/runner/uses.rs",
        "src/sys/page.rs",
        "src/runs.rs",
        "src/report/runs.rs",
        "src/jobs/cgroup.rs",
        "src/mock/record.rs",
        "src/mock/token.rs",
        "src/issuer.rs",
        "src/report/events.rs",
    ];
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
    let api = Command::new(bgjobs()).args(["api", "--json"]).output().expect("bgjobs starts");
    let api: Vec<serde_json::Value> = serde_json::from_slice(&api.stdout).expect("it is JSON");
    assert!(api.len() > 100, "{api:#?}");
    // A property needs a sentence, a function an example as well.
    let lacks = |entry: &&serde_json::Value| {
        let text = entry["text"].as_str().unwrap_or_default();
        let sentence = entry["sentence"].as_str().is_some_and(|it| it.len() > 5);
        !sentence || entry["property"] == false && !text.contains("```rhai")
    };
    let without: Vec<&str> = api.iter().filter(lacks).filter_map(|entry| entry["name"].as_str()).collect();
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

/// The keys that the modules for files of services know are all in the tables that say what becomes of them.
#[test]
fn every_key_of_a_file_of_services_is_in_the_tables() {
    let docs = read(&repo("docs/services.md"));
    let rows: Vec<&str> = docs.lines().filter(|line| line.starts_with('|')).collect();
    for (module, lists) in [
        ("process_compose", &["SILENT", "FILE", "PROCESS", "CONDITIONS"][..]),
        ("services", &["KEYS", "CONTAINER"]),
    ] {
        let text = read(&repo(&format!("stdlib/{module}.rhai")));
        for list in lists {
            let (_, rest) = text.split_once(&format!("const {list} = [")).expect("the list");
            let (keys, _) = rest.split_once("];").expect("its end");
            let keys: Vec<&str> = keys.split('"').skip(1).step_by(2).collect();
            assert!(keys.len() > 4, "{module}: {list}");
            let missing: Vec<&&str> =
                keys.iter().filter(|key| !rows.iter().any(|row| row.contains(&format!("`{key}`")))).collect();
            assert!(missing.is_empty(), "{module}: {list}: no table has {missing:?}");
        }
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
