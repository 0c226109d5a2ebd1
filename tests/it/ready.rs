//! What a wait says of a server that does not get ready.

use super::support::{Script, lacks, repo};

/// The report about a server that listens and does not get ready. `opts` begins with its `ready`.
fn late(cmd: &str, opts: &str, patience: &str) -> super::support::Ran {
    let code = format!(
        "let web = spawn(\"web\", {cmd}, #{{port: \"free\", {opts}}}); wait_port(web.port); wait_ready(web, {patience:?})"
    );
    Script::code(&code).cwd(repo("tests/fixture")).run().code(124)
}

fn web(mood: &str) -> String {
    format!("\"exec python3 web.py {mood} 127.0.0.1 $PORT\"")
}

#[test]
fn a_server_that_accepts_and_never_answers_is_told_from_one_that_is_not_there() {
    let _ = late(&web("mute"), "ready: \"/\"", "500ms")
        .stderr_has("attempts: accepted the connection, no answer in ")
        .stderr_has(" ms\n");
    let _ = late(&web("mute"), "ready: \"/\", attempt_timeout: \"50ms\"", "1s")
        .stderr_has("attempts: accepted the connection, no answer in 50 ms ×");
}

#[test]
fn a_body_that_never_ends_is_told_with_what_it_has_not() {
    let _ = late(&web("stream"), "ready: #{http: \"/\", contains: \"down\"}", "500ms")
        .stderr_has("200 but the body does not contain `down` (");
}

#[test]
fn a_server_that_speaks_only_http_2_is_named_with_the_way_out() {
    if lacks(&["node", "curl"]) {
        return;
    }
    let server = "[\"node\", \"-e\", \"require(`http2`).createServer((q, r) => r.end(`ok`)).listen(process.env.PORT, `127.0.0.1`)\"]";
    let _ = late(server, "ready: \"/health\"", "500ms")
        .stderr_has("attempts: the server speaks only HTTP/2 (bgjobs asks by HTTP/1.1)")
        .stderr_has(
            "try: ready: #{cmd: \"curl -fsS --http2-prior-knowledge http://localhost:$PORT/health\"}\n",
        );
    let way_out =
        "port: \"free\", ready: #{cmd: \"curl -fsS --http2-prior-knowledge http://localhost:$PORT/health\"}";
    let _ = Script::code(&format!("start(\"h2\", {server}, #{{{way_out}}})")).run().code(0);
    let get = format!(
        "let h2 = start(\"h2\", {server}, #{{port: \"free\", ready: #{{listening: true}}}}); http_get(h2.url)"
    );
    let ran = Script::code(&get).run().code(1);
    let _ = ran.stderr_has("the server speaks only HTTP/2").stderr_has("try: output([\"curl\", ");
}

/// What runs this run in a place where no server can be reached, and why it cannot.
fn sandboxes() -> Vec<(Vec<String>, &'static str)> {
    // seccomp(2): bind is refused with EPERM.
    const NO_BIND: &str = "
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 49), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)]
code = b''.join(struct.pack('HBBI', *line) for line in code)
lines = ctypes.create_string_buffer(code, len(code))
program = struct.pack('HxxxxxxP', 4, ctypes.addressof(lines))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.create_string_buffer(program, len(program)), 0, 0):
    sys.exit(99)
os.execv(sys.argv[1], sys.argv[1:])
";
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut places = vec![(words(&["unshare", "-rn"]), "the loopback interface `lo` is down")];
    if cfg!(target_arch = "x86_64") {
        places
            .push((words(&["python3", "-c", NO_BIND]), "this process may not open a port or connect to one"));
    }
    places
}

#[test]
fn a_sandbox_is_said_to_be_one_at_once() {
    if lacks(&["unshare", "python3"]) {
        return;
    }
    for (place, why) in sandboxes() {
        let there = |args: &[&str]| {
            let mut command = std::process::Command::new(&place[0]);
            command.args(&place[1..]).arg(super::support::bgjobs()).args(args);
            command.output().expect("it starts")
        };
        let doctor = String::from_utf8_lossy(&there(&["doctor"]).stdout).into_owned();
        if doctor.is_empty() {
            super::support::skip_in_ci_too(&format!("no {} here", place[0]));
            continue;
        }
        let row = doctor.lines().find(|line| line.starts_with("loopback")).unwrap_or_default();
        assert!(row.contains("no server can be reached here"), "{doctor}");
        for code in [
            "start(\"sleep 60\", #{ready: 8080})",
            "start(\"sleep 60\", #{ready: #{listening: true}})",
            "start([#{name: \"a\", cmd: \"sleep 60\", port: \"free\", ready: \"/\"}])",
            "spawn(\"sleep 60\", #{port: \"free\"})",
            "wait_port(8080)",
            "wait_http(\"http://localhost:8080/\")",
            "free_port()",
            "mock(#{\"/\": \"ok\"})",
        ] {
            let ran = there(&["script", "-e", code]);
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(said.contains(why), "{code}: {said}");
            assert_eq!(ran.status.code(), Some(125), "{code}: {said}");
        }
        let fine =
            there(&["script", "-e", "run(\"true\"); start(\"echo up; sleep 60\", #{ready: #{log: \"up\"}})"]);
        assert!(fine.status.success(), "{}", String::from_utf8_lossy(&fine.stderr));
    }
}

#[test]
fn a_server_by_tls_is_told_how_it_is_to_be_asked() {
    if lacks(&["node", "openssl"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-keyout", &path("key"), "-out", &path("cert")])
        .output();
    assert!(made.expect("openssl starts").status.success());
    let server = format!(
        "[\"node\", \"-e\", \"const f = require(`fs`); require(`https`).createServer({{key: f.readFileSync(`{}`), cert: f.readFileSync(`{}`)}}, (q, r) => r.end(`ok`)).listen(process.env.PORT, `127.0.0.1`)\"]",
        path("key"),
        path("cert")
    );
    let insecure = "try: ready: #{http: \"https:/health\", insecure: true}   (";
    let _ = late(&server, "ready: \"https:/health\"", "4s")
        .stderr_has("its certificate is not trusted")
        .stderr_has(insecure);
    let _ = late(&server, "ready: \"/health\"", "4s").stderr_has(insecure);
    let code = format!(
        "let web = start(\"web\", {server}, #{{port: \"free\", ready: #{{http: \"https:/health\", insecure: true}}}}); \
         print(http_get(web.url, #{{insecure: true}}).body)"
    );
    let _ = Script::code(&code).run().code(0).stdout("ok\n");
}

#[test]
fn a_port_that_the_command_does_not_use_or_that_is_taken_gets_a_hint_that_fits() {
    let start = |cmd: &str, opts: &str| {
        Script::code(&format!("start(\"web\", {cmd}, #{{{opts}}})")).cwd(repo("tests/fixture")).run()
    };
    let free = "port: \"free\", ready: \"/\", timeout: \"300ms\"";
    let _ = start("\"sleep 60; echo $PROT\"", free)
        .stderr_has("`$PROT` in its command is not set")
        .stderr_has("try: \"sleep 60; echo $PORT\"");
    let _ = start("\"exit ${PRT}3\"", free).code(125).stderr_has("try: \"exit ${PORT}3\"");
    let _ = start("\"sleep 60\"", free).stderr_has("its command has no `$PORT`");
    let array = "[\"python3\", \"-m\", \"http.server\", \"$PORT\", \"--bind\", \"127.0.0.1\"]";
    let _ = start(array, "port: \"free\", ready: \"/\"").code(0);
    let _ = start(array, "port: \"free\", ready: \"http://127.0.0.1:${PORT}/\"").code(0);

    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = stranger.local_addr().expect("bound").port();
    let fixed = format!("\"sleep 60 {port}\"");
    let hint = format!("try: port: \"free\", and `$PORT` in the place of {port} in the command");
    let _ = start(&fixed, &format!("ready: {port}")).code(125).stderr_has(&hint);
    let _ = start(&fixed, &format!("port: {port}, ready: {port}")).code(125).stderr_has(&hint);
    let _ = start(&format!("[\"sleep\", {port}]"), &format!("ready: {port}"))
        .code(125)
        .stderr_has("try: let port = free_port();");
    let _ = start("\"sleep 60 $PORT\"", &format!("port: {port}, ready: {port}"))
        .code(125)
        .stderr_has("try: port: \"free\"   (takes one that is free)");
}

#[test]
fn a_sick_server_is_not_flooded_and_its_cause_is_not_lost() {
    let ran = late(&web("sick"), "ready: \"/\"", "4s");
    let ran = ran.stderr_has("  | the database at db:5432 cannot be reached\n");
    // In the first second some fifty times, then four times a second.
    let said = ran.stderr.lines().find(|line| line.contains("attempts: ")).unwrap_or_default();
    // Before it, connections were refused for as long as the server took to listen; what comes between may stand behind.
    let counts = said.split("503 ×").skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let asked: usize = counts.map(|number| number.and_then(|n| n.parse().ok()).unwrap_or(1_usize)).sum();
    assert!((2..80).contains(&asked), "{}", ran.stderr);
}

/// One that answers, and has no page there or wants another request.
#[test]
fn a_server_that_refuses_what_it_is_asked_is_told_with_the_way_out() {
    if lacks(&["perl"]) {
        return;
    }
    for (status, or) in [
        (405, "; `send: #{…}` makes the request a POST"),
        (404, "; or name a path that it has"),
        (401, "; or log in: `auth`"),
        (426, ""),
    ] {
        let server = format!("\"exec perl answer.pl $PORT {status}\"");
        let _ = late(&server, "ready: \"/x\"", "500ms")
            .stderr_has(&format!("= attempts: {status} ×"))
            .stderr_has(&format!(
                "\ntry: ready: #{{http: \"/x\", status: \"any\"}}   (it answers {status}, so it runs{or})\n"
            ));
    }
}

#[test]
fn a_text_that_a_closure_gives_is_what_its_line_says() {
    let _ = Script::code("start(\"store\", \"sleep 60\", #{ready: || \"it has 3 members\"});")
        .run()
        .code(0)
        .stderr_has("store ready: it has 3 members (");
    let _ = Script::code("start(\"store\", \"sleep 60\", #{ready: || true});")
        .run()
        .code(0)
        .stderr_has("store ready: its condition holds (");
}
