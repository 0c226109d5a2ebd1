//! The generated reference: it is complete, every example in it runs, and scripts call everything that is in it.

use crate::support::{Script, bgjobs, repo};
use std::process::Command;
use std::sync::Mutex;

fn reference() -> String {
    let api = Command::new(bgjobs()).args(["api", "--all"]).output().expect("bgjobs starts");
    String::from_utf8_lossy(&api.stdout).into_owned()
}

fn examples() -> Vec<String> {
    let text = reference();
    let mut examples = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        // Those of properties are indented.
        if line.trim_start() == "```rhai" {
            let example = lines.by_ref().take_while(|line| line.trim_start() != "```");
            examples.push(example.collect::<Vec<_>>().join("\n"));
        }
    }
    examples
}

#[test]
fn every_example_of_the_reference_runs() {
    let examples = examples();
    assert!(examples.len() > 100, "only {} examples", examples.len());
    let queue = Mutex::new(examples.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some(example) = queue.lock().expect("not poisoned").next() else { return };
                    // In a directory of its own: examples write files.
                    let dir = tempfile::tempdir().expect("a directory");
                    let ran = Script::code(example).option("--timeout").option("5m").cwd(dir.path()).run();
                    if ran.code != Some(0) {
                        let text = format!("exit {:?}:\n{example}\n{}", ran.code, ran.stderr);
                        failures.lock().expect("not poisoned").push(text);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("not poisoned");
    assert!(failures.is_empty(), "{} examples fail:\n\n{}", failures.len(), failures.join("\n"));
}

/// What a pattern with one group finds.
fn found(pattern: &str, text: &str) -> Vec<String> {
    let pattern = regex::Regex::new(pattern).expect("a pattern");
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_entry_of_the_reference_has_a_sentence_and_an_example() {
    let text = reference();
    let mut wrong = Vec::new();
    for entry in text.split("\n### ").skip(1).filter(|entry| !entry.starts_with("Properties of ")) {
        let entry = entry.split("\n## ").next().unwrap_or_default();
        let name = entry.lines().next().unwrap_or_default();
        let said = entry.split("```").nth(2).unwrap_or_default();
        let only_an_error = said.contains("Always an error");
        if !said.contains('.') || !(entry.contains("```rhai") || only_an_error) {
            wrong.push(name);
        }
    }
    let properties = text.lines().filter(|line| line.starts_with("* `"));
    wrong.extend(properties.filter(|line| !line.contains("`: ") || !line.contains(['.', ';'])));
    assert!(wrong.is_empty(), "without a sentence or an example: {wrong:#?}");
}

/// `tests/script/language/every_function_of_….rhai` pass (see script.rs) and call all there is.
#[test]
fn every_function_is_called_by_a_script() {
    let mut calls = String::new();
    for entry in std::fs::read_dir(repo("tests/script/language")).expect("a directory").flatten() {
        if entry.file_name().to_string_lossy().starts_with("every_function_of_") {
            let text = std::fs::read_to_string(entry.path()).expect("a script");
            calls.extend(text.lines().filter(|line| !line.starts_with("//")).flat_map(|line| [line, "\n"]));
        }
    }
    let text = reference();
    let lists: Vec<&str> =
        text.lines().filter(|line| line.starts_with("* ") && !line.starts_with("* `")).collect();
    let functions = found("`([a-z_]+)`", &lists.join("\n"));
    let methods = found(r"(?m)^### \w+\.([a-z_]+)$", &text);
    let properties = found(r"(?m)^\* `\w+\.([a-z_]+) -> ", &text);
    assert!(functions.len() > 80 && methods.len() > 20 && properties.len() > 20, "{text}");
    let mut missing = Vec::new();
    let mut want = |shown: String, pattern: String| {
        if found(&pattern, &calls).is_empty() {
            missing.push(shown);
        }
    };
    for name in &functions {
        // `wait_http(url)` is another function than `job.wait_http(url)`; `sort(list)` is `list.sort()`.
        let before = if methods.contains(name) { r"(?m)(?:^|[^.\w])" } else { r"\b" };
        want(format!("{name}(…)"), format!(r"{before}({name})\("));
    }
    for name in &methods {
        want(format!(".{name}(…)"), format!(r"\.({name})\("));
    }
    for name in &properties {
        want(format!(".{name}"), format!(r"(?m)\.({name})(?:[^\w(]|$)"));
    }
    assert!(
        missing.is_empty(),
        "in the registry (`bgjobs api`), but no tests/script/language/every_function_of_….rhai uses it; add a line \
         to the file that fits best: {missing:#?}"
    );
}

#[test]
fn every_module_of_the_standard_library_has_a_page() {
    let all = reference();
    for entry in std::fs::read_dir(crate::support::repo("stdlib")).expect("stdlib").flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let name = format!("std/{}", file.trim_end_matches(".rhai"));
        assert!(all.contains(&format!("\n- `{name}`: ")), "{name} in the list of modules");
        let page = Command::new(bgjobs()).args(["api", &name]).output().expect("bgjobs starts");
        let page = String::from_utf8_lossy(&page.stdout).into_owned();
        assert!(page.starts_with(&format!("# {name}\n\n")), "{name}: {page}");
        assert!(page.contains(&format!("\n## {}::", name.trim_start_matches("std/"))), "{name}: {page}");
    }
}

#[test]
fn a_module_that_is_mistyped_is_told_with_the_nearest() {
    let ran = Command::new(bgjobs()).args(["api", "postgress"]).output().expect("bgjobs starts");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert_eq!(said, "error: nothing in the language is called `postgress`\ntry: bgjobs api postgres\n");
}

fn api(args: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(bgjobs()).arg("api").args(args).output().expect("bgjobs starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
}

/// What is asked for is answered, with exit code 0.
fn answer(args: &[&str]) -> String {
    let (code, stdout, stderr) = api(args);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
    stdout
}

#[test]
fn the_overview_fits_a_screen_and_says_how_to_go_on() {
    let text = answer(&[]);
    assert!(text.lines().count() <= 48, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for name in ["spawn", "wait_http", "Job", "std/postgres", "bgjobs api --brief", "bgjobs api errors rhai"]
    {
        assert!(text.contains(name), "{name} in {text}");
    }
}

#[test]
fn a_function_a_method_an_option_and_an_object_have_a_page() {
    for (asked, expected) in [
        ("spawn", "### spawn\n\n```text\nspawn(cmd: "),
        ("spawn()", "### spawn\n\n```text\nspawn(cmd: "),
        ("wait_log", "### Job.wait_log\n\n```text\njob.wait_log(regex: "),
        (".wait_log", "### Job.wait_log\n"),
        ("Job.wait_log", "### Job.wait_log\n"),
        ("job.wait_log", "### Job.wait_log\n"),
        ("wait_http.status", "wait_http, Job.wait_http: `status`: status, default any 2xx or 3xx."),
        ("spawn.ready.status", "spawn: `status`: status, default any 2xx or 3xx."),
        ("ready.status", "spawn, start: `status`: status, default any 2xx or 3xx."),
        ("spawn.fail_on", "spawn: `fail_on`"),
        ("spawn.ready", "spawn: `ready`: port | "),
        (".pid", "* `job.pid -> integer`: "),
        ("Job", "# Job\n"),
        ("std/postgres", "# std/postgres\n"),
        ("postgres", "# std/postgres\n"),
        ("postgres::start", "## postgres::start("),
        ("waiting", "stay("),
        ("errors", "# Errors\n"),
        ("rhai", "# Rhai, as scripts of bgjobs have it\n"),
        ("starts_with", "Built into Rhai:\n\n* strings: `starts_with("),
    ] {
        let text = answer(&[asked]);
        assert!(text.starts_with(expected), "{asked}: {text}");
    }
    let both = answer(&["run", "output"]);
    assert!(both.contains("### run\n") && both.contains("### output\n"), "{both}");
    assert!(answer(&["spawn.ready"]).contains("\n  * `status`: status, "), "what is in an option");
}

/// Who asks pays for each character: many options are named, and explained one by one, or all together when that is asked for.
#[test]
fn a_page_is_short_unless_all_of_it_is_asked_for() {
    for (asked, most) in
        [(&["spawn"][..], 3300), (&["start"], 3800), (&["wait_http"], 1300), (&["Job"], 4700)]
    {
        let page = answer(asked);
        assert!(page.chars().count() <= most, "{asked:?}: {} characters", page.chars().count());
        assert!(answer(&[&["--all"], asked].concat()).len() > page.len() + 1000, "{asked:?}");
    }
    let spawn = answer(&["spawn"]).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "expect_exit: bool | int | array, expect_stop: int | array, fail_on: regex",
        "`bgjobs api spawn.OPTION` explains one",
    ] {
        assert!(spawn.contains(part), "no {part:?} in {spawn}");
    }
    // What two of them have in common is said once.
    let two = answer(&["http_post", "http_put"]);
    assert!(two.contains("(As above.)"), "{two}");
}

#[test]
fn what_is_not_there_is_told_with_the_nearest() {
    for (asked, message, hint) in [
        ("wiat_http", "nothing in the language is called `wiat_http`", "bgjobs api wait_http"),
        ("println", "nothing in the language is called `println`", "bgjobs api print"),
        ("spawn.timeot", "`spawn` has no option `timeot`", "bgjobs api spawn.timeout"),
        ("Job.wait_lgo", "`Job` has neither a method nor a property `wait_lgo`", "bgjobs api Job.wait_log"),
        ("xyzzyx", "nothing in the language is called `xyzzyx`", "bgjobs api --search xyzzyx"),
    ] {
        let expected = format!("error: {message}\ntry: {hint}\n");
        assert_eq!(api(&[asked]), (Some(2), String::new(), expected));
    }
    let (code, _, said) = api(&["redis::strat"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("`redis` has no function `strat`") && said.contains("try: bgjobs api redis::start\n"),
        "{said}"
    );
}

#[test]
fn a_search_finds_names_first() {
    let text = answer(&["--search", "restart"]);
    assert!(text.lines().all(|line| line.contains(": ")), "{text}");
    let text = answer(&["--search", "http_g"]);
    assert!(text.starts_with("http_get(): "), "{text}");
    let (code, _, said) = api(&["--search", "xyzzyx"]);
    assert_eq!(code, Some(2), "{said}");
}

/// An agent reads this, and nothing else, before it writes a script.
#[test]
fn the_brief_reference_has_everything_in_12000_characters() {
    let text = answer(&["--brief"]);
    assert!(text.chars().count() <= 12_000, "{} characters", text.chars().count());
    let entries: serde_json::Value = serde_json::from_str(&answer(&["--json"])).expect("JSON");
    let entries = entries.as_array().expect("an array");
    assert!(entries.len() > 150, "{}", entries.len());
    let has = |word: &str| {
        text.match_indices(word).any(|(at, _)| {
            let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next())
        })
    };
    for entry in entries {
        let name = entry["name"].as_str().expect("a name");
        let last = name.rsplit('.').next().unwrap_or(name);
        assert!(last == "[]" || has(last), "{name} is not in it");
        for option in entry["options"].as_array().expect("options") {
            let option = option.as_str().expect("a name");
            assert!(has(option), "{name}.{option} is not in it");
        }
    }
    for word in ["timeout (124)", "std/NAME", "starts_with", "128+n"] {
        assert!(text.contains(word), "{word}");
    }
}

#[test]
fn entries_are_had_as_json() {
    let one: serde_json::Value = serde_json::from_str(&answer(&["--json", "wait_port"])).expect("JSON");
    let names: Vec<&str> =
        one.as_array().expect("an array").iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, ["wait_port", "Job.wait_port"]);
    for key in ["group", "property", "calls", "sentence", "options", "text"] {
        assert!(!one[0][key].is_null(), "{key}");
    }
}
