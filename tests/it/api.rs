//! The generated reference: it is complete, every example in it runs, and scripts call everything that is in it.

use crate::support::{Script, bgjobs, repo};
use std::process::Command;
use std::sync::Mutex;

fn reference() -> String {
    let api = Command::new(bgjobs()).arg("api").output().expect("bgjobs starts");
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
fn a_module_that_is_not_there_is_told_with_the_nearest() {
    let ran = Command::new(bgjobs()).args(["api", "postgress"]).output().expect("bgjobs starts");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: there is no module `postgress` in the standard library\n"), "{said}");
    assert!(said.contains("try: bgjobs api std/postgres\n"), "{said}");
}
