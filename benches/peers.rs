//! Tools that people use for the same task: measured where they are installed, named where not.

use crate::measure::{Budget, Pairs, Table, bgjobs, directory, installed, program, time};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

/// One round of a tool.
type Timed<'a> = &'a dyn Fn() -> Duration;

pub fn measure(table: &mut Table) {
    let rounds = table.pick(9, 2);
    let dir = directory();
    let file = dir.path().join("Procfile");
    std::fs::write(&file, "a: true\nb: true\n").expect("written");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let open = listener.local_addr().expect("its address").port();
    let free = || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();

    let serve = |port: u16| format!("python3 -m http.server {port} --bind 127.0.0.1");
    let ours_serve = || {
        let mut command = Command::new(program());
        let port = free();
        command.args(["script", "-q", "serve-and-test", "--cmd", &serve(port), "--url"]);
        time(command.arg(format!("http://127.0.0.1:{port}/")).args(["--test", "true"]).stdin(Stdio::null()))
    };
    let both = || time(&mut bgjobs(r#"parallel(["true", "true"], |cmd| run(cmd));"#));
    let one = || time(&mut bgjobs(r#"run(["true"])"#));
    let wait = || time(&mut bgjobs(&format!("wait_port({open}, #{{external: true}})")));
    let serve_peer = || {
        let port = free();
        let mut command = Command::new("start-server-and-test");
        time(command.args([&serve(port), &format!("http://127.0.0.1:{port}"), "true"]))
    };
    let executor = || {
        let port = free();
        let code = format!(
            "from mirakuru import HTTPExecutor\nwith HTTPExecutor({:?}, url='http://127.0.0.1:{port}/'): pass",
            serve(port)
        );
        time(Command::new("python3").args(["-c", &code]))
    };
    let python = |module: &str| {
        let import =
            Command::new("python3").args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
        import.is_ok_and(|status| status.success())
    };
    let peers: [(&str, &str, bool, Timed, Timed); 8] = [
        (
            "a server, a test, the end",
            "start-server-and-test",
            installed("start-server-and-test"),
            &ours_serve,
            &serve_peer,
        ),
        ("a server, the end", "mirakuru", python("mirakuru"), &ours_serve, &executor),
        ("a port that is open", "wait-on", installed("wait-on"), &wait, &|| {
            time(Command::new("wait-on").arg(format!("tcp:127.0.0.1:{open}")))
        }),
        ("two commands at once", "concurrently", installed("concurrently"), &both, &|| {
            time(Command::new("concurrently").args(["true", "true"]))
        }),
        ("two commands at once", "honcho", installed("honcho"), &both, &|| {
            time(Command::new("honcho").arg("-f").arg(&file).arg("start"))
        }),
        ("two commands at once", "foreman", installed("foreman"), &both, &|| {
            time(Command::new("foreman").args(["start", "-f"]).arg(&file))
        }),
        ("one command, nothing left", "tini", installed("tini"), &one, &|| {
            time(Command::new("tini").args(["-s", "--", "true"]))
        }),
        ("one command, nothing left", "bwrap", installed("bwrap"), &one, &|| {
            time(Command::new("bwrap").args([
                "--dev-bind",
                "/",
                "/",
                "--unshare-pid",
                "--die-with-parent",
                "true",
            ]))
        }),
    ];
    for (what, peer, there, ours, theirs) in peers {
        if there {
            table.compare(what, peer, &Pairs::of(rounds, ours, theirs), Budget::None);
        } else {
            table.missing(what, peer);
        }
    }
}
