//! Servers that misbehave, and what `http_get` says of them.

use super::support::{Script, lacks};
use crate::clock::Moment;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// A server that does this to every connection, for as long as the test process lives.
fn server(each: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    listen("127.0.0.1:0", each)
}

fn listen(address: &str, each: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(address).expect("a free port");
    let port = listener.local_addr().expect("address").port();
    let each = std::sync::Arc::new(each);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = std::sync::Arc::clone(&each);
            std::thread::spawn(move || each(stream));
        }
    });
    port
}

/// Reads until the head of the request has come, and gives it back.
fn head(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A server that reads a request and then writes this.
fn says(answer: &'static [u8]) -> u16 {
    server(move |mut stream| {
        head(&mut stream);
        let _ = stream.write_all(answer);
    })
}

/// The message of the error that a request to this port ends with.
fn message(port: u16, opts: &str) -> String {
    let code = format!(
        "try {{ print(http_get(\"http://127.0.0.1:{port}/x\", #{{{opts}}})) }} catch (e) {{ print(`${{e.kind}}: ${{e.message}}`) }}"
    );
    let ran = Script::code(&code).run().code(0);
    ran.stdout.trim_end().replace(&format!("http: GET http://127.0.0.1:{port}/x: "), "")
}

#[test]
fn a_server_that_never_answers() {
    let port = server(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    assert_eq!(message(port, "timeout: \"200ms\""), "no answer within 200 ms");
}

#[test]
fn a_server_that_closes_at_once() {
    assert_eq!(message(server(drop), ""), "the server closed the connection without an answer");
    assert_eq!(message(says(b""), ""), "the server closed the connection without an answer");
}

#[test]
fn a_server_that_speaks_something_else() {
    let garbage = "the server answered garbage (not HTTP)";
    assert_eq!(message(says(b"SSH-2.0-OpenSSH_9.6\r\n"), ""), garbage);
    assert_eq!(message(says(b"\x15\x03\x01\x00\x02\x02\x46"), ""), garbage);
    assert_eq!(message(says(&[0; 100_000]), ""), garbage);
}

#[test]
fn a_server_without_tls_is_asked_for_it() {
    let port = says(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    let code = format!("http_get(\"https://localhost:{port}/\", \"5s\")");
    let plain = server(|mut stream| {
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let code = code.replace(&port.to_string(), &plain.to_string());
    let ran = Script::code(&code).run().code(1);
    ran.stderr_has("the server does not speak TLS").stderr_has("try: \"http://…\"");
}

#[test]
fn a_certificate_that_is_not_trusted_or_not_shown_gets_a_hint() {
    if lacks(&["python3"]) {
        return;
    }
    let server = "import os, ssl, sys; from http.server import *
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(*sys.argv[1:3])
if sys.argv[3:]: context.load_verify_locations(sys.argv[3]); context.verify_mode = ssl.CERT_REQUIRED
server = ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()";
    let ask = |ca: &str, words: &str| {
        let code = format!(
            "import \"std/tls\" as tls; let made = tls::certificate(#{{ca: {ca}}});
             let web = start(\"web\", [\"python3\", \"-c\", `{server}`, made.cert, made.key{words}],
                 #{{port: \"free\", ready: #{{listening: true}}}});
             http_get(`https://127.0.0.1:${{web.port}}/`)"
        );
        Script::code(&code).run().code(1)
    };
    ask("tls::ca(#{name: \"a stranger\"})", "")
        .stderr_has("its certificate is not trusted: invalid peer certificate: UnknownIssuer")
        .stderr_has(
            "try: `ca: PATH`   (who has signed it), or `insecure: true`   (accepts every certificate)",
        );
    ask("tls::ca()", ", made.ca")
        .stderr_has("the server wants to see a certificate of its client")
        .stderr_has("try: `cert: PATH, key: PATH`   (std/tls makes some: `client: \"NAME\"`)");
}

#[test]
fn a_body_that_never_ends_is_bounded_in_time() {
    let trickle = server(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(message(trickle, "timeout: \"300ms\""), "the body did not end within 300 ms (5 bytes came)");
}

#[test]
fn a_body_that_never_ends_is_bounded_in_size() {
    let flood = server(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
    });
    assert_eq!(message(flood, "timeout: \"60s\""), "the body is larger than 64 MiB");
}

#[test]
fn a_body_that_is_cut_short_is_no_answer() {
    let port = says(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
    assert_eq!(message(port, ""), "the connection ended in the middle of the body (5 bytes came)");
    let port = says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
    assert!(message(port, "").starts_with("the body is broken after 0 bytes: "));
}

#[test]
fn localhost_is_both_families() {
    let answer = |mut stream: TcpStream| {
        let head = head(&mut stream);
        let host = head.lines().find(|line| line.to_lowercase().starts_with("host:")).unwrap_or_default();
        let host = host.to_lowercase();
        let _ = stream
            .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{host}", host.len()).as_bytes());
    };
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let port = listen(address, answer);
        let code = format!("print(http_get(\"http://localhost:{port}/\").body)");
        Script::code(&code).run().code(0).stdout(&format!("host: localhost:{port}\n"));
    }
}

#[test]
fn a_proxy_of_the_environment_is_not_asked_for_this_machine() {
    let port = says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let code = format!("print(http_get(\"http://localhost:{port}/\").body)");
    let run =
        Script::code(&code).env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    run.env("ALL_PROXY", "http://127.0.0.1:1").run().code(0).stdout("ok\n");
}

#[test]
fn a_unix_socket_answers_too() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).unwrap_or(0);
            let line = String::from_utf8_lossy(&buffer[..n]).lines().next().unwrap_or_default().to_owned();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", line.len());
            let _ = stream.write_all(format!("{head}{line}").as_bytes());
        }
    });
    let code = "print(http_get(\"http://docker/info\", #{unix_socket: \"s\"}).body); http_get(\"http://x\", #{unix_socket: \"t\"})";
    let ran = Script::code(code).cwd(dir.path()).run().code(1).stdout("GET /info HTTP/1.1\n");
    ran.stderr_has("GET http://x/: there is no such Unix socket").stderr_has("Unix socket: ");
}

#[test]
fn an_interrupt_ends_a_request_at_once() {
    let (connected, is_connected) = std::sync::mpsc::channel();
    let port = server(move |mut stream| {
        head(&mut stream);
        let _ = connected.send(());
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let code = format!(
        "try {{ http_get(\"http://127.0.0.1:{port}/\", \"200s\") }} catch (e) {{ print(\"caught\") }} print(\"after\")"
    );
    let child = Script::code(&code).command().stdout(std::process::Stdio::piped()).spawn().expect("bgjobs");
    is_connected.recv().expect("a request");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("kill");
    let started = Moment::now();
    let output = child.wait_with_output().expect("ends");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(started.elapsed().as_secs() < 20, "it waited for the request");
}

#[test]
fn a_refused_request_names_the_job_that_died() {
    let code = "let job = spawn(\"echo out of memory; exit 3\"); while job.running { } http_get(\"http://localhost:1/\")";
    let ran = Script::code(code).run();
    ran.stderr_has("GET http://localhost:1/: connection refused")
        .stderr_has("job `echo` of this run has died: exit 3")
        .stderr_has("out of memory");
}

#[test]
fn a_mock_that_is_killed_is_a_job_that_died() {
    let code = "let web = mock(#{\"/\": \"x\"}); print(web.url); while web.running { }";
    let mut child = Script::code(code)
        .command()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("bgjobs");
    let mut url = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().expect("stdout")), &mut url)
        .expect("a line");
    let port: u16 = url.trim().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let needle = format!("--port\0{port}\0");
    let is_mock = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
            String::from_utf8_lossy(&line).starts_with("bgjobs\0mock\0")
                && String::from_utf8_lossy(&line).ends_with(&needle)
        })
    };
    let pids = std::fs::read_dir("/proc").expect("proc").flatten();
    let pid =
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(is_mock).expect("a mock");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("kill");
    let output = child.wait_with_output().expect("ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("job `mock` was killed by SIGKILL"), "{stderr}");
    assert_eq!(output.status.code(), Some(125), "{stderr}");
}

/// Whoever answers in the place of a job that has not found out yet that its port is taken.
#[test]
fn a_closure_that_a_stranger_answers_finds_no_job_ready() {
    let port = says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let start = |command: &str| {
        let ready = format!("ready: || http_get(\"http://127.0.0.1:{port}/\").ok");
        Script::code(&format!("start(\"api\", {command:?}, #{{{ready}}})")).run()
    };
    let _ = start(&format!("exec sleep 60 {port}"))
        .code(125)
        .stderr_has(&format!("port {port} is answered by pid {} (", std::process::id()))
        .stderr_has("), which this run did not start")
        .stderr_has("= job `api` should answer it")
        .stderr_has("try: port: \"free\", and `$PORT` in the place of ");
    // It may as well ask somebody else: whom the command does not name, or whom the job itself asks.
    let _ = start("sleep 60").code(0);
    let _ = start(&format!("sleep 60 # from http://127.0.0.1:{port}/")).code(0);
}
