//! The scenario scripts that are built in, run by their names against real servers, and how they are found, listed
//! and explained.

use crate::support::{Ran, Script, bgjobs, repo, which};
use std::fs;
use std::process::{Command, Output};

/// `bgjobs WORDS…`, outside of any run.
fn call(words: &[&str]) -> Output {
    Command::new(bgjobs()).args(words).current_dir(repo("")).output().expect("bgjobs starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A scenario script with its arguments, in a directory of its own.
fn scenario(name: &str, args: &[&str], files: &[(&str, &str)]) -> Ran {
    let dir = tempfile::tempdir().expect("a directory");
    for (file, text) in files {
        fs::write(dir.path().join(file), text).expect("written");
    }
    let script = Script::file(name).option("--timeout").option("60s").cwd(dir.path());
    args.iter().fold(script, |script, arg| script.arg(arg)).run()
}

fn skip(needs: &[&str]) -> bool {
    let Some(missing) = needs.iter().find(|program| which(program).is_none()) else { return false };
    assert!(std::env::var_os("CI").is_none(), "`{missing}` is not installed");
    println!("skipped: needs `{missing}`, which is not installed");
    true
}

#[test]
fn help_shows_the_header_and_the_parameters_and_starts_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "#!/usr/bin/env -S bgjobs script\n//! Serves.\n//!\n//!   indented\n\n// not this\n\
                write_file(\"ran\", \"\");\n\
                let cmd = param(\"cmd\", #{form: \"COMMAND\", help: \"the server\"});\n\
                let port = param(\"port\", 8080, \"its port\");\n\
                let fast = param(\"fast\", false, \"no waiting\");\n\
                let urls = param(\"url\", #{default: [], help: \"what must answer\"});\n";
    fs::write(dir.path().join("serve.rhai"), text).expect("written");
    for word in ["--help", "-h"] {
        let ran = Script::file("serve.rhai").arg(word).cwd(dir.path()).run().code(0).stdout(
            "Serves.\n\n  indented\n\n\
             Usage: bgjobs script serve.rhai --cmd COMMAND [--port NUMBER] [--fast] [--url VALUE]...\n\n\
             Parameters:\n\
             \x20 --cmd COMMAND  the server (required)\n\
             \x20 --port NUMBER  its port (default: 8080)\n\
             \x20 --fast         no waiting\n\
             \x20 --url VALUE    what must answer (may be given several times)\n",
        );
        assert_eq!(ran.stderr, "", "nothing was started");
        assert!(!dir.path().join("ran").exists());
    }
}

#[test]
fn a_script_that_reads_help_itself_gets_it() {
    let own = "if param(\"help\", false) { print(\"my own\"); }";
    let _ = Script::code(own).arg("--").arg("--help").run().code(0).stdout("my own\n");
    let _ = Script::code("print(args())").arg("--").arg("--help").run().code(0).stdout("[\"--help\"]\n");
}

#[test]
fn help_of_a_script_with_a_syntax_error_is_the_error() {
    let ran = Script::code("let x = ;").arg("--").arg("--help").run().code(2);
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains("--> -e:1:9"), "{}", ran.stderr);
}

#[test]
fn the_list_names_every_script_with_its_parameters() {
    let list = call(&["scripts"]);
    let text = stdout(&list);
    assert_eq!(list.status.code(), Some(0));
    let expected = "serve-and-test: Starts a server, waits until it answers, runs the tests, and stops the server.\n    \
                    --cmd COMMAND --test COMMAND";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("demo: A shop "), "{text}");
}

#[test]
fn a_script_that_is_built_in_can_be_printed_and_checked() {
    for name in ["demo", "demo.rhai"] {
        let text = fs::read_to_string(repo("scripts/demo.rhai")).expect("readable");
        assert_eq!(stdout(&call(&["scripts", name])), text);
    }
    assert_eq!(call(&["check", "demo"]).status.code(), Some(0));
}

#[test]
fn every_script_that_is_built_in_passes_the_check() {
    let list: serde_json::Value = serde_json::from_slice(&call(&["scripts", "--json"]).stdout).expect("JSON");
    for it in list.as_array().expect("an array") {
        let name = it["name"].as_str().expect("a name");
        let checked = call(&["check", name]);
        assert_eq!(checked.status.code(), Some(0), "{name}: {}", stderr(&checked));
    }
}

#[test]
fn an_unknown_name_is_told_the_nearest_and_all() {
    for (words, hint) in [
        (&["script", "dmo"][..], "try: bgjobs script demo   (which is built in)"),
        (&["script", "demo.rhai"], "try: bgjobs script demo   (which is built in)"),
        (&["scripts", "dmo"], "try: bgjobs script demo   (which is built in)"),
        (&["script", "xyzzy"], "  = built in are: "),
    ] {
        let ran = call(words);
        assert_eq!(ran.status.code(), Some(2));
        let said = stderr(&ran);
        assert!(said.contains("error: there is no script `") && said.contains(hint), "{said}");
    }
}

#[test]
fn a_file_of_that_name_comes_before_what_is_built_in() {
    let ran = scenario("demo", &[], &[("demo", "print(\"mine\");")]).code(0);
    let _ = ran.stdout("mine\n");
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("demo")).expect("made");
    let _ = Script::file("demo").cwd(dir.path()).run().code(0).stderr_has("payments ready");
}

#[test]
fn serve_and_test_ends_as_the_tests_do() {
    if skip(&["python3", "curl"]) {
        return;
    }
    let files = [("hello.txt", "hello\n")];
    let cmd = "python3 -m http.server $PORT --bind 127.0.0.1";
    let run = |test: &str| scenario("serve-and-test", &["--cmd", cmd, "--test", test], &files);
    let _ = run("curl -sf $URL/hello.txt").code(0).stdout("hello\n").stderr_has("1 job stopped, 0 leaked");
    // The log shows what the tests have asked for.
    let failed = run("curl -sf $URL/missing").code(22);
    let _ = failed.stderr_has("last lines of server (").stderr_has("\"GET /missing HTTP/1.1\" 404");
}

#[test]
fn serve_and_test_says_what_is_wrong_with_its_parameters() {
    let run = |args: &[&str]| scenario("serve-and-test", args, &[]).code(2);
    let _ = run(&["--cmd", "npm", "start"])
        .stderr_has("error: unexpected argument `start`: nothing asks for it")
        .stderr_has("try: --cmd \"npm start\"   (in quotes, if it is one value)");
    let _ = run(&["--cmd", "x"]).stderr_has("error: missing --test\n").stderr_has("try: --help ");
    let _ = run(&["--cmd", "--test", "x"]).stderr_has("error: param: --cmd has no value");
    let _ = run(&["--cmd", "x", "--test", "x", "--url", "localhost:80"])
        .stderr_has("error: param: --url is \"localhost:80\", not URL|/PATH");
    let _ = run(&["--cmd", "x", "--test", "x", "--timeout", "5s"])
        .stderr_has("try: put `--timeout` before the script");
}
