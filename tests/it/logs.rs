//! Logs: their limit, a full disk.

use crate::support::{Script, skip};
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
        skip("there is no tmpfs at /dev/shm");
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
            wait_until(|| room.call() <= 1008000);
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
        wait_until(|| parse_int(output("stat -c %b own.log")) * 512 <= 72000);"#
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
        wait_until(|| parse_int(output(["stat", "-c", "%b", other.log_path])) * 512 <= 72000);"#;
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

/// Runs a script with a tmpfs of this size, mounted for it alone, as its TMPDIR; `$SAID` is where its stderr goes.
/// None when that needs more rights than we have. What is left in the tmpfs is printed at the end.
fn on_small_disk(options: &str, code: &str) -> Option<(String, String, Option<i32>)> {
    if !nix::unistd::geteuid().is_root() {
        skip("only root can mount a small disk");
        return None;
    }
    let place = tempfile::tempdir().expect("directory");
    let disk = place.path().join("disk");
    std::fs::create_dir(&disk).expect("directory");
    let script = place.path().join("script.rhai");
    std::fs::write(&script, code).expect("written");
    let said = place.path().join("said");
    let shell = format!(
        "mount -t tmpfs -o {options} tmpfs {disk} || exit 99; cd /; TMPDIR={disk} SAID={said} {bgjobs} script {script} 2>{said}; \
         code=$?; ls -A {disk}; exit $code",
        disk = disk.display(),
        said = said.display(),
        bgjobs = crate::support::bgjobs().display(),
        script = script.display(),
    );
    let output =
        std::process::Command::new("unshare").args(["-m", "sh", "-c", &shell]).output().expect("unshare");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(99) || !said.exists() {
        skip("nothing can be mounted here");
        return None;
    }
    Some((stdout, std::fs::read_to_string(said).expect("text"), output.status.code()))
}

#[test]
fn a_full_disk_is_said_once_and_the_run_goes_on() {
    let code = r#"
        let big = "";
        big.pad(100000, 'x');
        let job = spawn("chat", "yes | head -c 3000000; exec sleep 60");
        wait_until(|| read_file(env("SAID")).contains("is full"));
        let failed = attempt(|| write_file(temp_dir() + "/x", big));
        assert_eq(failed.error.kind, "io");
        assert_contains(failed.error.message, "no space is left");
        let failed = attempt(|| run("cat", #{stdin: #{text: big}}));
        assert_contains(failed.error.message, "cannot make a temporary file: No space left on device");
        assert_eq(output("echo works"), "works");
        assert(job.running);
        print("end");"#;
    let Some((stdout, stderr, code)) = on_small_disk("size=1m", code) else { return };
    assert_eq!((stdout.as_str(), code), ("end\n", Some(0)), "{stderr}");
    assert_eq!(stderr.matches("is full: what the jobs print gets lost").count(), 1, "{stderr}");
    assert!(stderr.ends_with("1 job stopped, 0 leaked\n"), "{stderr}");
}

#[test]
fn a_failure_on_a_full_disk_is_reported_as_any() {
    let code = r#"spawn("chat", "yes | head -c 3000000; exit 3"); secret("yyyyyyy"); sleep("60s");"#;
    let Some((stdout, stderr, code)) = on_small_disk("size=1m", code) else { return };
    assert_eq!(code, Some(125), "{stderr}");
    assert!(stdout.starts_with("bgjobs-") && stdout.lines().count() == 1, "kept: {stdout}");
    assert!(stderr.contains("error: job `chat` died (exit 3)"), "{stderr}");
    assert!(stderr.contains("last lines of chat"), "{stderr}");
}

#[test]
fn a_disk_without_room_for_a_run_is_an_error_that_leaves_nothing() {
    // One for the disk itself, one for the directory, one for the record; the directory of the logs comes with the first of them.
    for (inodes, script, wanted) in [(1, "print(1)", 125), (2, "print(1)", 125), (3, r#"spawn("true")"#, 1)] {
        let options = format!("size=4k,nr_inodes={inodes}");
        let Some((stdout, stderr, code)) = on_small_disk(&options, script) else { return };
        assert_eq!((stdout.as_str(), code), ("", Some(wanted)), "{options}: {stderr}");
        assert!(
            stderr.starts_with("error: ") && stderr.contains("No space left on device"),
            "{options}: {stderr}"
        );
        // Of the second kind the place in the script is told as well, and the verdict.
        assert_eq!(stderr.lines().count(), if wanted == 1 { 5 } else { 1 }, "{stderr}");
    }
}

#[test]
fn the_directory_of_a_run_is_its_owners_alone_whatever_the_umask_is() {
    use std::os::unix::fs::PermissionsExt;
    for umask in ["000", "022", "777"] {
        let place = tempfile::tempdir().expect("directory");
        let root = nix::unistd::geteuid().is_root();
        if root {
            nix::unistd::chown(place.path(), Some(65534.into()), Some(65534.into())).expect("given");
        }
        let code = "let job = spawn(\"job\", \"umask; cat; exec sleep 60\", #{stdin: #{text: \"from stdin\\n\"}}); job.wait_log(\"from stdin\"); \
            write_file(temp_dir() + \"/x\", \"1\"); print(job.tail(2)); exit(3)";
        let shell = format!("umask {umask}; exec \"$0\" script -e '{code}'");
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &shell])
            .arg(crate::support::bgjobs())
            .env("TMPDIR", place.path())
            .current_dir("/");
        if root {
            std::os::unix::process::CommandExt::uid(&mut command, 65534);
        }
        let output = command.output().expect("sh");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{umask}: {said}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("0{umask}\nfrom stdin\n"),
            "jobs have the umask"
        );
        let mut queue: Vec<_> = std::fs::read_dir(place.path()).expect("there").flatten().collect();
        assert_eq!(queue.len(), 1);
        while let Some(entry) = queue.pop() {
            let meta = entry.metadata().expect("there");
            let mode = meta.permissions().mode() & 0o7777;
            // What the script writes is the script's: it has the umask.
            if entry.file_name() == "x" {
                continue;
            }
            assert_eq!(
                mode,
                if meta.is_dir() { 0o700 } else { 0o600 },
                "umask {umask}: {}",
                entry.path().display()
            );
            if meta.is_dir() {
                queue.extend(std::fs::read_dir(entry.path()).expect("there").flatten());
            }
        }
    }
}

#[test]
fn what_somebody_else_has_planted_beside_the_run_directory_is_not_used() {
    if !nix::unistd::geteuid().is_root() {
        skip("only root can give a directory to another user");
        return;
    }
    let place = tempfile::tempdir().expect("directory");
    let victim = place.path().join("victim");
    std::fs::create_dir(&victim).expect("directory");
    std::fs::write(victim.join("treasure"), "gold").expect("written");
    for plant in ["ln -s ../victim $1.users", "mkdir $1.users; touch $1.users/mine; chown -R 65534 $1.users"]
    {
        let tmp = place.path().join("tmp");
        std::fs::create_dir_all(&tmp).expect("directory");
        let code = format!(
            "let run = temp_dir().split(\"/t1\")[0]; run([\"sh\", \"-c\", \"{plant}\", \"x\", run]); \
             let tried = attempt(|| temp_dir(#{{user: \"nobody\"}})); assert_contains(tried.error.message, \"somebody else has created it\");"
        );
        let _ = Script::code(&code).env("TMPDIR", tmp.to_str().expect("text")).run().code(0);
        assert_eq!(std::fs::read_to_string(victim.join("treasure")).expect("there"), "gold");
        let left: Vec<_> =
            std::fs::read_dir(&tmp).expect("there").flatten().map(|entry| entry.file_name()).collect();
        // The stranger's is the stranger's.
        assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".users")), "{left:?}");
        std::fs::remove_dir_all(&tmp).expect("removed");
    }
}

/// What a job does to its own log, in `own.log`, and what is said of that.
const FATES: &[(&str, &str)] = &[
    ("rm own.log", "was deleted"),
    ("mv own.log old.log", "was renamed to "),
    ("mv own.log old.log; echo new > own.log", "was renamed to "),
];

#[test]
fn a_log_that_is_gone_is_named_and_read_all_the_same() {
    for (act, fate) in FATES {
        let dir = tempfile::tempdir().expect("directory");
        let code = format!(
            r#"let job = spawn("api", "echo before; read go; {act}; echo after; read go; echo error: last; exec sleep 60",
                #{{log: "own.log", stdin: "pipe", fail_on: "^error"}});
            job.wait_log("^before$");
            job.send("\n");
            job.wait_log("^after$");
            assert_eq(job.lines().filter(|line| line != "new"), ["before", "after"]);
            assert_contains(job.tail(9), "before\nafter");
            assert_throws(|| job.wait_log("never", "300ms"), "timeout");
            job.send("\n");
            job.wait_log("never");"#
        );
        let ran = Script::code(&code).cwd(dir.path()).run().code(125);
        let said = format!("own.log, {fate}");
        let ran = ran.stderr_has("warning: the log of api, /").stderr_has(&said);
        let ran =
            ran.stderr_has(&format!("own.log, which {fate}")).stderr_has("  | after\n  | error: last\n");
        assert_eq!(ran.stderr.matches("warning: the log").count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn the_log_of_a_job_that_has_ended_is_read_although_it_was_deleted() {
    let dir = tempfile::tempdir().expect("directory");
    let code = r#"let job = spawn("api", "echo before; rm own.log; echo after; exit 3", #{log: "own.log"}); sleep("60s");"#;
    let ran = Script::code(code).cwd(dir.path()).run().code(125);
    let _ = ran.stderr_has("own.log, which was deleted):\n  | before\n  | after\n");
    // Descriptors are held for living jobs, and for what could not be found otherwise.
    let code = r#"for i in 0..20 { spawn(["true"]).wait(); }
        let held = || output("ls -l /proc/$PPID/fd | grep -c '[.]log$' || true");
        eventually(|| assert_eq(held.call(), "0"));
        let job = spawn("exec sleep 60");
        assert_eq(held.call(), "1");"#;
    let _ = Script::code(code).run().code(0);
}

#[test]
fn a_log_that_was_truncated_is_named() {
    let dir = tempfile::tempdir().expect("directory");
    let code = r#"let job = spawn("api", "echo before; read go; : > own.log; echo new; exec sleep 60", #{log: "own.log", stdin: "pipe"});
        job.wait_log("^before$");
        job.send("\n");
        job.wait_log("^new$");
        job.wait_log("never", "300ms");"#;
    let ran = Script::code(code).cwd(dir.path()).run().code(124);
    let _ =
        ran.stderr_has("own.log, was truncated\n").stderr_has("own.log, which was truncated):\n  | new\n");
}

#[test]
fn a_wait_goes_on_in_the_log_that_has_come_in_the_place_of_the_old_one() {
    let dir = tempfile::tempdir().expect("directory");
    let code = r#"let job = spawn("api", "echo before; read go; mv own.log old.log; exec > own.log; echo rotated; exec sleep 60",
            #{log: "own.log", stdin: "pipe"});
        job.wait_log("^before$");
        parallel([|| job.wait_log("^rotated$"), || job.send("\n")]);
        assert_eq(job.lines(), ["before", "rotated"]);"#;
    let _ = Script::code(code).cwd(dir.path()).run().code(0);
}

#[test]
fn no_secret_stays_in_a_log_that_was_renamed() {
    let dir = tempfile::tempdir().expect("directory");
    let code = r#"secret("hunter2hunter2");
        let job = spawn("api", "echo hunter2hunter2; mv own.log old.log; echo moved; exec sleep 60", #{log: "own.log"});
        job.wait_log("moved");"#;
    let _ = Script::code(code).cwd(dir.path()).run().code(0);
    assert_eq!(std::fs::read_to_string(dir.path().join("old.log")).expect("text"), "***\nmoved\n");
}
