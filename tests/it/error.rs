//! What a bad script is told, where more than the message matters: where it comes from, what else happens. The whole
//! messages are in tests/scripts/message.rs.

use crate::support::{Script, bgjobs, repo, skip};
use std::fs;

#[test]
fn no_golden_message_has_lost_its_script() {
    for entry in fs::read_dir(repo("tests/error")).expect("tests/error is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "stderr") {
            assert!(path.with_extension("rhai").exists(), "{} has no script", path.display());
        }
    }
}

#[test]
fn a_missing_script_is_a_usage_error() {
    let ran = Script::file("nowhere.rhai").cwd(repo("tests/error")).run().code(2);
    ran.stderr_has("there is no script `nowhere.rhai`");
}

/// The exit codes tell a missing program (127) from a missing file; which function has met it makes no difference.
#[test]
fn a_missing_file_or_directory_is_1_wherever_it_is_named() {
    for code in [
        "read_file(\"nowhere\")",
        "read_json(\"nowhere\")",
        "load_env(\"nowhere\")",
        "write_file(\"nowhere/x\", \"\")",
        "cd(\"nowhere\")",
        "run(\"true\", #{cwd: \"nowhere\"})",
        "try_run(\"true\", #{cwd: \"nowhere\"})",
        "output([\"true\"], #{cwd: \"nowhere\"})",
        "spawn(\"sleep 60\", #{cwd: \"nowhere\"})",
        "start([#{name: \"a\", cmd: \"sleep 60\", cwd: \"nowhere\"}])",
        "spawn(\"sleep 60\", #{log: \"nowhere/log\"})",
        "mock(#{\"/\": #{file: \"nowhere\"}})",
        "import \"std/procfile\" as p; p::start(\"nowhere\")",
        "import \"std/services\" as s; s::start(\"nowhere.yaml\")",
        "import \"std/db\" as db; db::migrate(#{apply: ()}, \"nowhere\")",
        "import \"std/node\" as n; n::npm(\"start\", #{cwd: \"nowhere\"})",
        "import \"std/node\" as n; n::script(\"nowhere\")",
        "import \"std/python\" as p; p::http_server(\"nowhere\")",
        "import \"std/python\" as p; p::run(\"nowhere\", [])",
    ] {
        let ran = Script::code(code).cwd(repo("tests/error")).run();
        assert_eq!(ran.code, Some(1), "{code}\n{}", ran.stderr);
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains("nowhere"),
            "{code}\n{}",
            ran.stderr
        );
    }
    // A program, a module, a script.
    for (code, exit) in [("run([\"nowhere\"])", 127), ("import \"nowhere\" as n;", 2)] {
        let _ = Script::code(code).run().code(exit);
    }
}

#[test]
fn a_file_that_a_job_may_not_read_is_told_with_its_owner() {
    let dies = "[\"sh\", \"-c\", \"cat ${0#*=} && exit 3\", \"--key=\" + key]";
    let root = nix::unistd::geteuid().is_root();
    let start = |user: &str, mode: &str| {
        let dir = if user.is_empty() { String::new() } else { format!("#{{user: \"{user}\"}}") };
        let opts = if user.is_empty() { String::new() } else { format!("user: \"{user}\", cwd: \"/\", ") };
        Script::code(&format!(
            "let key = temp_dir({dir}) + \"/server.key\"; write_file(key, \"\"); run([\"chmod\", \"{mode}\", key]);
             start(\"server\", {dies}, #{{{opts}ready: #{{log: \"never\"}}}})"
        ))
        .run()
        .code(125)
    };
    if root {
        start("nobody", "600")
            .stderr_has("/server.key` belongs to `root` (mode 600), and the job runs as `nobody`")
            .stderr_has("try: temp_dir(#{user: \"nobody\"})   (a place for files that it can read)");
        // One that it can read has nothing to do with it.
        assert!(!start("nobody", "644").stderr.contains("belongs to"));
    } else {
        start("", "0").stderr_has("/server.key` belongs to `").stderr_has(" (mode 0), and the job runs as `");
    }
}

#[test]
fn a_file_that_a_configuration_names_and_a_job_may_not_read_is_told_with_its_owner() {
    let start = |line: &str, mode: &str| {
        let (dir, opts) = match nix::unistd::geteuid().is_root() {
            true => ("#{user: \"nobody\"}", "user: \"nobody\", cwd: \"/\", "),
            false => ("", ""),
        };
        Script::code(&format!(
            "let dir = temp_dir({dir}); let key = dir + \"/server.key\"; write_file(key, \"\"); run([\"chmod\", \"{mode}\", key]);
             write_file(dir + \"/server.conf\", `port 1\n{line}\n`);
             run([\"chmod\", \"644\", dir + \"/server.conf\"]);
             start(\"server\", [\"sh\", \"-c\", \"exit 3\", \"-c\", dir + \"/server.conf\"], #{{{opts}ready: #{{log: \"never\"}}}})"
        ))
        .run()
        .code(125)
    };
    start("tls_key_file ${key}", "0")
        .stderr_has("/server.key` belongs to `")
        .stderr_has("and the job runs as `");
    assert!(!start("# tls_key_file ${key}", "0").stderr.contains("belongs to"));
    assert!(!start("tls_key_file ${key}", "644").stderr.contains("belongs to"));
}

#[test]
fn a_closed_file_of_a_configuration_that_only_a_variable_names_is_told_also_when_the_time_is_up() {
    let (dir, opts) = match nix::unistd::geteuid().is_root() {
        true => ("#{user: \"nobody\"}", "user: \"nobody\", cwd: \"/\", "),
        false => ("", ""),
    };
    let start = |cmd: &str, code: i32| {
        Script::code(&format!(
            "let dir = temp_dir({dir}); let key = dir + \"/server.key\"; write_file(key, \"\"); run([\"chmod\", \"0\", key]);
             write_file(dir + \"/server.conf\", `ssl.keyfile = ${{key}}\n`); run([\"chmod\", \"644\", dir + \"/server.conf\"]);
             start(\"server\", \"{cmd}\", #{{{opts}env: #{{CONFIG_FILE: dir + \"/server\"}}, ready: #{{log: \"never\"}}, timeout: \"100ms\"}})"
        ))
        .run()
        .code(code)
        .stderr_has("/server.key` belongs to `")
        .stderr_has("and the job runs as `");
    };
    start("exit 3", 125);
    start("exec sleep 61", 124);
}

#[test]
fn a_directory_is_no_script() {
    Script::file("lib").cwd(repo("tests/error")).run().code(2).stderr_has("`lib` is a directory");
}

#[test]
fn a_script_must_be_utf8() {
    let dir = tempfile::tempdir().expect("temporary directory");
    fs::create_dir(dir.path().join("lib")).expect("created");
    let utf16 = |start: &[u8]| -> Vec<u8> {
        start.iter().copied().chain("print(1);\n".encode_utf16().flat_map(u16::to_le_bytes)).collect()
    };
    for (text, wrong) in [
        (b"print(\"a\");\nprint(\"caf\xe9\");\n".to_vec(), "not UTF-8: invalid byte on line 2"),
        (utf16(b"\xff\xfe"), "UTF-16, not UTF-8: save it as UTF-8"),
        (utf16(b""), "UTF-16, not UTF-8: save it as UTF-8"),
    ] {
        fs::write(dir.path().join("other.rhai"), &text).expect("written");
        fs::write(dir.path().join("lib/other.rhai"), &text).expect("written");
        let ran = Script::file("other.rhai").cwd(dir.path()).run().code(2);
        ran.stderr_has(&format!("`other.rhai` is {wrong}"));
        let ran = Script::code("import \"lib/other\" as other;").cwd(dir.path()).run().code(2);
        ran.stderr_has(&format!("the module `lib/other.rhai` is {wrong}"));
    }
}

#[test]
fn a_comment_without_an_end_hides_nothing_in_a_script_from_elsewhere() {
    let code = "print(1);\n/* disabled\nfail(\"lost\");\n";
    Script::code(code).run().code(2).stdout("").stderr_has("this comment is never closed\n  --> -e:2:1");
    let dir = tempfile::tempdir().expect("temporary directory");
    fs::write(dir.path().join("open.rhai"), code).expect("written");
    let ran = Script::code("import \"open\" as open;").cwd(dir.path()).run().code(2).stdout("");
    ran.stderr_has("this comment is never closed\n  --> open.rhai:2:1");
    let stdin = fs::File::open(dir.path().join("open.rhai")).expect("readable");
    let ran = Script::file("-").command().stdin(stdin).output().expect("bgjobs starts");
    assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(2), &b""[..]));
    // Closed ones, nested ones and what only looks like one are none.
    Script::code("/* /* */ */ print(\"/*\"); // /*\n/***/").run().code(0).stdout("/*\n");
}

/// Editors on Windows put one in front of what they save.
#[test]
fn a_byte_order_mark_is_no_part_of_a_script_or_a_configuration() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for (file, text) in [
        ("marked.rhai", "#!/usr/bin/env -S bgjobs script\nimport \"module\" as m; print(m::f());"),
        ("module.rhai", "fn f() { 1 }"),
        ("a.json", "{\"a\": 1}"),
        ("a.yaml", "a: 1"),
        ("a.toml", "a = 1"),
        ("a.env", "A=1"),
        ("Procfile", "web: true"),
    ] {
        fs::write(dir.path().join(file), format!("\u{feff}{text}")).expect("written");
    }
    let run = |script: Script| script.cwd(dir.path()).run();
    run(Script::file("marked.rhai")).code(0).stdout("1\n");
    let stdin = fs::File::open(dir.path().join("marked.rhai")).expect("readable");
    let ran = Script::file("-").cwd(dir.path()).command().stdin(stdin).output().expect("bgjobs starts");
    assert_eq!(ran.stdout, b"1\n");
    let code = r#"
        for value in [read_json("a.json"), read_yaml("a.yaml"), read_toml("a.toml"), parse_json(output("cat a.json"))] {
            assert_eq(value, #{a: 1});
        }
        assert_eq(read_file("a.env"), "A=1");
        assert_eq(load_env("a.env"), #{A: "1"});
        import "std/procfile" as p;
        assert_eq(p::read("Procfile")[0].name, "web");
    "#;
    run(Script::code(code)).code(0);
}

/// It has done nothing that could be judged. Whatever was started is.
#[test]
fn a_usage_error_before_anything_was_started_has_no_verdict() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for (code, judged) in [
        ("let x = ;", false),
        ("prin(1)", false),
        ("param(\"port\")", false),
        ("print(1); throw #{kind: \"usage\", message: \"no\"}", false),
        ("run(\"true\"); param(\"port\")", true),
        ("test(\"a\", || ()); param(\"port\")", true),
        ("exit(2)", true),
    ] {
        let ran = Script::code(code).cwd(dir.path()).run().code(2);
        assert_eq!(ran.stderr.contains("bgjobs: failed (exit 2) in"), judged, "{code}: {}", ran.stderr);
    }
}

/// As `bgjobs script <(…)`, where the shell makes a name for a pipe.
#[test]
fn a_script_may_come_from_a_fifo_but_not_from_what_never_ends() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("created");
    fs::create_dir(dir.path().join("elsewhere")).expect("created");
    fs::write(dir.path().join("elsewhere/module.rhai"), "fn f() { 1 }").expect("written");
    let run = || Script::file("../fifo").cwd(dir.path().join("elsewhere"));
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::write(fifo, "import \"module\" as m; print(m::f(), script_dir() == cwd());")
    });
    run().run().code(0).stdout("1 true\n");
    writer.join().expect("no panic").expect("written");
    // Nobody writes to it.
    let ran = run().option("--timeout").option("200ms").run().code(124);
    ran.stderr_has("timed out after 200 ms");
    Script::file("/dev/zero").run().code(2).stderr_has("the script `/dev/zero` is larger than 64 MiB");
}

#[test]
fn an_empty_script_passes() {
    let dir = tempfile::tempdir().expect("temporary directory");
    fs::write(dir.path().join("empty.rhai"), "").expect("written");
    Script::file("empty.rhai").cwd(dir.path()).run().code(0).stdout("");
    Script::code("").run().code(0).stdout("");
}

#[test]
fn code_on_the_command_line_can_be_checked() {
    let check = |code: &str| std::process::Command::new(bgjobs()).args(["check", "-e", code]).output();
    let good = check("print(1)").expect("bgjobs starts");
    assert_eq!(good.status.code(), Some(0));
    let bad = check("prin(1)").expect("bgjobs starts");
    assert_eq!(bad.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("no function `prin`"));
}

#[test]
fn a_stranger_on_the_port_of_ones_own_job_is_nothing_to_accept() {
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = stranger.local_addr().expect("bound").port();
    let ran = Script::code(&format!("start(\"api\", \"sleep 30\", #{{ready: {port}}})")).run().code(125);
    assert!(!ran.stderr.contains("external"), "{}", ran.stderr);
    assert!(ran.stderr.contains("try: port: \"free\""), "{}", ran.stderr);
    let ran = Script::code(&format!("wait_port({port})")).run().code(125);
    ran.stderr_has("`external: true` accepts it");
}

/// Whether the command was meant as arguments of a program that has the name of the job.
#[test]
fn a_name_that_could_be_a_program_is_taken_for_one_only_where_it_looks_so() {
    let said = |command: &str| Script::code(&format!("spawn(\"sh\", {command})")).run().code(127).stderr;
    for arguments in ["[\"-z\", \"x\"]", "\"-z true\"", "\"setup.sh\"", "[\"build\"]"] {
        let said = said(arguments);
        assert!(said.contains("\ntry: spawn([\"sh\", "), "{said}");
    }
    for command in ["./nowhere --port 1", "shh -c true", "sh-server --port 1", "/usr/bin/nowhere"] {
        let said = said(&format!("{command:?}"));
        assert!(!said.contains("spawn(["), "{said}");
    }
    // Nobody knows.
    let said = said("\"nowhere --port 1\"");
    assert!(!said.contains("\ntry: spawn"), "{said}");
    assert!(
        said.contains("to run the program `sh` with these arguments: spawn([\"sh\", \"nowhere\", "),
        "{said}"
    );
}

#[test]
fn a_directory_that_another_user_may_not_enter_says_so() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if fs::metadata("/proc/self").expect("/proc is there").uid() != 0 {
        skip("only root can start something as another user");
        return;
    }
    let dir = tempfile::tempdir().expect("temporary directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("mode is set");
    let code = format!("run(\"true\", #{{user: \"nobody\", cwd: {:?}}})", dir.path());
    let ran = Script::code(&code).run().code(1);
    ran.stderr_has("Permission denied for the user of the option `user`");
}

/// What a process, a file name or a script's value has in it must not repaint or turn round what bgjobs says.
#[test]
fn nothing_that_is_said_orders_the_terminal_about() {
    let dir = tempfile::tempdir().expect("directory");
    let code = r#"
        let evil = "\x1b[2J\x1b]0;title\x07\u202e\u009b31m\r\x08";
        log("l" + evil);
        warn("w" + evil);
        on_exit(|| throw "x" + evil);
        write_file("p" + evil, "x\n");
        test("t" + evil, || assert_eq("a" + evil, "b"));
        test("s" + evil, || skip("r" + evil));
        let job = spawn("job", ["sh", "-c", "printf '\\033[2Jlog\\342\\200\\256\\n'; exec sleep 60", "c" + evil],
            #{log: "log" + evil});
        job.wait_log("log");
        print("printed" + evil);
        run("printf '\\033[2Jstreamed\\n' # " + evil);
        test("io", || read_file("no" + evil));
        try_run("false # " + evil);
        test("cmd", || run(["sh", "-c", "exit 3", "c" + evil], #{echo: false}));
        test("param", || param("x" + evil));
        job.wait_log("never" + evil, #{timeout: "10ms", message: "m" + evil});
    "#;
    let own = regex::Regex::new("\x1b\\[[0-9;]*m").expect("a pattern");
    for color in ["never", "always"] {
        let ran = Script::code(code).option(&format!("--color={color}")).cwd(dir.path()).run();
        for raw in ["printed\x1b[2J", "\x1b[2Jstreamed\n"] {
            assert!(ran.stdout.contains(raw), "no {raw:?} in {:?}", ran.stdout);
        }
        let said = if color == "always" { own.replace_all(&ran.stderr, "").into_owned() } else { ran.stderr };
        let orders =
            |c: &char| (c.is_control() && !"\n\t".contains(*c)) || ('\u{202a}'..='\u{202e}').contains(c);
        let found: Vec<char> = said.chars().filter(orders).collect();
        assert!(found.is_empty(), "{found:?} in\n{said}");
        for part in
            ["l\u{fffd}[2J", "w\u{fffd}", "t\u{fffd}", "s\u{fffd}", "r\u{fffd}", "x\u{fffd}", "m\u{fffd}"]
        {
            assert!(said.contains(part), "no {part:?} in\n{said}");
        }
    }
}

#[test]
fn a_thrown_value_is_cut_to_a_few_lines() {
    let code = r#"let text = ""; for i in 0..1000 { text += "line " + i + "\n"; } "#;
    let thrown = Script::code(&format!("{code} throw text")).run().code(1);
    let thrown =
        thrown.stderr_has("error: line 0\n  line 1\n").stderr_has("  line 7\n  … 992 more lines\n  -->");
    assert!(thrown.stderr.lines().count() < 16, "{}", thrown.stderr);
    let failed = Script::code(&format!("{code} fail(text)")).run().code(1);
    let _ = failed.stderr_has("  line 7\n  … 992 more lines\n");
    let long = Script::code("let x = \"\"; x.pad(100000, 'x'); throw x").run().code(1);
    assert!(long.stderr.len() < 1500, "{}", long.stderr.len());
    // Whoever catches it has all of it.
    let caught = format!("{code} try {{ throw text }} catch (e) {{ assert_eq(e, text) }}");
    let _ = Script::code(&caught).run().code(0);
}

/// What comes one after the other in a text, whatever stands between.
fn in_this_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} where it should be in\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

/// Starts `api`, which answers a command that touches `go` with twelve lines.
const API: &str = r#"let go = temp_dir() + "/go";
    let api = start("api", `echo listening; while [ ! -e ${go} ]; do sleep 0.01; done; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo GET $i; done; exec sleep 60`,
        #{ready: #{log: "listening"}});
    let ask = `touch ${go}; while ! grep -q 'GET 12' ${api.log_path}; do sleep 0.01; done; `;"#;

#[test]
fn a_failed_assertion_shows_the_ends_of_the_logs() {
    for check in ["assert_eq(1, 2)", "throw \"odd\"", "http_get(\"http://127.0.0.1:1/\")"] {
        let code = format!("{API} spawn(\"quiet\", \"exec sleep 60\"); run(ask); {check}");
        let ran = Script::code(&code).run().code(1);
        in_this_order(&ran.stderr, &["error: ", "last lines of api", "| listening", "| GET 12\n", "logs: "]);
        assert!(!ran.stderr.contains("of quiet"), "{}", ran.stderr);
    }
}

#[test]
fn a_failed_command_shows_its_summary_last() {
    let tests =
        "ask + `for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo ok $i; done; echo 12 passed, 1 failed; exit 3`";
    for (options, last) in [("", "last lines of `touch"), (", #{echo: false}", "output of `touch")] {
        let ran = Script::code(&format!("{API} run({tests}{options});")).run().code(3);
        let parts = [
            "last lines of api",
            ":\n  | GET 8\n",
            "  | GET 12\n",
            last,
            "| 12 passed, 1 failed\n",
            "logs: ",
        ];
        in_this_order(&ran.stderr, &parts);
        assert!(!ran.stderr.contains("| GET 7\n"), "{}", ran.stderr);
    }
    // Where nothing comes between, nothing is said twice.
    let ran = Script::code("spawn(\"exec sleep 60\"); run(\"echo 1 failed; exit 3\")").run().code(3);
    assert!(!ran.stderr.contains("| 1 failed"), "{}", ran.stderr);
}

/// How long the logs were before is known without asking once nobody has written for a while; before that it is asked.
#[test]
fn a_failed_command_shows_the_logs_that_have_grown_meanwhile_and_no_others() {
    const WHILE: &str = "sleep(\"800ms\");";
    for before in ["", WHILE] {
        let idle = "spawn(\"idle\", \"echo idle; exec sleep 60\").wait_log(\"idle\");";
        let code = format!("{idle} {API} {before} run(\"true\"); run(ask + `exit 3`);");
        let ran = Script::code(&code).run().code(3);
        in_this_order(&ran.stderr, &["error: ", "last lines of api", "| GET 12\n"]);
        assert!(!ran.stderr.contains("of idle"), "{}", ran.stderr);
        // What was written before the command is not its doing.
        let code = format!("{idle} {API} {before} run(ask); {before} run(\"exit 3\");");
        let ran = Script::code(&code).run().code(3);
        assert!(!ran.stderr.contains("last lines of api"), "{}", ran.stderr);
    }
}
