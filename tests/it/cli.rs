//! Command lines that are none: each is told what to type instead, as a whole.

use crate::support::bgjobs;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A directory with scripts, and what is none.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for sub in ["tests", "empty"] {
        fs::create_dir(dir.path().join(sub)).expect("made");
    }
    for (file, text) in [
        ("test.rhai", "print(1);"),
        ("p.rhai", "print(param(\"port\", 80));"),
        ("my own.rhai", "print(1);"),
        ("tests/all.rhai", "print(args());"),
        ("server.js", "console.log(1)"),
    ] {
        fs::write(dir.path().join(file), text).expect("written");
    }
    dir
}

fn call(dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(bgjobs());
    command.args(words).current_dir(dir).stdin(Stdio::null()).env_remove("FORCE_COLOR");
    command.output().expect("bgjobs starts")
}

/// What is said to a command line that is a mistake: it starts nothing and ends with 2.
fn told(dir: &Path, words: &[&str]) -> String {
    let ran = call(dir, words);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(2), "{words:?}: {said}");
    assert!(ran.stdout.is_empty() && !said.contains("stopped"), "{words:?}: {said}");
    said
}

/// Each command line, and the line that it is told.
fn all_told(cases: &[(&[&str], &str)]) {
    let dir = place();
    for (words, hint) in cases {
        let said = told(dir.path(), words);
        assert!(said.contains(&format!("\ntry: {hint}\n")), "{words:?}: no {hint:?} in\n{said}");
    }
}

#[test]
fn a_script_without_the_command_before_it_is_told_the_command() {
    all_told(&[
        (&["x.rhai", "--a"], "bgjobs script x.rhai --a"),
        (&["test.rhai"], "bgjobs script test.rhai"),
        (&["my own.rhai", "b c"], "bgjobs script 'my own.rhai' 'b c'"),
        (&["serve-and-test", "--cmd", "npm start"], "bgjobs script serve-and-test --cmd 'npm start'"),
        (&["-e", "print(1)"], "bgjobs script -e 'print(1)'"),
        (&["-q", "-e", "print(1)", "a"], "bgjobs script -q -e 'print(1)' a"),
        (&["--timeout", "5s", "script", "test.rhai"], "bgjobs script --timeout 5s test.rhai"),
        (&["--timeout=5s", "test.rhai"], "bgjobs script --timeout=5s test.rhai"),
        (&["-q"], "bgjobs script -q FILE"),
        (&["./x"], "bgjobs script ./x"),
        (&["-"], "bgjobs script -"),
        (&["tests/all.rhai"], "bgjobs script tests/all.rhai"),
        (&["run", "x.rhai", "--a"], "bgjobs script x.rhai --a"),
    ]);
}

#[test]
fn what_other_tools_have_is_told_what_does_it_here() {
    all_told(&[
        (&["run", "npm", "test"], "bgjobs script -e 'run(\"npm test\")'"),
        (&["server.js"], "bgjobs script -e 'run(\"node server.js\")'"),
        (&["sh", "-c", "x"], "bgjobs script -e 'run(\"sh -c x\")'"),
        (&["start", "npm", "start"], "bgjobs script serve-and-test --cmd 'npm start' --test \"TESTS\""),
        (&["clean"], "bgjobs sweep"),
        (&["lint", "x.rhai"], "bgjobs check FILE"),
        (&["scirpt", "x.rhai"], "bgjobs script x.rhai"),
        (&["free-prot", "--port", "3"], "bgjobs script free-port --port 3"),
        (&["xyzzy"], "bgjobs --help"),
    ]);
    let dir = place();
    for (word, part) in [
        ("tail", "try: bgjobs logs -f   (in the script: job.tail(20)"),
        ("log", "a run that fails keeps the logs of its jobs"),
        ("stop", "try: bgjobs ctl stop NAME "),
        ("kill", "kill its GUARD, which `bgjobs ps` shows"),
        ("list", "try: bgjobs ps "),
        ("restart", "try: bgjobs ctl restart NAME "),
    ] {
        let said = told(dir.path(), &[word]);
        assert!(said.contains(&format!("there is no command `{word}`")) && said.contains(part), "{said}");
    }
}

#[test]
fn the_name_of_a_script_that_is_not_there_is_told_the_nearest() {
    all_told(&[
        (&["script", "tset.rhai"], "bgjobs script test.rhai"),
        (&["script", "./tset.rhai"], "bgjobs script ./test.rhai"),
        (&["script", "p"], "bgjobs script p.rhai"),
        (&["script", "tests/al"], "bgjobs script tests/all.rhai"),
        (&["script", "tets/all.rhai"], "bgjobs script tests/all.rhai"),
        (&["script", "tests"], "bgjobs script tests/all.rhai"),
        (&["script", "my onw.rhai"], "bgjobs script 'my own.rhai'"),
        (&["script", "demmo"], "bgjobs script demo   (which is built in)"),
        (&["check", "tset.rhai"], "bgjobs check test.rhai"),
    ]);
    let dir = place();
    assert!(told(dir.path(), &["script", "empty"]).contains("there is no *.rhai in it"));
}

#[test]
fn what_stands_on_the_wrong_side_of_the_script_is_moved() {
    let behind = "   (the options of bgjobs come before the script)";
    let moved = |line: &str| format!("{line}{behind}");
    let dir = place();
    for (words, line) in [
        (&["script", "test.rhai", "-q"][..], moved("bgjobs script -q test.rhai")),
        (
            &["script", "p.rhai", "--timeout", "5s", "--port", "5", "-v"],
            moved("bgjobs script --timeout 5s -v p.rhai --port 5"),
        ),
        (
            &["script", "--grace", "3s", "p.rhai", "--keep-logs"],
            moved("bgjobs script --keep-logs --grace 3s p.rhai"),
        ),
        (&["script", "--port", "80", "p.rhai"], "bgjobs script p.rhai --port 80".to_owned()),
        (&["script", "--timeuot", "5s", "p.rhai"], "bgjobs script --timeout 5s p.rhai".to_owned()),
        (&["script", "-q", "-f=api,db", "p.rhai"], "bgjobs script -q --follow=api,db p.rhai".to_owned()),
    ] {
        let said = told(dir.path(), words);
        assert!(said.ends_with(&format!("\ntry: {line}\n")), "{words:?}: {said}");
    }
    // What the script asks for is its own.
    fs::write(dir.path().join("t.rhai"), "print(param(\"timeout\"));").expect("written");
    let ran = call(dir.path(), &["script", "t.rhai", "--timeout", "5s"]);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "5s\n");
}

#[test]
fn several_scripts_are_several_runs() {
    all_told(&[
        (&["script", "test.rhai", "p.rhai"], "bgjobs script test.rhai && bgjobs script p.rhai"),
        (
            &["script", "test.rhai", "p.rhai", "my own.rhai", "p.rhai", "p.rhai"],
            "printf '%s\\n' *.rhai | xargs -n 1 bgjobs script",
        ),
    ]);
}

#[test]
fn several_scripts_are_checked_at_once() {
    let dir = place();
    assert_eq!(call(dir.path(), &["check", "test.rhai", "p.rhai"]).status.code(), Some(0));
    fs::write(dir.path().join("bad.rhai"), "prin(1);").expect("written");
    let said = told(dir.path(), &["check", "bad.rhai", "test.rhai", "bad.rhai"]);
    assert_eq!(said.matches("no function `prin`").count(), 2, "{said}");
}

#[test]
fn a_mistyped_option_of_a_command_is_told_as_one() {
    let dir = place();
    for (words, tip) in [(&["up", "--tiemout", "3s"][..], "'--timeout'"), (&["ps", "--jsn"], "'--json'")] {
        let said = told(dir.path(), words);
        let message = format!("error: unexpected argument '{}' found", words[1]);
        assert!(said.starts_with(&message) && said.contains(tip), "{words:?}: {said}");
    }
}

#[test]
fn an_option_that_is_given_twice_is_proposed_once() {
    all_told(&[
        (
            &[
                "script",
                "--timeout",
                "60s",
                "-q",
                "p.rhai",
                "--timeout=5s",
                "--port",
                "1",
                "-I",
                "a",
                "--timeout",
                "6s",
            ],
            "bgjobs script -I a --timeout 6s -q p.rhai --port 1   (the options of bgjobs come before the script)",
        ),
        (
            &["--timeout", "5s", "script", "--timeout", "6s", "test.rhai"],
            "bgjobs script --timeout 6s test.rhai",
        ),
    ]);
}

/// A right-to-left override would turn the rest of the line round.
#[test]
fn nothing_that_is_typed_orders_the_terminal_about() {
    let dir = place();
    for words in [
        &["scr\u{202e}ipt"][..],
        &["script", "--timeout", "x\u{202e}", "test.rhai"],
        &["script", "--t\u{202e}imeout", "test.rhai"],
        &["script", "test\u{202e}"],
        &["completions", "ba\u{202e}sh"],
        &["man", "scr\u{202e}ipt"],
        &["api", "--\u{202e}"],
    ] {
        let said = told(dir.path(), words);
        assert!(!said.contains('\u{202e}') && said.contains('\u{fffd}'), "{words:?}: {said:?}");
    }
}
