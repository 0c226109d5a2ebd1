//! The scenario scripts that are built in, run by their names against real servers, and how they are found, listed
//! and explained.

use crate::support::{Ran, Script, bgjobs, lacks, repo, search_path};
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
fn completions_are_for_the_shell_that_was_named() {
    for (shell, part) in
        [("bash", "complete -F _bgjobs"), ("zsh", "#compdef bgjobs"), ("fish", "complete -c bgjobs")]
    {
        let printed = call(&["completions", shell]);
        assert_eq!(printed.status.code(), Some(0));
        assert!(
            stdout(&printed).contains(part) && stdout(&printed).contains("keep-logs"),
            "{}",
            stdout(&printed)
        );
    }
    assert_eq!(call(&["completions", "cmd.exe"]).status.code(), Some(2));
}

/// What bash offers for the last of these words, in a directory with the file `my.rhai`.
fn completed(words: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("my.rhai"), "param(\"port\", 80)").expect("written");
    let script = "source \"$1\"; shift; COMP_WORDS=(bgjobs \"$@\"); COMP_CWORD=$#; \
                  _bgjobs_script bgjobs \"${!#}\" \"${COMP_WORDS[$#-1]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let text = call(&["completions", "bash"]).stdout;
    fs::write(dir.path().join("completions"), text).expect("written");
    let ran = Command::new("bash")
        .args(["-c", script, "bash", "completions"])
        .args(words)
        .env("PATH", format!("{}:{}", bgjobs().parent().expect("a directory").display(), search_path()))
        .current_dir(dir.path())
        .output()
        .expect("bash starts");
    assert!(ran.status.success() && ran.stderr.is_empty(), "{}", stderr(&ran));
    stdout(&ran).lines().map(str::to_owned).collect()
}

#[test]
fn a_shell_completes_the_names_of_what_is_built_in() {
    if lacks(&["bash"]) {
        return;
    }
    assert_eq!(completed(&["script", "se"]), ["serve-and-test", "services-file"]);
    assert_eq!(completed(&["script", "my"]), ["my.rhai"]);
    for words in
        [&["script", ""][..], &["script", "-q", "--timeout", "5m", ""], &["script", "--grace", "=", "1s", ""]]
    {
        let offered = completed(words);
        for name in ["demo", "smoke", "my.rhai"] {
            assert!(offered.iter().any(|word| word == name), "{words:?}: {offered:?}");
        }
    }
    assert!(completed(&["script", "--"]).contains(&"--keep-logs".to_owned()));
    // What a script asks for, once there is one: whether it is built in or not.
    let asked = [
        "--cmd",
        "--test",
        "--url",
        "--status",
        "--method",
        "--header",
        "--send",
        "--ready-timeout",
        "--help",
    ];
    assert_eq!(completed(&["script", "serve-and-test", "--"]), asked);
    assert_eq!(
        completed(&["script", "-q", "--timeout", "5s", "serve-and-test", "--cmd", "x", "--u"]),
        ["--url"]
    );
    assert_eq!(completed(&["script", "my.rhai", "--"]), ["--port", "--help"]);
    assert_eq!(completed(&["script", "nowhere.rhai", "--"]), [""]);
    assert_eq!(completed(&["man", "sc"]), ["script", "scripts"]);
    // The value of an option is none, nor is an argument of the script.
    for words in [&["script", "--color", ""][..], &["script", "demo", ""]] {
        assert!(!completed(words).contains(&"smoke".to_owned()), "{words:?}");
    }
    assert_eq!(
        completed(&["api", "std/p"]),
        ["std/postgres", "std/process_compose", "std/procfile", "std/python"]
    );
    assert!(completed(&["scripts", ""]).contains(&"demo".to_owned()));
    let commands = completed(&[""]);
    assert!(commands.contains(&"sweep".to_owned()) && !commands.contains(&"mock".to_owned()), "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let text = stdout(&call(&["completions", shell]));
        assert!(!text.contains("mock") && text.contains("serve-and-test"), "{text}");
    }
}

#[test]
fn manual_pages_are_of_bgjobs_and_of_its_commands() {
    let page = stdout(&call(&["man"]));
    assert!(page.contains(".TH bgjobs 1") && page.contains("bgjobs\\-script"), "{page}");
    let page = stdout(&call(&["man", "script"]));
    assert!(page.contains(".TH bgjobs-script 1") && page.contains("\\-\\-keep\\-logs"), "{page}");
    let unknown = call(&["man", "scripd"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("there is no command `scripd`"), "{}", stderr(&unknown));
    assert!(stderr(&unknown).ends_with("try: bgjobs man script\n"), "{}", stderr(&unknown));
}

#[test]
fn serve_and_test_ends_as_the_tests_do() {
    if lacks(&["python3", "curl"]) {
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

/// The source of a script that is built in is not the caller's.
#[test]
fn an_error_of_a_built_in_script_points_at_what_was_typed() {
    let run = |args: &[&str]| scenario("serve-and-test", args, &[]);
    let points = |ran: Ran, at: &str| {
        let line = format!("\n  --> {at}\n");
        assert!(
            ran.stderr.contains(&line) && !ran.stderr.contains("serve-and-test:"),
            "{line}{}",
            ran.stderr
        );
    };
    points(run(&["--cmd", "exit 3", "--test", "x"]), "--cmd \"exit 3\"");
    points(run(&["--cmd", "no-such-program here", "--test", "x"]), "--cmd \"no-such-program here\"");
    points(run(&["--cmd", "sleep 60", "--ready-timeout", "100ms", "--test", "x"]), "--cmd \"sleep 60\"");
    let url = "http://127.0.0.1:1/health";
    points(
        run(&["--cmd", "sleep 60", "--url", url, "--ready-timeout", "100ms", "--test", "x"]),
        &format!("--url {url}"),
    );
    points(run(&["--cmd", "x", "--test", "x", "--url", "localhost"]), "--url localhost");
    let ran = scenario("multi-service", &["--service", "api=exit 4", "--test", "x"], &[]);
    let _ = ran.code(125).stderr_has("\n  --> --service \"api=exit 4\"\n");
    let ran = run(&["--cmd", "x"]).code(2);
    assert!(!ran.stderr.contains("-->"), "{}", ran.stderr);
}

/// Asked as the server wants to be asked, or not by HTTP at all.
#[test]
fn serve_and_test_waits_for_what_is_not_a_web_server() {
    if lacks(&["perl"]) {
        return;
    }
    let fixture = |name: &str| fs::read_to_string(repo("tests/fixture").join(name)).expect("is there");
    let files = [("answer.pl", &*fixture("answer.pl")), ("sock.pl", SOCKET)];
    let run = |cmd: &str, url: &str, more: &[&str]| {
        let mut args = vec!["--cmd", cmd, "--url", url, "--test", "echo at $URL"];
        args.extend(more);
        scenario("serve-and-test", &args, &files)
    };
    let at = |ran: Ran, start: &str| {
        let ran = ran.code(0);
        assert!(ran.stdout.starts_with(&format!("at {start}")), "{}", ran.stdout);
    };
    let free = free_port();
    let fixed = format!("exec perl answer.pl {free} 200");
    let own = "exec perl answer.pl $PORT 200";
    at(run(&fixed, &free.to_string(), &[]), &format!("http://127.0.0.1:{free}\n"));
    at(run(&fixed, &format!("{free}/x"), &[]), &format!("http://localhost:{free}\n"));
    at(run(&fixed, &format!("tcp://localhost:{free}"), &[]), &format!("tcp://localhost:{free}\n"));
    at(run(&fixed, "listening", &[]), &format!("http://127.0.0.1:{free}\n"));
    at(
        run(
            own,
            "cmd:perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(\"127.0.0.1:$ENV{PORT}\")'",
            &[],
        ),
        "http://127.0.0.1:",
    );
    at(run("echo waiting for jobs; exec sleep 60", "log:waiting for (\\w+)", &[]), "http://127.0.0.1:");
    at(run("exec perl sock.pl", "unix:s.sock", &[]), "unix:s.sock\n");
    // A server that takes nothing but POST.
    let rpc = "exec perl answer.pl $PORT 405";
    at(run(rpc, "/", &["--send", "{\"method\": \"eth_chainId\"}"]), "http://127.0.0.1:");
    at(run(rpc, "/", &["--status", "any"]), "http://127.0.0.1:");
    at(
        run(rpc, "/", &["--status", "405", "--header", "accept: text/plain", "--method", "put"]),
        "http://127.0.0.1:",
    );
    let refused = run(rpc, "/", &["--ready-timeout", "3s"]).code(124);
    let _ = refused.stderr_has("\n  --> --url /\n").stderr_has(
        "\ntry: --url / --status any   (it answers 405, so it runs; --send '{…}' makes the request a POST)\n",
    );
}

/// Listens on the Unix socket s.sock.
const SOCKET: &str =
    "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Local => 's.sock', Listen => 1); sleep 60;";

/// What is advised is what can be typed, not what a script of one's own would say.
#[test]
fn built_in_scripts_advise_their_own_options() {
    if lacks(&["perl", "npm"]) {
        return;
    }
    let server = fs::read_to_string(repo("tests/fixture/answer.pl")).expect("is there");
    let port = free_port();
    let package = format!("{{\"scripts\": {{\"dev\": \"exec perl answer.pl {port} 405\"}}}}");
    let files = [("answer.pl", &*server), ("package.json", &*package)];
    let of_scripts = [
        "port: \"free\"",
        "kill_port",
        "ready: ",
        "external",
        "`stdin",
        "expect_exit",
        "error: start:",
        "error: run:",
    ];
    let run = |name: &str, patience: &str, args: &[&str]| {
        let mut all = vec!["--ready-timeout", patience];
        all.extend(args);
        let ran = scenario(name, &all, &files);
        for word in of_scripts {
            assert!(!ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
        ran
    };
    let fixed = format!("exec perl answer.pl {port} 200");
    let url = format!("http://localhost:{}/x", free_port());
    let hint = |option: &str| format!("\ntry: {option}   (`server` listens on {port}, not on ");
    let serve = |name: &str| run(name, "2s", &["--cmd", &fixed, "--url", &url, "--test", "true"]).code(124);
    for name in ["serve-and-test", "capture-logs", "restart-resilience", "health-check"] {
        let _ = serve(name).stderr_has(&hint(&format!("--url {port}/x")));
    }
    let ran = run("smoke", "2s", &["--cmd", &fixed, "--base", &url, "--check", "/"]).code(124);
    let _ = ran.stderr_has(&hint(&format!("--base http://localhost:{port}/x")));
    let ran = run("smoke", "2s", &["--base", "localhost:1", "--check", "/"]).code(2);
    let _ = ran
        .stderr_has("error: --base is \"localhost:1\", not URL\n")
        .stderr_has("\ntry: --base http://localhost:1\n");
    let ran = run("multi-service", "2s", &["--service", "a=no-such-program x", "--test", "true"]).code(127);
    let _ = ran.stderr_has("\n  --> --service \"a=no-such-program x\"\n");
    let service = format!("a={fixed}");
    let ran = run("multi-service", "2s", &["--service", &service, "--ready", "a=/x", "--test", "true"]);
    let ran =
        ran.code(124).stderr_has(&format!("\ntry: --ready a={port}/x   (`a` listens on {port}, not on "));
    let _ = ran.stderr_has("\n  --> --ready a=/x\n");
    let ran = run("node-app", "9s", &["--script", "dev", "--ready", "/x", "--test", "true"]).code(124);
    let ran = ran.stderr_has("\n  --> --ready /x\n");
    let _ = ran.stderr_has("\ntry: --ready listening   (it answers 405, so it runs)\n");
    let _ = run("serve-and-test", "9s", &["--cmd", "exit 0", "--test", "true"]).code(125).stderr_has(
        "\n  = a server that ends at once may want an open stdin: `tail -f /dev/null | COMMAND`\n",
    );
    let _ = run("serve-and-test", "300ms", &["--cmd", "sleep 60 $PROT", "--test", "true"])
        .code(124)
        .stderr_has("\ntry: --cmd 'sleep 60 $PORT'\n");
    let _ = run("health-check", "300ms", &["--port", "1"])
        .code(124)
        .stderr_has("error: timed out after 300 ms waiting for port 1\n  --> --port 1\n");
}

/// A hard-coded port is found by looking where the application listens, or told in the words of the script.
#[test]
fn a_node_app_may_have_a_port_of_its_own() {
    if lacks(&["node", "npm"]) {
        return;
    }
    let port = free_port();
    let server = format!("require('http').createServer((q, r) => r.end('ok')).listen({port}, '127.0.0.1')");
    let package = "{\"scripts\": {\"dev\": \"node server.js\"}}";
    let files = [("server.js", &*server), ("package.json", package)];
    let said = format!("http://127.0.0.1:{port}\n");
    for ready in ["/", "listening", &port.to_string()] {
        let args = ["--script", "dev", "--ready", ready, "--test", "echo $URL"];
        let _ = scenario("node-app", &args, &files).code(0).stdout(&said);
    }
    let args = ["--script", "dev", "--ready", &format!("{port}/"), "--test", "echo $URL"];
    let _ = scenario("node-app", &args, &files).code(0).stdout(&said);
}

/// The address of a port that somebody else has is told, however the job waits for itself.
#[test]
fn who_has_a_port_is_told_when_only_the_log_says_that_it_is_taken() {
    if lacks(&["perl"]) {
        return;
    }
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = stranger.local_addr().expect("bound").port();
    let me = std::process::id();
    let server = fs::read_to_string(repo("tests/fixture/answer.pl")).expect("is there");
    let command = format!("exec perl answer.pl {port} 200");
    let procfile = format!("web: {command}\n");
    let files = [("answer.pl", &*server), ("Procfile", &*procfile)];
    let owner = format!("\n  = port {port} is taken by pid {me} (");
    let free = format!("\ntry: bgjobs script free-port --port {port}   (ends it; or ");
    let ran = scenario("services-file", &["--file", "Procfile", "--test", "true"], &files).code(125);
    let _ = ran.stderr_has(&owner).stderr_has(&free);
    let ran =
        scenario("serve-and-test", &["--cmd", &command, "--url", "listening", "--test", "true"], &files);
    let _ = ran.code(125).stderr_has(&owner).stderr_has(&free);
    let closure = format!("start(\"web\", \"{command}\", #{{ready: || false}})");
    let ran = Script::code(&closure).cwd(repo("tests/fixture")).run().code(125);
    let _ = ran
        .stderr_has(&owner)
        .stderr_has(&format!("\ntry: port: \"free\", and `$PORT` in the place of {port}"));
    // Of a job that lives on, too; and one of this run is named.
    let waits = format!("echo bind 127.0.0.1:{port}: Address already in use; exec sleep 60");
    let late = format!("start(\"web\", \"{waits}\", #{{ready: #{{listening: true}}, timeout: \"500ms\"}})");
    let _ = Script::code(&late).run().code(124).stderr_has(&owner);
    let ours = "let a = start(\"first\", \"exec perl answer.pl $PORT 200\", #{port: \"free\", ready: \"/\"}); \
                start(\"second\", `exec perl answer.pl ${a.port} 200`, #{ready: #{listening: true}})";
    let ran = Script::code(ours).cwd(repo("tests/fixture")).run().code(125);
    assert!(
        ran.stderr.contains(" is taken by pid ") && ran.stderr.contains(" of job `first` ("),
        "{}",
        ran.stderr
    );
}

/// COLUMNS says how many; a pipe gets each line whole.
#[test]
fn what_is_listed_and_explained_fits_the_terminal() {
    let shown = |words: &[&str], columns: Option<usize>| {
        let mut command = Command::new(bgjobs());
        command.args(words).env_remove("COLUMNS").current_dir(repo(""));
        command.envs(columns.map(|columns| ("COLUMNS", columns.to_string())));
        stdout(&command.output().expect("bgjobs starts"))
    };
    let all: &[&[&str]] = &[
        &["scripts"],
        &["doctor"],
        &["--help"],
        &["script", "--help"],
        &["test", "--help"],
        &["sweep", "--help"],
        &["doctor", "--help"],
        &["man", "--help"],
        &["completions", "--help"],
        &["script", "serve-and-test", "--help"],
        &["script", "python-app", "--help"],
        &["script", "db-migrate", "--help"],
    ];
    for words in all {
        let whole = shown(words, None);
        for columns in [80, 50] {
            let text = shown(words, Some(columns));
            // A word that is wider than that stays one.
            let wide = |line: &&str| line.chars().count() > columns && line.trim_start().contains(' ');
            let wide: Vec<&str> = text.lines().filter(wide).collect();
            assert!(wide.is_empty(), "{words:?} in {columns} columns: {wide:#?}");
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
            assert!(letters(&text) >= letters(&whole), "{words:?}: nothing is lost");
        }
    }
    assert!(shown(&["scripts"], None).lines().any(|line| line.chars().count() > 80));
}

#[test]
fn serve_and_test_says_what_is_wrong_with_its_parameters() {
    let run = |args: &[&str]| scenario("serve-and-test", args, &[]).code(2);
    let _ = run(&["--cmd", "npm", "start"])
        .stderr_has("error: unexpected argument `start`: nothing asks for it")
        .stderr_has("try: --cmd \"npm start\"   (in quotes, if it is one value)");
    let _ = run(&["--cmd", "x"]).stderr_has("error: missing --test\n").stderr_has("try: --help ");
    let _ = run(&["--cmd", "--test", "x"]).stderr_has("error: --cmd has no value");
    let _ = run(&["--cmd", "x", "--test", "x", "--url", "localhost:80"])
        .stderr_has("error: --url: \"localhost:80\" is not a port, URL or path\n")
        .stderr_has("try: --url http://localhost:80\n");
    let _ = run(&["--cmd", "x", "--test", "x", "--url", "redis://localhost:6379/0"])
        .stderr_has("(`redis` is none)\n")
        .stderr_has("try: --url tcp://localhost:6379\n");
    let _ =
        run(&["--cmd", "x", "--test", "x", "--url", "localhost"]).stderr_has("try: --url http://localhost\n");
    let _ = run(&["--cmd", "x", "--tset", "x"])
        .stderr_has("error: there is no option `--tset`\n")
        .stderr_has("try: --test   (did you mean `--test`?)\n");
    let _ = run(&["--cmd", "x", "--test", "x", "--url", "started"])
        .stderr_has("try: --url log:started   (a line of the job's log)\n");
    let _ = run(&["--cmd", "x", "--test", "x", "--url", "log:x", "--send", "x"]).stderr_has(
        "--status, --method, --header and --send are about a request, and --url log:x makes none\n",
    );
    let _ = run(&["--cmd", "x", "--test", "x", "--timeout", "5s"])
        .stderr_has("try: bgjobs script --timeout 5s ")
        .stderr_has(" serve-and-test --cmd x --test x   (the options of bgjobs come before the script)");
}

/// A mistake in a parameter is told by the name of the parameter, before anything has been started.
#[test]
fn a_scenario_script_looks_at_its_parameters_first() {
    let start = "touch started";
    let cases: &[(&str, &[&str], &str)] = &[
        (
            "capture-logs",
            &["--cmd", start, "--test", "x", "--reject", "("],
            "--reject is \"(\", not a regular expression",
        ),
        (
            "capture-logs",
            &["--cmd", start, "--test", "x", "--lines", "-1"],
            "--lines is \"-1\", not a whole number of at least 1",
        ),
        (
            "db-migrate",
            &["--test", start, "--sql", "nowhere"],
            "--sql is \"nowhere\", not a file or directory that is there",
        ),
        ("db-migrate", &["--test", start, "--sql", "empty"], "--sql: there is no *.sql in `empty`"),
        ("db-migrate", &["--test", start, "--url", "/health"], "--url is of the application: give --cmd"),
        ("compose", &["--test", start], "there is no compose.yaml or docker-compose.yml in /"),
        (
            "compose",
            &["--file", "nowhere.yml", "--test", start],
            "--file is \"nowhere.yml\", not a file that is there",
        ),
        (
            "compose",
            &["--file", "plain.yaml", "--test", start, "--ready", "web=log:("],
            "--ready web=log:(: `(` is not a regex",
        ),
        (
            "compose",
            &["--file", "plain.yaml", "--test", start, "--env", "A"],
            "--env is \"A\", not NAME=VALUE",
        ),
        (
            "docker-service",
            &["--image", "x", "--test", start, "--port", "http"],
            "--port is \"http\", not PORT",
        ),
        (
            "docker-service",
            &["--image", "x", "--test", start, "--volume", "./a:/b"],
            "--volume ./a:/b: there is no `./a`",
        ),
        (
            "docker-service",
            &["--image", "x", "--test", start, "--ready", "log:("],
            "--ready: \"(\" is not a regular expression",
        ),
        (
            "docker-service",
            &["--image", "x", "--test", start, "--ready", "healthy"],
            "--ready: \"healthy\" is not a port, URL or path\n",
        ),
        (
            "health-check",
            &["--cmd", start, "--url", "redis://localhost:6379"],
            "--url: \"redis://localhost:6379\" cannot be asked",
        ),
        (
            "health-check",
            &["--url", "log:up", "--test", start],
            "--url log:up is about a server that --cmd starts, and there is no --cmd",
        ),
        (
            "health-check",
            &["--url", "tcp://localhost:80", "--contains", "ok", "--test", start],
            "--status and --contains are about what a --url answers",
        ),
        ("free-port", &["--port", "99999", "--cmd", start], "--port is \"99999\", not a port (1 to 65535)"),
        (
            "free-port",
            &["--port", "80", "--grace", "soon"],
            "--grace is \"soon\", not a time such as 500ms, 30s or 1m30s",
        ),
        (
            "health-check",
            &["--cmd", start, "--port", "80", "--contains", "ok"],
            "--status and --contains are about what a --url answers",
        ),
        (
            "multi-service",
            &["--service", "a=touch started", "--service", "a=x", "--test", "x"],
            "--service a=… is listed twice",
        ),
        (
            "multi-service",
            &["--service", "a=touch started", "--ready", "a=99999", "--test", "x"],
            "--ready a=99999: \"99999\" is not a port (1 to 65535)",
        ),
        (
            "multi-service",
            &["--service", "a=touch started", "--ready", "a=log:(", "--test", "x"],
            "--ready a=log:(: \"(\" is not a regular expression",
        ),
        ("node-app", &["--install", start, "--test", "x"], "--dir .: there is no package.json in it"),
        (
            "node-app",
            &["--dir", "nowhere", "--test", "x"],
            "--dir is \"nowhere\", not a directory that is there",
        ),
        (
            "python-app",
            &["--app", "nowhere.py", "--test", start],
            "--app nowhere.py: there is no such file or directory in /",
        ),
        (
            "python-app",
            &["--server", "flask", "--app", "x", "--requirements", "r.txt", "--test", start],
            "--requirements r.txt: there is no",
        ),
        (
            "restart-resilience",
            &["--cmd", start, "--times", "0"],
            "--times is \"0\", not a whole number of at least 1",
        ),
        (
            "restart-resilience",
            &["--cmd", start, "--signal", "KIL"],
            "--signal is \"KIL\", not a signal such as TERM or KILL",
        ),
        ("serve-and-test", &["--cmd", " ", "--test", start], "--cmd is \" \", not a command"),
        (
            "serve-and-test",
            &["--cmd", start, "--test", "x", "--url", "http://"],
            "--url: \"http://\" is not a URL: it has no host",
        ),
        (
            "serve-and-test",
            &["--cmd", start, "--test", "x", "--ready-timeout", "soon"],
            "--ready-timeout is \"soon\", not a time such as",
        ),
        (
            "services-file",
            &["--file", "nowhere", "--test", "x"],
            "--file is \"nowhere\", not a file that is there",
        ),
        (
            "services-file",
            &["--only", "wbe", "--test", "x"],
            "--only wbe: there is no service `wbe` in services.conf; did you mean `web`?",
        ),
        (
            "services-file",
            &["--ready", "wbe=/", "--test", "x"],
            "--ready wbe=/: there is no service `wbe` in services.conf; did you mean `web`?",
        ),
        (
            "services-file",
            &["--ready", "web=log:(", "--test", "x"],
            "--ready web=log:(: \"(\" is not a regular expression",
        ),
        (
            "services-file",
            &["--file", "plain.yaml", "--ready", "web=/", "--test", "x"],
            "--ready web=/: the service has no port",
        ),
        ("smoke", &["--cmd", start, "--file", "nowhere"], "--file is \"nowhere\", not a file that is there"),
    ];
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("empty")).expect("made");
    fs::write(dir.path().join("services.conf"), "web: touch started\n").expect("written");
    let plain = "services: {web: {command: touch started}}\n";
    fs::write(dir.path().join("plain.yaml"), plain).expect("written");
    for (name, args, said) in cases {
        let script = args.iter().fold(Script::file(name).cwd(dir.path()), |script, arg| script.arg(arg));
        let ran = script.run();
        assert_eq!(ran.code, Some(2), "{name} {args:?}\n{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("error: {said}")), "{name} {args:?}\n{}", ran.stderr);
        assert!(!dir.path().join("started").exists(), "{name} {args:?}");
    }
}

#[test]
fn a_bare_number_is_a_time_in_seconds_as_on_the_command_line() {
    let code = "print(param(\"patience\", #{default: \"1m\", kind: \"duration\"}))";
    for (given, read) in [("30", "30s\n"), ("500ms", "500ms\n")] {
        let _ = Script::code(code).arg("--").arg("--patience").arg(given).run().code(0).stdout(read);
    }
    let wrong = Script::code("param(\"x\", #{kind: \"prot\"})").arg("--").arg("--x").arg("1").run().code(2);
    let _ = wrong.stderr_has("param: option `kind`: \"prot\" is not a kind of parameter");
}

#[test]
fn several_services_are_found_by_the_tests() {
    if lacks(&["python3", "curl"]) {
        return;
    }
    let args = [
        "--service",
        "api=python3 -m http.server $PORT --bind 127.0.0.1",
        "--ready",
        "api=/",
        "--service",
        "work-er=echo using $API_URL; exec sleep 60",
        "--ready",
        "work-er=log:^using http://127",
        "--in-order",
        "--test",
        "curl -sf $API_URL/hello.txt; exit $((API_PORT > 0 ? 3 : 4))",
    ];
    let ran = scenario("multi-service", &args, &[("hello.txt", "hello\n")]).code(3).stdout("hello\n");
    let ran = ran.stderr_has("work-er ready: \"using http://127\" in its log");
    let _ = ran.stderr_has("2 jobs stopped, 0 leaked").stderr_has("\"GET /hello.txt HTTP/1.1\" 200");
}

#[test]
fn several_services_with_a_mistake_are_not_started() {
    let run = |args: &[&str]| scenario("multi-service", args, &[]);
    let _ = run(&["--service", "just a command", "--test", "x"])
        .code(2)
        .stderr_has("error: --service is \"just a command\", not NAME=COMMAND");
    let _ = run(&["--test", "x"]).code(2).stderr_has("error: missing --service");
    let ran = run(&["--service", "a=sleep 60", "--ready", "b=80", "--test", "x"]);
    let ran = ran.code(2).stderr_has("error: --ready b=80: there is no --service b=");
    assert!(!ran.stderr.contains(" started"), "{}", ran.stderr);
}

/// A process that ends is a task, or a failure whose hint says how to say so.
#[test]
fn a_task_ends_before_the_services_start() {
    let file = "app: test -e ready && exec sleep 60\nsetup: touch ready\n";
    let run = |args: &[&str]| scenario("services-file", args, &[("Procfile", file)]);
    let _ = run(&["--task", "setup", "--test", "echo tested"]).code(0).stdout("tested\n");
    let ran = run(&["--only", "setup", "--test", "x"]).code(125);
    let _ = ran.stderr_has("job `setup` ended").stderr_has("\ntry: --task setup   (if it is to end");
    let _ = run(&["--task", "setpu", "--test", "x"]).code(2).stderr_has("did you mean `setup`?");
    let ran = run(&["--task", "setup", "--ready", "setup=80", "--test", "x"]).code(2);
    let _ = ran.stderr_has("--ready setup=80: it is a --task");

    let services = [
        "--service",
        "web=test -e ready && exec sleep 60",
        "--service",
        "setup=touch ready",
        "--test",
        "echo tested",
    ];
    let run = |more: &[&str]| scenario("multi-service", &[&services, more].concat(), &[]);
    let _ = run(&["--task", "setup"]).code(0).stdout("tested\n");
    let _ = run(&["--task", "x"]).code(2).stderr_has("--task x: there is no --service x=");
    let ran = scenario("multi-service", &["--service", "setup=true", "--test", "x"], &[]).code(125);
    let _ = ran.stderr_has("\ntry: --task setup   (if it is to end");
}

#[test]
fn health_is_waited_for_and_told() {
    if lacks(&["python3", "curl"]) {
        return;
    }
    let server = format!("python3 -m http.server {} --bind 127.0.0.1", free_port());
    let port = server.split(' ').nth(3).expect("a port");
    let url = format!("http://127.0.0.1:{port}/");
    let probe = format!("curl -sf {url} >/dev/null");
    let args =
        ["--cmd", &server, "--url", &url, "--contains", "Directory", "--port", port, "--probe", &probe];
    let ran = scenario("health-check", &[&args[..], &["--test", "echo tested"]].concat(), &[]).code(0);
    for what in [&url, &format!("port {port}"), &probe] {
        assert!(ran.stdout.contains(&format!("{what}: healthy after ")), "{}", ran.stdout);
    }
    assert!(ran.stdout.ends_with("tested\n"), "{}", ran.stdout);
    // What Python logs may come too late on a busy machine.
    let logged = format!("echo starting; exec {server}");
    let args = ["--cmd", &logged, "--url", &url, "--status", "404", "--ready-timeout", "3s"];
    let ran = scenario("health-check", &args, &[]).code(124);
    let _ = ran.stderr_has("error: timed out after 3 s").stderr_has("last lines of server (");
    let ran = scenario("health-check", &["--cmd", "exit 5", "--url", &url], &[]).code(125);
    let _ = ran.stderr_has("error: job `server` died (exit 5)");
    let ran = scenario("health-check", &["--url", "/", "--url", &url], &[]).code(2);
    let _ = ran.stderr_has("error: --url / is a path, and there is no --cmd");
    let server = "python3 -m http.server $PORT --bind 127.0.0.1";
    let ran = scenario("health-check", &["--cmd", server, "--url", "/"], &[]).code(0);
    assert!(ran.stdout.contains("/: healthy after "), "{}", ran.stdout);
    let _ = scenario("health-check", &[], &[])
        .stderr_has("error: nothing to check: give --url, --port or --probe");
}

#[test]
fn health_is_asked_in_the_words_of_readiness() {
    if lacks(&["python3", "curl"]) {
        return;
    }
    let port = free_port();
    let fixed = format!("echo up; exec python3 -m http.server {port} --bind 127.0.0.1");
    let urls = [
        format!("{port}"),
        format!("{port}/"),
        format!("tcp://127.0.0.1:{port}"),
        "log:^up$".to_owned(),
        "listening".to_owned(),
    ];
    let mut args = vec!["--cmd", &fixed, "--contains", "Directory"];
    args.extend(urls.iter().flat_map(|url| ["--url", url]));
    let ran = scenario("health-check", &args, &[]).code(0);
    let told: Vec<&str> =
        ran.stdout.lines().map(|line| line.split(": healthy after ").next().unwrap_or(line)).collect();
    let with_path = format!("http://localhost:{port}/");
    assert_eq!(told, [&urls[0], &with_path, &urls[2], &urls[3], &urls[4]]);

    let socket = "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('x.sock'); s.listen(); time.sleep(600)";
    let cmd = format!("exec python3 -c \"{socket}\"");
    let probe = "cmd:test -S x.sock";
    let ran = scenario("health-check", &["--cmd", &cmd, "--url", "unix:x.sock", "--url", probe], &[]).code(0);
    assert!(ran.stdout.starts_with("unix:x.sock: healthy after "), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("\n{probe}: healthy after ")), "{}", ran.stdout);

    let server = "exec python3 -m http.server $PORT --bind 127.0.0.1";
    let probe = "cmd:curl -sf http://127.0.0.1:$PORT/";
    let _ = scenario("health-check", &["--cmd", server, "--url", probe], &[]).code(0);

    // Nobody is there.
    let none = free_port();
    let place = format!("tcp://127.0.0.1:{none}");
    let ran = scenario("health-check", &["--url", &place, "--ready-timeout", "300ms"], &[]).code(124);
    let _ = ran.stderr_has(&format!("error: timed out after 300 ms waiting for 127.0.0.1:{none}\n"));
}

/// Whoever takes it until it is used makes the test fail; that is rare enough.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

#[test]
fn a_port_is_freed_and_then_the_command_runs() {
    if lacks(&["python3"]) {
        return;
    }
    let server = "import socket,sys;s=socket.socket();s.bind((\"127.0.0.1\",0));s.listen();\
                  print(s.getsockname()[1],flush=True);sys.stdin.read()";
    let mut stranger = Command::new("python3")
        .args(["-c", server])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut port = String::new();
    let mut reader = std::io::BufReader::new(stranger.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut reader, &mut port).expect("a line");
    let port = port.trim();
    let ran = scenario("free-port", &["--port", port, "--look"], &[]).code(1);
    assert!(ran.stderr.starts_with(&format!("error: port {port} is taken\n")), "{}", ran.stderr);
    assert!(ran.stdout.contains(&format!("port {port}: ")), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("(pid {}, user ", stranger.id())), "{}", ran.stdout);
    assert!(stranger.try_wait().expect("ours").is_none(), "it was only looked at");
    let ran = scenario("free-port", &["--port", port, "--cmd", "echo then; exit 6"], &[]).code(6);
    assert!(ran.stdout.ends_with("then\n"), "{}", ran.stdout);
    let status = stranger.wait().expect("ours");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    let ran = scenario("free-port", &["--port", port, "--look"], &[]).code(0);
    let _ = ran.stdout("");
    let _ = scenario("free-port", &["--port", "http"], &[])
        .code(2)
        .stderr_has("--port is \"http\", not a port (1 to 65535)");
}

#[test]
fn the_whole_output_of_a_server_is_captured_and_shown() {
    if lacks(&["python3", "curl"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let run = |test: &str, more: &[&str]| {
        let cmd = "echo booting; exec python3 -m http.server $PORT --bind 127.0.0.1";
        let script =
            Script::file("capture-logs").cwd(dir.path()).arg("--cmd").arg(cmd).arg("--test").arg(test);
        more.iter().fold(script, |script, word| script.arg(word)).run()
    };
    let ran = run("curl -sf $URL/missing", &["--log", "out.log", "--lines", "100"]).code(22);
    assert!(ran.stdout.starts_with("--- the last 100 lines of out.log\nbooting\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\"GET /missing HTTP/1.1\" 404"), "{}", ran.stdout);
    let log = fs::read_to_string(dir.path().join("out.log")).expect("it stays");
    assert!(log.starts_with("booting\n"), "{log}");
    let _ = run("curl -sf $URL -o /dev/null", &[]).code(0).stdout("");
    assert!(dir.path().join("server.log").exists());
    let ran = run("curl -s $URL/missing -o /dev/null", &["--reject", "404"]).code(1);
    let _ = ran.stderr_has("error: the tests have passed, but server.log has:\n");
}

#[test]
fn smoke_says_what_each_url_answers() {
    if lacks(&["python3"]) {
        return;
    }
    let cmd = ["--cmd", "python3 -m http.server $PORT --bind 127.0.0.1"];
    let files = [
        ("hello.txt", "hello\n"),
        ("list", "# a comment\n\n/hello.txt 200 hello\n/missing 404\n"),
        ("sub", ""),
    ];
    let ran = scenario("smoke", &[&cmd[..], &["--file", "list", "--check", "/"]].concat(), &files).code(0);
    let _ = ran.stderr_has("3 tests passed; 1 job stopped");
    let checks = ["--check", "/missing", "--check", "/hello.txt 2xx bye", "--check", "/hello.txt"];
    let ran = scenario("smoke", &[&cmd[..], &checks].concat(), &files).code(1);
    let ran =
        ran.stderr_has("error: the status is 404, not 2xx\n").stderr_has("/missing: 2xx: the status is 404");
    let ran = ran.stderr_has("error: the answer has no \"bye\"\n");
    let _ = ran.stderr_has("1 test passed, 2 failed; 1 job stopped");
    let wrong = scenario("smoke", &["--check", "hello"], &[]);
    let _ = wrong.stderr_has("error: the check \"hello\" is not URL, URL STATUS or URL STATUS TEXT");
    let wrong = scenario("smoke", &["--check", "/"], &[]);
    let _ = wrong.stderr_has("error: the check \"/\" is a path, and there is neither --base nor --cmd");
}

#[test]
fn a_server_that_is_killed_comes_back() {
    if lacks(&["python3", "curl"]) {
        return;
    }
    let cmd = "python3 -m http.server $PORT --bind 127.0.0.1";
    let test = "curl -sf $URL/hello.txt -o /dev/null && echo after $RESTARTS";
    let files = [("hello.txt", "hello\n")];
    let ran = scenario("restart-resilience", &["--cmd", cmd, "--test", test, "--times", "2"], &files).code(0);
    let said: Vec<&str> = ran.stdout.lines().map(|line| line.split(':').next().unwrap_or(line)).collect();
    assert_eq!(said, ["after 0", "restart 1 of 2", "after 1", "restart 2 of 2", "after 2"]);
    // One that does not start a second time.
    let once = "mkdir started && exec python3 -m http.server $PORT --bind 127.0.0.1";
    let ran = scenario("restart-resilience", &["--cmd", once], &[]).code(125);
    let _ = ran.stderr_has("job `server` died (exit 1)").stderr_has("cannot create directory");
}

#[test]
fn an_app_is_tested_with_a_migrated_database() {
    if lacks(&["initdb", "psql", "python3", "curl"]) {
        return;
    }
    let files = [
        ("1.sql", "create table users (name text);"),
        ("2.sql", "insert into users values ('Ada');"),
        ("broken.sql", "create table x (y nonsense);"),
    ];
    let args = [
        "--sql",
        "1.sql",
        "--migrate",
        "psql -qf 2.sql",
        "--cmd",
        "test -n \"$DATABASE_URL\" && exec python3 -m http.server $PORT --bind 127.0.0.1",
        "--url",
        "/1.sql",
        "--test",
        "curl -sf $URL/1.sql -o /dev/null && psql -Atc 'select name from users'; exit 3",
    ];
    let ran = scenario("db-migrate", &args, &files).code(3).stdout("Ada\n");
    let _ = ran.stderr_has("2 jobs stopped, 0 leaked");
    // Not with psql's code, which is 3.
    let ran = scenario("db-migrate", &["--sql", "broken.sql", "--test", "echo never"], &files).code(1);
    let _ = ran.stdout("").stderr_has("broken.sql").stderr_has("type \"nonsense\" does not exist");
    let ran = scenario("db-migrate", &["--database", "oracle", "--test", "x"], &[]).code(2);
    let _ = ran.stderr_has("error: --database is \"oracle\", not postgres|mysql");
}

#[test]
fn a_python_application_and_its_tests_run_in_its_virtual_environment() {
    if lacks(&["python3", "flask"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let made = Command::new("/usr/bin/python3")
        .args(["-m", "venv", "--without-pip", "--system-site-packages", ".venv"])
        .current_dir(dir.path())
        .output()
        .expect("python3 starts");
    assert!(made.status.success(), "{}", stderr(&made));
    let app = "import flask, sys\napp = flask.Flask(__name__)\n@app.get('/prefix')\ndef prefix(): return sys.prefix\n";
    fs::write(dir.path().join("shop.py"), app).expect("written");
    let test = "python -c 'import os, sys, urllib.request as u; \
                sys.exit(u.urlopen(os.environ[\"URL\"] + \"/prefix\").read().decode() != sys.prefix or 7)'";
    let dir = dir.path().to_str().expect("UTF-8");
    let flask = ["--server", "flask", "--app", "shop:app", "--test", test, "--dir", dir];
    let _ = scenario("python-app", &flask, &[]).code(7).stderr_has("\"GET /prefix HTTP/1.1\" 200");
    let venv = format!("{dir}/.venv");
    let absolute = [&flask[..], &["--venv", &venv]].concat();
    let _ = scenario("python-app", &absolute, &[]).code(7);
    let script = ["--app", "missing.py", "--test", "x", "--dir", dir];
    let _ =
        scenario("python-app", &script, &[]).code(2).stderr_has("error: --app missing.py: there is no such");
    let nowhere = ["--app", ".", "--server", "static", "--venv", "nowhere", "--test", "x"];
    let _ = scenario("python-app", &nowhere, &[])
        .code(2)
        .stderr_has("error: --venv nowhere: there is no virtual environment in ")
        .stderr_has("--> --venv nowhere\n");
    let _ = scenario("python-app", &["--app", "x", "--server", "tornado", "--test", "x"], &[])
        .code(2)
        .stderr_has("--server is \"tornado\", not flask|uvicorn|gunicorn|script|static");
}

#[test]
fn a_node_application_is_started_by_its_package() {
    if lacks(&["node", "npm"]) {
        return;
    }
    let package =
        "{\"name\": \"shop\", \"scripts\": {\"start\": \"node server.js\", \"test\": \"node test.js\"}}";
    let files = [
        ("package.json", package),
        (
            "server.js",
            "require('http').createServer((q, r) => r.end('shop')).listen(process.env.PORT, '127.0.0.1')",
        ),
        (
            "test.js",
            "fetch(process.env.URL).then(r => r.text()).then(t => { console.log(`got ${t}`); process.exit(6) })",
        ),
    ];
    let ran =
        scenario("node-app", &["--install", "echo installed", "--test", "npm test --silent"], &files).code(6);
    let _ = ran.stdout("installed\ngot shop\n").stderr_has("1 job stopped, 0 leaked");
    let ran = scenario("node-app", &["--script", "strat", "--test", "npm test"], &files).code(2);
    let _ = ran.stderr_has("package.json has no script `strat`; did you mean `start`?");
}

#[test]
fn the_services_of_a_file_are_found_by_the_tests() {
    if lacks(&["python3", "curl"]) {
        return;
    }
    let web = "python3 -m http.server $PORT --bind 127.0.0.1";
    let yaml = format!(
        "services:\n  web:\n    command: {web}\n    ports: [free]\n    ready: /\n  worker:\n    command: exec sleep 60\n"
    );
    let conf = format!("web: {web}\n");
    let broken = yaml.replace("ports:", "prots:");
    let files = [("services.conf", conf.as_str()), ("other.yaml", &yaml), ("broken.yaml", &broken)];
    let test = "curl -sf $WEB_URL/services.conf; exit $((WEB_PORT > 0 ? 3 : 4))";
    // Without --file it is the first of the usual names.
    let ran = scenario("services-file", &["--test", test], &files).code(3).stdout(&conf);
    let _ = ran.stderr_has("1 job stopped, 0 leaked");
    let args = ["--file", "other.yaml", "--ready", "web=/other.yaml", "--test", test];
    let ran = scenario("services-file", &args, &files).code(3).stdout(&conf);
    let _ = ran.stderr_has("/other.yaml (").stderr_has("2 jobs stopped, 0 leaked");
    let ran = scenario("services-file", &["--file", "other.yaml", "--only", "web", "--test", "true"], &files)
        .code(0);
    let _ = ran.stderr_has("1 job stopped, 0 leaked");
    let ran = scenario("services-file", &["--file", "broken.yaml", "--test", test], &files).code(2);
    let _ = ran.stderr_has("unknown key `prots`; did you mean `ports`?").stderr_has("--> broken.yaml:4:5");
    let ran = scenario("services-file", &["--test", test], &[]).code(2);
    let _ = ran.stderr_has("error: there is no file of services: give --file, or write services.yaml");
}

#[test]
fn the_ports_of_a_procfile_are_counted_from_a_base() {
    let file = "one: echo up $PORT | tee one; exec sleep 60\ntwo: echo up $PORT | tee two; exec sleep 60\n";
    let run = |args: &[&str]| {
        let ready = ["--ready", "one=log:up", "--ready", "two=log:up", "--test", "cat one two"];
        scenario("services-file", &[&ready, args].concat(), &[("Procfile", file)])
    };
    let _ = run(&["--base-port", "7100"]).code(0).stdout("up 7100\nup 7200\n");
    let _ = run(&["--base-port", "65500"]).code(2).stderr_has("2 ports in steps of 100 from 65500");
    let _ = run(&["--base-port", "many"]).code(2).stderr_has("--base-port is \"many\", not PORT");
}

#[test]
fn a_file_of_process_compose_brings_its_test_along() {
    let file = "processes:
  server: {command: 'touch up; sleep 60', readiness_probe: {exec: {command: test -e up}}}
  tests:
    command: test -e up && echo tested; exit 7
    depends_on: {server: {condition: process_healthy}}
    availability: {exit_on_end: true}
";
    let files = [("process-compose.yaml", file)];
    let ran = scenario("services-file", &[], &files).code(7).stdout("tested\n");
    let _ = ran.stderr_has("note: process-compose.yaml:6: `exit_on_end` (tests): is the test, not a service");
    let _ = scenario("services-file", &["--test", "test -e up; exit $(($? + 3))"], &files).code(3).stdout("");
    let without = file.replace("exit_on_end: true", "restart: \"no\"");
    let ran = scenario("services-file", &[], &[("process-compose.yaml", &without)]).code(2);
    let _ = ran.stderr_has("error: missing --test, the command of the tests");
}
