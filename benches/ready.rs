//! How soon a wait notices that a server listens, by the clock of the server.

use crate::measure::{Budget, Table, bgjobs, median, ms};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The script that waits for this port.
type Script = fn(u16) -> String;

pub fn measure(table: &mut Table) {
    let waits: [(&str, Script); 2] = [
        ("wait_port", |port| format!("wait_port({port}, #{{external: true}}); print(\"ready\");")),
        ("wait_http", |port| {
            format!("wait_http(\"http://127.0.0.1:{port}/\", #{{external: true}}); print(\"ready\");")
        }),
    ];
    let delays: &[(f64, usize)] = table.pick(&[(0.1, 100), (1.0, 40), (5.0, 40)], &[(0.1, 20), (1.0, 4)]);
    for (name, code) in waits {
        for (delay, rounds) in delays {
            let mut late = rounds_of(*delay, *rounds, code);
            late.sort();
            let floor =
                format!("a client at once: {:.2} ms", ms(median((0..20).map(|_| at_once()).collect())));
            let at = |part: f64| ms(late[((late.len() - 1) as f64 * part).round() as usize]);
            let what = format!("`{name}`, a server that listens after {delay} s");
            table.add(
                &format!("{what}: p50"),
                &format!("{rounds} waits"),
                &floor,
                (at(0.5), " ms"),
                Budget::AtMost(1.0),
            );
            let most = 3.0 + delay * 1000.0 * 0.002;
            table.add(
                &format!("{what}: p99"),
                &format!("{rounds} waits"),
                &floor,
                (at(0.99), " ms"),
                Budget::AtMost(most),
            );
        }
    }
}

/// Some beside each other, since they mostly wait; not so many that they would wait for each other.
fn rounds_of(delay: f64, rounds: usize, code: Script) -> Vec<Duration> {
    let beside = if delay < 1.0 { 1 } else { 4 };
    let one = |at: usize| {
        let of = move |round: usize| {
            late(Duration::from_secs_f64(delay) + Duration::from_millis(7 * (round % 13) as u64), code)
        };
        (at..rounds).step_by(beside).map(of).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..beside).map(|at| scope.spawn(move || one(at))).collect();
        all.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// From the moment in which the server listens until the script has gone on, and said so.
fn late(delay: Duration, code: Script) -> Duration {
    // A port that is free, and then still is.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let mut child =
        bgjobs(&code(port)).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("bgjobs starts");
    std::thread::sleep(delay);
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is still free");
    let listening = Instant::now();
    let server = std::thread::spawn(move || serve(&listener));
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let late = listening.elapsed();
    assert_eq!(line, "ready\n");
    child.wait().expect("bgjobs ends");
    // Where nobody has connected it is still waiting for that.
    let _ = TcpStream::connect(("127.0.0.1", port));
    server.join().expect("the server ends");
    late
}

/// One answer.
fn serve(listener: &TcpListener) {
    if let Ok((mut stream, _)) = listener.accept() {
        let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
        let _ = stream.read(&mut [0u8; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
}

/// What the server itself takes: of a client that needs no telling when it listens, and tells nobody of the answer.
fn at_once() -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let listening = Instant::now();
    let server = std::thread::spawn(move || serve(&listener));
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("it reads");
    let _ = stream.read(&mut [0u8; 4096]).expect("an answer");
    let took = listening.elapsed();
    server.join().expect("the server ends");
    took
}
