//! `bgjobs check`: several scripts and directories, JSON, and what is not wrong, but is better done otherwise.

use crate::support::{bgjobs, repo};
use std::path::Path;
use std::process::Command;

fn check(args: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(bgjobs()).arg("check").args(args).current_dir(repo("")).output();
    let ran = ran.expect("bgjobs starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
}

/// The messages about one line of code.
fn said(code: &str) -> Vec<String> {
    let (status, stdout, stderr) = check(&["--json", "-e", code]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{code}");
    let found: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    let found = found.as_array().expect("an array").iter();
    found
        .map(|it| {
            assert_eq!(it["severity"], "warning", "{code}");
            it["message"].as_str().expect("a message").to_owned()
        })
        .collect()
}

#[test]
fn a_habit_of_shell_scripts_is_a_warning() {
    for (code, message) in [
        (r#"run("pkill -f server");"#, "pkill and killall also end"),
        (r#"run("make; killall node");"#, "pkill and killall also end"),
        (r#"run("kill -9 1234");"#, "`kill -9` gives a server no time"),
        (r#"spawn("nohup server");"#, "nohup keeps a process"),
        (r#"run("server &");"#, "what a command leaves in the background"),
        (r#"try_run("tail -n 5 -f log");"#, "`tail -f` never ends"),
        (r#"spawn("server 2>&1 | head -5");"#, "a pipe hides the end of the server"),
        (r#"spawn("server"); sleep(3);"#, "a pause is too short"),
        (r#"wait_http("http://localhost:8080/");"#, "nothing was started that could come up"),
        (r#"start("server --port 8080", #{ready: 8080});"#, "port 8080 may be taken"),
        (r#"let job = spawn("server");"#, "nobody waits for `job`"),
    ] {
        let found = said(code);
        assert!(found.len() == 1 && found[0].starts_with(message), "{code}: {found:?}");
    }
}

#[test]
fn what_is_well_done_is_no_warning() {
    for code in [
        r#"run("make && ./test"); run("echo pkill"); run("a 2>&1"); run("grep -q 'kill -9' notes");"#,
        r#"let job = spawn("server"); job.wait_log("up"); run(`kill -9 ${job.pid}`);"#,
        r#"start("server --port $PORT", #{port: "free", ready: "/"}); run("tail -n 5 log");"#,
        r#"wait_http("http://localhost:8080/", #{external: true});"#,
        r#"import "std/redis" as redis; let db = redis::start(); wait_port(db.port);"#,
        r#"spawn("setsid server &"); log("a daemon"); sleep(1);"#,
        r#"let job = spawn("false", #{expect_exit: 1});"#,
    ] {
        assert_eq!(said(code), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn a_warning_has_its_place_and_the_way_out_and_does_not_fail() {
    let (code, stdout, stderr) = check(&["-e", "spawn(\"server\");\nsleep(3);"]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    let expected = "warning: a pause is too short on a slow machine, and too long on all others
  --> -e:2:1
2 | sleep(3);
  | ^^^^^
try: start(…, #{ready: …}), or a wait: `wait_port`, `wait_http`, `.wait_log`
";
    assert_eq!(stderr, expected);
}

#[test]
fn nothing_is_found_in_our_own_scripts() {
    let dirs = ["scripts", "stdlib", "src/new", "tests/script", "tests/fixture"];
    assert_eq!(check(&dirs), (Some(0), String::new(), String::new()));
}

#[test]
fn a_directory_stands_for_the_scripts_below_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("good.rhai", "print(1);");
    write("deep/down/bad.rhai", "prnt(1);\nwait_htp(2);");
    write("deep/notes.txt", "prnt(1);");
    write(".hidden/bad.rhai", "prnt(1);");
    let path = dir.path().display().to_string();
    let (code, stdout, stderr) = check(&[&path]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.starts_with("error: there is no function `prnt`\n"), "{stderr}");
    assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
    let (code, stdout, _) = check(&["--json", &path]);
    assert_eq!(code, Some(2));
    let found: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    let lines: Vec<_> = found.as_array().expect("an array").iter().map(|it| it["line"].as_u64()).collect();
    assert_eq!(lines, [Some(1), Some(2)]);
    assert_eq!(found[0]["severity"], "error");
    assert_eq!(found[1]["hint"], "`wait_http(…)`");
    assert!(Path::new(found[0]["path"].as_str().expect("a path")).ends_with("deep/down/bad.rhai"));
}

#[test]
fn a_script_that_cannot_be_read_is_told_in_json_too() {
    let (code, stdout, stderr) = check(&["--json", "-e", "let x = ;"]);
    assert_eq!((code, stderr.as_str()), (Some(2), ""));
    assert!(stdout.contains("\"severity\": \"error\"") && stdout.contains("\"line\": 1"), "{stdout}");
}

#[test]
fn a_plan_is_told_without_a_process() {
    let code = "import \"std/redis\" as redis;
let db = redis::start(#{timeout: \"5s\"});
let s = start([
    #{name: \"auth\", cmd: \"auth $PORT\", port: \"free\", ready: \"/\"},
    #{name: \"web\", cmd: [\"web\", \"a b\"], needs: [\"auth\"], ready: 8080, timeout: \"1m\"},
]);
let job = spawn(\"worker\", `work ${db.url}`);
job.wait_log(\"up\");
wait_port(5432, \"10s\");
if env(\"CI\", \"\") != \"\" { run(\"touch ran\", #{timeout: \"5m\"}); }
test(\"it answers\", || run(\"touch ran\"));
";
    let dir = tempfile::tempdir().expect("a directory");
    let ran = Command::new(bgjobs()).args(["script", "-n", "-e", code]).current_dir(dir.path()).output();
    let ran = ran.expect("bgjobs starts");
    assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stderr).as_ref()), (Some(0), ""));
    let expected = "-e would do, from top to bottom:
   2  redis::start    (at most 5s)
   4  start       auth: auth $PORT   (port free; ready /; at most 30s)
   5  start       web: web 'a b'   (needs auth; ready 8080; at most 1m)
   7  spawn       worker: work …
   8  wait_log    up   (at most 30s)
   9  wait_port   5432   (at most 10s)
  10  run         touch ran   (at most 5m)
  11  test        it answers
  11  run         touch ran   (no limit)
";
    assert_eq!(String::from_utf8_lossy(&ran.stdout), expected);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
    let wrong =
        Command::new(bgjobs()).args(["script", "-n", "-e", "prnt(1)"]).output().expect("bgjobs starts");
    assert_eq!(wrong.status.code(), Some(2));
}
