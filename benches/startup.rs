//! Speed as ratios in one run: an empty script next to `bash -c :`, and how soon a wait notices readiness.
//!
//! Run by `cargo bench --bench startup`; prints medians and judges nothing, since machines differ.

#![allow(clippy::disallowed_methods, reason = "no reaper runs in the benchmark's own process")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 100;

fn main() {
    empty_script();
    readiness("wait_port", |port| format!("wait_port({port}, #{{external: true}}); print(\"ready\");"));
    readiness("wait_http", |port| {
        format!("wait_http(\"http://127.0.0.1:{port}/\", #{{external: true}}); print(\"ready\");")
    });
}

/// The two commands take turns, so that both meet the same load.
fn empty_script() {
    let (mut ours, mut bash) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bash.push(time(Command::new("bash").args(["-c", ":"])));
        ours.push(time(bgjobs("")));
    }
    let (ours, bash) = (median(ours), median(bash));
    println!(
        "empty script: {ours:.2?}, bash -c : {bash:.2?}, ratio {:.1}",
        ours.as_secs_f64() / bash.as_secs_f64()
    );
}

fn bgjobs(code: &str) -> &mut Command {
    Box::leak(Box::new({
        let mut command = Command::new(env!("CARGO_BIN_EXE_bgjobs"));
        command.args(["script", "-e", code]).stdin(Stdio::null());
        command
    }))
}

fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} fails");
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A server that begins to listen at some time after the wait has begun: from then until the script goes on.
fn readiness(name: &str, code: impl Fn(u16) -> String) {
    let mut late = Vec::new();
    for round in 0..20 {
        // A port that is free, and then still is.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let mut child =
            bgjobs(&code(port)).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("bgjobs starts");
        std::thread::sleep(Duration::from_millis(50 + 10 * round));
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is still free");
        let listening = Instant::now();
        let server = std::thread::spawn(move || {
            if let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
                let _ = stream.read(&mut [0u8; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        output.read_line(&mut line).expect("a line");
        late.push(listening.elapsed());
        assert_eq!(line, "ready\n");
        child.wait().expect("bgjobs ends");
        server.join().expect("the server ends");
    }
    let worst = late.iter().max().copied().unwrap_or_default();
    println!(
        "{name}: noticed {:.2?} after the server listened (median), {worst:.2?} (worst of 20)",
        median(late)
    );
}
