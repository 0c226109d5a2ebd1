//! `secret(…)`: what is registered is shown nowhere.

use crate::support::{Ran, Script};
use std::path::{Path, PathBuf};

const SECRET: &str = "hunter2-is-no-password";

#[track_caller]
fn shows_nothing(ran: Ran) -> Ran {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    ran
}

/// Runs a script in which `s` is the secret, from a file, so that its text is no part of the command line.
fn run(code: &str) -> Ran {
    let script = Script::code(&format!("let s = secret(env(\"TOP\")); {code}")).env("TOP", SECRET);
    shows_nothing(script.env("TMPDIR", "/tmp").run())
}

/// The directory of logs that a run names.
fn logs(ran: &Ran) -> PathBuf {
    let line = ran.stderr.lines().find_map(|line| line.strip_prefix("logs: "));
    PathBuf::from(line.expect("the logs are named"))
}

fn remove_run(ran: &Ran) {
    std::fs::remove_dir_all(logs(ran).parent().expect("a run directory")).expect("removed");
}

#[test]
fn a_secret_is_masked_in_all_that_is_printed() {
    let ran = run(r#"print(`token ${s}`); debug(s); log(s); warn(#{a: s}); print(s.len());
        assert_eq(try_run(`echo ${s}`).stdout, env("TOP") + "\n");
        run(["sh", "-c", "echo $TOP; echo $TOP >&2"]);
        let job = spawn("echo $TOP; exec sleep 60"); job.wait_log("pass");
        assert_eq(job.tail(1), env("TOP")); assert_eq(job.output, env("TOP") + "\n");"#);
    let ran = ran.code(0).stdout("token ***\n22\n***\n***\n");
    let ran = ran.stderr_has("run: echo *** (exit 0");
    assert!(ran.stderr.contains("a: \"***\"") || ran.stderr.contains("\"a\": \"***\""), "{}", ran.stderr);
}

#[test]
fn a_secret_is_masked_in_the_report_of_a_failure() {
    for code in [
        "spawn(\"api\", `echo ${s}; exit 3`); sleep(\"30s\")",
        "throw s",
        "assert_eq(s, \"other\")",
        "let x = \"\"; x.pad(70, 'x'); assert_eq(x + s, \"other\")",
        "spawn(\"true\", #{max_log: \"x\" + s})",
        "run(`exit 3 # ${s}`)",
        "run(`printf '%s' ${s}; exit 3`, #{echo: false})",
        "run(`exit 4 # xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ${s}`)",
        "parse_json(s)",
        "job(s)",
        "spawn([s])",
        "wait_file(s, \"10ms\")",
        "http_get(`http://127.0.0.1:1/${s}`)",
        "start([#{name: s, cmd: \"true\"}])",
        "spawn(s, \"true\")",
    ] {
        let ran = run(code);
        assert_ne!(ran.code, Some(0), "{code}");
        assert!(
            ran.stderr.contains("***") || ran.stderr.contains("contains a secret"),
            "{code}: {}",
            ran.stderr
        );
        if ran.stderr.contains("logs: ") {
            for entry in std::fs::read_dir(logs(&ran)).expect("logs") {
                let path = entry.expect("readable").path();
                assert!(!path.display().to_string().contains("hunter2"));
                assert!(!std::fs::read_to_string(&path).expect("text").contains("hunter2"), "{code}");
            }
            remove_run(&ran);
        }
    }
}

#[test]
fn a_secret_is_masked_in_pieces_too() {
    let ran = run(
        "run(\"for c in h u n t e r 2 - i s - n o - p a s s w o r d; do printf $c; sleep 0.01; done; echo; printf hunt\")",
    );
    let _ = ran.code(0).stdout("***\nhunt");
}

#[test]
fn an_error_that_is_caught_has_the_value_itself() {
    let ran = run(
        "try { run(`exit 3 # ${s}`) } catch (e) { assert(e.message.contains(env(\"TOP\"))); print(e.message) }",
    );
    let _ = ran.code(0).stdout("run: `exit 3 # ***` failed (exit 3)\n");
}

#[test]
fn a_name_that_is_made_of_a_secret_is_not_used() {
    let dir = tempfile::tempdir().expect("directory");
    let program = dir.path().join(SECRET);
    std::fs::copy("/bin/sleep", &program).expect("copied");
    let code = format!(
        "let job = spawn([\"{}/\" + s, \"60\"]); print(job.name); print(job.log_path)",
        dir.path().display()
    );
    let ran = run(&code).code(0);
    assert!(ran.stdout.starts_with("job\n"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("/logs/job.log\n"), "{}", ran.stdout);
}

#[test]
fn kept_logs_have_no_secret_and_no_hole() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().expect("directory");
    let code = format!(
        r#"let s = secret(env("TOP"));
        let chat = "yes a line | head -c 3000000; echo; for i in 1 2 3; do echo $i $TOP.; done; exec sleep 60";
        for job in [spawn("one", chat, #{{max_log: "64KB"}}), spawn("two", chat, #{{max_log: "64KB", log: "{0}/own.log"}})] {{
            job.wait_log("^3 ");
            wait_until(|| parse_int(output(["stat", "-c", "%b", job.log_path])) * 512 <= 72000);
        }}"#,
        dir.path().display()
    );
    let ran = shows_nothing(Script::code(&code).env("TOP", SECRET).option("--keep-logs").run()).code(0);
    for path in [logs(&ran).join("one.log"), dir.path().join("own.log")] {
        let text = std::fs::read_to_string(&path).expect("text");
        let (first, rest) = text.split_once('\n').expect("lines");
        assert!(
            first.starts_with("… the first ") && first.ends_with(" bytes were dropped (max_log) …"),
            "{first}"
        );
        assert!(rest.starts_with("a line\n") && rest.ends_with("\n1 ***.\n2 ***.\n3 ***.\n"), "{rest}");
        assert!(!text.contains('\0'));
        let meta = std::fs::metadata(&path).expect("there");
        assert!(meta.len() <= 64_100 && meta.blocks() * 512 >= meta.len(), "{meta:?}");
    }
    remove_run(&ran);
}

#[test]
fn the_guard_masks_as_well_when_the_host_is_gone() {
    let code = r#"let s = secret(env("TOP"));
        spawn("api", ["sh", "-c", "echo $1; trap '' TERM; exec sleep 60", "x", s]).wait_log("pass");
        run("kill -9 $PPID")"#;
    let ran = Script::code(code).env("TOP", SECRET).option("--grace").option("100ms").run();
    let ran = shows_nothing(ran).code(125).stderr_has("host killed by SIGKILL");
    assert_eq!(std::fs::read_to_string(logs(&ran).join("api.log")).expect("text"), "***\n");
    remove_run(&ran);
}

#[test]
fn a_secret_of_several_lines_is_masked_line_by_line() {
    let dir = tempfile::tempdir().expect("directory");
    std::fs::write(dir.path().join("key"), "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA\n-----END KEY-----\n")
        .expect("written");
    let code = "let key = secret(read_file(\"key\")); print(key); log(to_json(key)); \
        run(\"cat key; sed 's/^/  /' key\"); throw `bad ${key}`";
    let ran = Script::code(code).cwd(dir.path()).run().code(1);
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("MIIE") && !text.contains("KEY") && text.contains("***"), "{text}");
    }
}

#[test]
fn what_is_too_short_to_be_masked_is_refused() {
    let ran = Script::code("secret(\"abc\")").run().code(2);
    let _ = ran.stderr_has("error: secret: 3 characters are too few to be masked: at least 4");
    let _ = Script::code("assert_eq(secret(\"\"), \"\"); assert_eq(secret(12345), 12345); print(12345)")
        .run()
        .code(0)
        .stdout("***\n");
    let ran = Script::code("secret(env(\"NO_SUCH_VARIABLE\"))").run().code(2);
    let _ = ran.stderr_has("env(\"NAME\", \"\")");
    let _ = Script::code("let x = \"\"; x.pad(1000, 'x'); for i in range(0, 100) { secret(x + i) }")
        .run()
        .code(2)
        .stderr_has("more than 64 KiB");
}

#[test]
fn masked_output_of_any_amount_gets_through() {
    let code = "secret(\"yyyy\"); run(\"yes yyyy- | tr -d '\\\\n' | head -c 10000000; echo; echo end\")";
    let ran = Script::code(code).run().code(0);
    assert!(ran.stdout.ends_with("***-\nend\n"), "{}", ran.stdout.len());
    assert_eq!(ran.stdout.matches("***").count(), 2_000_000);
    assert!(Path::new("/").exists());
}

#[test]
fn a_secret_that_is_cut_short_is_masked_where_an_output_or_a_line_ends() {
    let ran = run("run(\"printf %.20s $TOP\"); print(\"next\"); run(\"printf '%.20s\\\\n' $TOP\"); run(\"printf %.16s $TOP >&2\");
        print(`${s.sub_string(0, 20)}`); run(\"printf '%.20s, no more' $TOP | tr -d h\")");
    let _ = ran.code(0).stdout("***next\n***\n***\nunter2-is-no-passwo, no more").stderr_has("***");
}

#[test]
fn a_secret_is_masked_as_bgjobs_itself_encodes_it() {
    let code = r#"let s = secret(env("TOP"));
        let web = mock(#{"GET /*": 200, "POST /*": 200});
        http_get(`${web.url}/a?token=${s}`);
        http_get(web.url + "/b", #{auth: "user:" + s});
        http_get(web.url + "/c", #{auth: "u:" + s});
        http_get(web.url + "/d", #{auth: #{user: "us", password: s}});
        http_post(web.url + "/e", (), #{form: #{token: s}});
        http_post(web.url + "/f", (), #{json: #{token: s}});
        assert_eq(requests(web).len(), 6);
        print(read_file(web.log_path));
        run(["echo", s]);
        print(quote(s));
        attempt(|| http_get(`http://127.0.0.1:1/${s}`, #{timeout: "1s"})).error.message"#;
    for secret in ["pä ss'w\"ord\\\\x", "hunter2-is-no-password", "a b/c?d;e=f(g"] {
        let ran = Script::code(&format!("print({{ {code} }})")).env("TOP", secret).run().code(0);
        let tokens = [
            "hunter2",
            "unter2-is",
            "ss'w",
            "ss%27",
            "ord",
            "b/c",
            "b%2Fc",
            "d&e",
            "d%26e",
            "aHVudGVy",
            "h1bnRlc",
            "odW50ZX",
        ];
        for text in [&ran.stdout, &ran.stderr] {
            for token in tokens {
                assert!(!text.contains(token), "{secret}: {token}: {text}");
            }
        }
        assert!(ran.stdout.matches("***").count() >= 8, "{secret}: {}", ran.stdout);
    }
}

#[test]
fn a_log_of_ones_own_is_masked_also_when_the_host_is_killed() {
    let dir = tempfile::tempdir().expect("directory");
    let own = dir.path().join("own.log");
    let code = format!(
        r#"let s = secret(env("TOP"));
        spawn("api", "echo $TOP; exec sleep 60", #{{log: "{}"}}).wait_log("pass");
        run("kill -9 $PPID")"#,
        own.display()
    );
    let ran = Script::code(&code).env("TOP", SECRET).run();
    let _ = shows_nothing(ran).code(125).stderr_has("host killed by SIGKILL");
    assert_eq!(std::fs::read_to_string(own).expect("text"), "***\n");
}

#[test]
fn many_secrets_with_a_common_beginning_take_no_time() {
    let code = "let x = \"\"; x.pad(2000, 'x'); for i in 0..20 { secret(x + `${i}`); } \
        run(\"yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | tr -d '\\\\n' | head -c 2000000\"); \
        print(); print(\"end\")";
    // Each byte may be the beginning of any of them: one by one these would be 40 billion comparisons.
    let ran = Script::code(code).option("--timeout").option("60s").run().code(0);
    assert!(ran.stdout.ends_with("end\n"), "{}", ran.stdout.len());
}
