//! Closures beside each other, as an interrupt, a panic or a deadline meets them: all end, with what they started.

use crate::support::{Ran, Script};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Commands, waits and loops side by side and in each other. Each command writes its pid to a file first.
const BUSY: &str = r#"
    let command = |name| ["sh", "-c", `echo $$ > ${name}.new; mv ${name}.new ${name}; exec sleep 300`];
    on_exit(|| write_file("cleaned", parallel([|| "up", || "and away"]).join(" ")));
    parallel([
        || run(command.call("a")),
        || { try { run(command.call("b")) } catch { } write_file("caught", ""); },
        || parallel([|| attempt(|| try_run(command.call("c"))), || sleep("300s")]),
        || timeout("300s", || wait_cmd(command.call("d"), "300s")),
        || test("never over", || run(command.call("e"))),
        || { wait_file("a"); loop { } },
        || [2, 1].sort(|a, b| { sleep("300s"); 1 }),
    ]);
    write_file("caught", "");
"#;
const COMMANDS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Starts the busy script, waits until all of its commands run, does something to it, waits for its end.
fn busy(dir: &Path, script: Script, then: impl FnOnce(Pid)) -> Ran {
    let mut command = script.cwd(dir).command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bgjobs starts");
    let until = Instant::now() + Duration::from_secs(60);
    while !COMMANDS.iter().all(|name| dir.join(name).exists()) {
        assert!(Instant::now() < until, "the commands did not start");
        std::thread::sleep(Duration::from_millis(1));
    }
    then(Pid::from_raw(child.id().cast_signed()));
    let output = child.wait_with_output().expect("it ends");
    for name in COMMANDS {
        let pid = std::fs::read_to_string(dir.join(name)).expect("a pid");
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "{name} is still there");
    }
    assert!(!dir.join("caught").exists(), "the script went on");
    Ran {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
        signal: output.status.signal(),
    }
}

#[test]
fn an_interrupt_reaches_every_closure() {
    let dir = tempfile::tempdir().expect("a directory");
    let ran = busy(dir.path(), Script::code(BUSY), |pid| kill(pid, Signal::SIGINT).expect("it lives"));
    assert_eq!(ran.signal, Some(Signal::SIGINT as i32), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(dir.path().join("cleaned")).expect("on_exit ran"), "up and away");
    let _ = ran.stderr_has("bgjobs: interrupted by SIGINT (exit 130)").stderr_has("0 leaked");
}

#[test]
fn a_panic_in_a_closure_is_one_of_the_script() {
    let dir = tempfile::tempdir().expect("a directory");
    let switch = dir.path().join("panic");
    let script = Script::code(BUSY).env("BGJOBS_TEST_PANIC", &format!("parallel:{}", switch.display()));
    let ran = busy(dir.path(), script, |_| std::fs::write(&switch, "").expect("written")).code(125);
    let _ = ran.stderr_has("error: bug in bgjobs: asked for by a test").stderr_has("0 leaked");
}

#[test]
fn the_deadline_of_the_run_reaches_every_closure() {
    let dir = tempfile::tempdir().expect("a directory");
    // On a busy machine the commands may need their time to start.
    let script = Script::code(BUSY).option("--timeout").option("10s");
    let ran = busy(dir.path(), script, |_| ()).code(124);
    let _ = ran.stderr_has("bgjobs: timed out after 10 s (exit 124)").stderr_has("0 leaked");
}

#[test]
fn no_thread_survives() {
    let code = r#"
        // The parent of a command is the host.
        let threads = || output("cat /proc/$PPID/task/*/comm 2>/dev/null || true");
        let during = [];
        parallel([|| during.push(threads.call()), || timeout("60s", || sleep("1ms"))]);
        assert_contains(during[0], "parallel");
        attempt(|| parallel(0..20, |i| if i == 10 { fail("no") } else { sleep("60s") }));
        attempt(|| timeout("1ms", || parallel([|| sleep("60s"), || loop { }])));
        timeout("60s", || ());
        let after = threads.call();
        assert(!after.contains("parallel"), after);
        assert(!after.contains("timeout"), after);
    "#;
    let _ = Script::code(code).run().code(0);
}

#[test]
fn lines_of_commands_beside_each_other_say_whose_they_are() {
    let printed = |code: &str| {
        let ran = Script::code(code).run().code(0);
        let mut lines: Vec<String> = ran.stdout.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let line = "|one| run(\"echo ready\")";
    for (items, names) in [
        ("[\"db\", \"web\"]", ["db", "web"]),
        ("[#{name: \"db\"}, #{name: \"web\"}]", ["db", "web"]),
        ("[spawn(\"db\", \"sleep 60\"), spawn(\"web\", \"sleep 60\")]", ["db", "web"]),
        ("1..=2", ["1", "2"]),
        // Nothing short to call them by.
        ("[[1], [2]]", ["echo 2", "echo"]),
    ] {
        let expected = names.map(|name| format!("{name} | ready"));
        assert_eq!(printed(&format!("parallel({items}, {line})")), expected, "{items}");
    }
    let closures = "parallel([|| run(\"echo ready\"), || run(\"echo ready\"), || run(\"echo ready\")])";
    assert_eq!(printed(closures), ["echo 2 | ready", "echo 3 | ready", "echo | ready"]);
    let own = "parallel([|| run(\"echo a\", #{name: \"lint\"}), || run(\"echo b\", #{name: \"unit\"})])";
    assert_eq!(printed(own), ["lint | a", "unit | b"]);
}
