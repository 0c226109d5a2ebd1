//! Logs: their limit, a full disk.

use crate::support::Script;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Prints 30 MB and a last line, and lives on.
const CHATTY: &str =
    "yes a line of a chatty program | head -c 30000000; echo; echo that was all; exec sleep 60";

/// A temporary directory on the file system of tests and, where there is one, on a tmpfs.
fn directories() -> Vec<tempfile::TempDir> {
    let shm = Path::new("/dev/shm");
    let mut found = vec![tempfile::tempdir().expect("directory")];
    if shm.is_dir() {
        found.extend(tempfile::tempdir_in(shm));
    } else {
        println!("skipped: there is no tmpfs at /dev/shm");
    }
    found
}

#[test]
fn a_chatty_job_does_not_fill_the_disk() {
    for dir in directories() {
        let code = format!(
            r#"let job = spawn("chat", "{CHATTY}", #{{max_log: "1MB"}});
            job.wait_log("^that was all$");
            let room = || parse_int(output(["stat", "-c", "%b", job.log_path])) * 512;
            wait_until(|| room.call() <= 1000000);
            assert(room.call() >= 400000);
            assert_eq(output(["stat", "-c", "%s", job.log_path]), "30000014");
            assert_eq(job.tail(1), "that was all");
            assert_eq(job.tail(3), "a line of a chatty program\na l\nthat was all");
            assert_matches(job.lines()[0], "^… the first \\d+ bytes were dropped \\(max_log\\) …$");
            assert_eq(job.lines()[1], "a line of a chatty program");
            assert(!job.output.contains("\x00"));
            assert_eq(job.wait_log("that (was) all")[1], "was");"#
        );
        let ran = Script::code(&code).env("TMPDIR", dir.path().to_str().expect("text")).run().code(0);
        let ran =
            ran.stderr_has("warning: chat has printed more than 1 MB: the beginning of its log is dropped");
        assert_eq!(ran.stderr.matches("is dropped from now on").count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn a_log_of_ones_own_is_kept_short_too() {
    let dir = tempfile::tempdir().expect("directory");
    let code = format!(
        r#"let job = spawn("chat", "{CHATTY}", #{{max_log: "64KB", log: "own.log"}});
        job.wait_log("that was all");
        wait_until(|| parse_int(output("stat -c %b own.log")) * 512 <= 64000);"#
    );
    let _ = Script::code(&code).cwd(dir.path()).run().code(0);
}

#[test]
fn where_a_log_cannot_be_kept_short_the_job_is_stopped() {
    let code = r#"let job = spawn("chat", "trap 'exit 3' TERM; yes", #{max_log: "64KB"}); sleep("60s")"#;
    let ran = Script::code(code).env("BGJOBS_TEST_OFF", "punch_hole").run().code(125);
    let ran =
        ran.stderr_has("error: job `chat` was stopped: its log has passed 64 kB (`max_log`)\n  --> -e:1:");
    let ran = ran.stderr_has("try: max_log: \"1GB\"");
    let caught = format!("try {{ {code} }} catch (e) {{ print(`${{e.kind}} ${{e.job}}`) }}");
    let _ =
        Script::code(&caught).env("BGJOBS_TEST_OFF", "punch_hole").run().code(0).stdout("job_died chat\n");
    assert!(ran.stderr.contains("0 leaked"), "{}", ran.stderr);
}

#[test]
fn a_job_that_is_stopped_for_its_log_is_a_failure_that_nobody_has_to_wait_for() {
    let code = r#"let job = spawn("chat", "yes", #{max_log: "64KB", expect_exit: true});
        while job.running { try_run("true", #{echo: false}); }"#;
    let ran = Script::code(code).env("BGJOBS_TEST_OFF", "punch_hole").run().code(125);
    let _ = ran.stderr_has("error: job `chat` was stopped");
}

#[test]
fn a_log_that_is_truncated_under_its_limit_goes_on() {
    let code = r#"let job = spawn("chat", "yes | head -c 5000000; : >\"$LOG\"; echo fresh; exec sleep 60",
            #{max_log: "64KB", log: "own.log", env: #{LOG: "own.log"}});
        job.wait_log("fresh");
        assert_eq(job.output, "fresh\n");"#;
    let dir = tempfile::tempdir().expect("directory");
    let _ = Script::code(code).cwd(dir.path()).run().code(0);
}

#[test]
fn only_the_log_itself_is_cut_whatever_its_name_means_later() {
    let dir = tempfile::tempdir().expect("directory");
    let treasure = dir.path().join("treasure");
    std::fs::write(&treasure, vec![b'x'; 3_000_000]).expect("written");
    let before = std::fs::metadata(&treasure).expect("there").blocks();
    let code = r#"
        let job = spawn("thief", "mv own.log old.log; ln -s treasure own.log; exec sleep 60",
            #{max_log: "64KB", log: "own.log"});
        wait_until(|| output("readlink own.log || true") == "treasure");
        // As long as it takes until the limit of another log has been seen.
        let other = spawn("chat", "yes | head -c 3000000; echo done; exec sleep 60", #{max_log: "64KB"});
        other.wait_log("done");
        wait_until(|| parse_int(output(["stat", "-c", "%b", other.log_path])) * 512 <= 64000);"#;
    let _ = Script::code(code).cwd(dir.path()).run().code(0);
    assert_eq!(std::fs::metadata(&treasure).expect("there").blocks(), before);
}

#[test]
fn a_limit_is_a_size_that_can_hold_something() {
    let ran = Script::code(r#"spawn("true", #{max_log: "1KB"})"#).run().code(2);
    let _ = ran.stderr_has("error: spawn: option `max_log`: 1 kB is too little: at least 64 kB");
    let ran = Script::code(r#"spawn("true", #{max_log: 100})"#).run().code(2);
    let _ = ran.stderr_has("write \"100MB\" if megabytes are meant");
    let ran = Script::code(r#"spawn("true", #{maxLog: "1MB"})"#).run().code(2);
    let _ = ran.stderr_has("did you mean `max_log`?");
}
