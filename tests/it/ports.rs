//! `kill_port(…)`: who is ended, and who never is.

use crate::support::{Script, skip};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

/// Listens, with as many workers on the same socket as it is told, and ignores TERM if it is told so.
const SERVER: &str = "
import os, signal, socket, sys
server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen()
if 'stubborn' in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
pids = [os.getpid()]
for _ in range(sys.argv.count('worker')):
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    pids.append(pid)
print(server.getsockname()[1], *pids, flush=True)
while True:
    signal.pause()
";

/// A server that is no relative of bgjobs.
struct Server {
    child: Child,
    port: u16,
    pids: Vec<i32>,
}

impl Server {
    fn start(args: &[&str], user: Option<u32>) -> Self {
        let mut command = Command::new("python3");
        command.arg("-c").arg(SERVER).args(args).current_dir("/").stdout(Stdio::piped());
        if let Some(user) = user {
            command.uid(user);
        }
        let mut child = command.spawn().expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let mut numbers = line.split_whitespace().map(|word| word.parse::<i32>().expect("a number"));
        let port = u16::try_from(numbers.next().expect("a port")).expect("a port");
        Self { child, port, pids: numbers.collect() }
    }

    /// By which signal it has been ended.
    fn ended_by(&mut self) -> Option<i32> {
        self.child.wait().expect("it is our child").signal()
    }

    fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn a_free_port_stays_as_it_is() {
    let ran = Script::code("kill_port(free_port()); print(\"free\")").run().code(0).stdout("free\n");
    assert!(!ran.stderr.contains("port "), "{}", ran.stderr);
}

#[test]
fn whoever_listens_is_ended_and_named() {
    let mut server = Server::start(&[], None);
    let (port, pid) = (server.port, server.pids[0]);
    let code = format!("kill_port({port}); assert(!port_in_use({port})); kill_port(\"{port}\")");
    let ran = Script::code(&code).run().code(0);
    assert_eq!(server.ended_by(), Some(15));
    let line = ran.stderr.lines().next().expect("a line");
    assert!(
        line.contains(&format!(" port {port}: stopped ")) && line.contains("python3 -c; import os"),
        "{line}"
    );
    assert!(line.ends_with(&format!("(pid {pid})")), "{line}");
}

#[test]
fn one_that_ignores_term_is_killed_after_the_grace_period() {
    let mut server = Server::start(&["stubborn"], None);
    let ran = Script::code(&format!("kill_port({}, \"100ms\")", server.port)).run().code(0);
    assert_eq!(server.ended_by(), Some(9));
    let _ = ran.stderr_has(&format!(" port {}: killed ", server.port));
    let mut server = Server::start(&["stubborn"], None);
    let _ =
        Script::code(&format!("kill_port({})", server.port)).option("--grace").option("50ms").run().code(0);
    assert_eq!(server.ended_by(), Some(9));
}

#[test]
fn a_stopped_one_is_ended_too() {
    let mut server = Server::start(&[], None);
    let pid = nix::unistd::Pid::from_raw(server.pids[0]);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).expect("stopped");
    let _ = Script::code(&format!("kill_port({})", server.port)).run().code(0);
    assert_eq!(server.ended_by(), Some(15));
}

#[test]
fn all_who_share_the_socket_are_ended() {
    let mut server = Server::start(&["worker", "worker", "worker"], None);
    assert_eq!(server.pids.len(), 4);
    let ran = Script::code(&format!("kill_port({0}); assert(!port_in_use({0}))", server.port)).run().code(0);
    assert_eq!(server.ended_by(), Some(15));
    for pid in &server.pids {
        assert!(ran.stderr.contains(&format!("(pid {pid})")), "{pid}: {}", ran.stderr);
        let alive = |text: String| !text.contains(") Z ");
        assert!(!std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(alive), "{pid} lives");
    }
}

#[test]
fn an_ancestor_is_never_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let code = format!(
        "try {{ kill_port({port}) }} catch (e) {{ print(`${{e.kind}} ${{e.port == {port}}} ${{e.pid}}`) }} kill_port({port})"
    );
    let ran = Script::code(&code).run().code(125);
    let ran = ran.stdout(&format!("port_taken true {}\n", std::process::id()));
    let _ = ran.stderr_has(", which has started this run or is part of it");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// One of several may not be ended: none is.
#[test]
fn nobody_is_ended_next_to_an_ancestor() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let inherited = listener.try_clone().expect("a second descriptor");
    let mut holder =
        Command::new("sleep").arg("60").stdin(std::os::fd::OwnedFd::from(inherited)).spawn().expect("sleep");
    let _ = Script::code(&format!("kill_port({port}, \"1ms\")")).run().code(125);
    assert!(holder.try_wait().expect("our child").is_none());
    holder.kill().expect("killed");
    let _ = holder.wait();
}

#[test]
fn another_users_process_is_never_ended() {
    if !is_root() {
        skip("only root can start something as another user");
        return;
    }
    let mut server = Server::start(&[], Some(65534));
    let ran = Script::code(&format!("kill_port({}, \"1ms\")", server.port)).run().code(125);
    let _ = ran
        .stderr_has("and not ours to end")
        .stderr_has(&format!("port {} is held by pid {}", server.port, server.pids[0]));
    assert!(server.runs());
}

#[test]
fn somebody_whom_another_user_may_not_see_is_not_ended() {
    if !is_root() {
        skip("only root can become another user");
        return;
    }
    let mut server = Server::start(&[], None);
    let mut command = Script::code(&format!("kill_port({}, \"1ms\")", server.port)).command();
    let output = command.uid(65534).gid(65534).current_dir("/").output().expect("bgjobs starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("is held by a process of user root that cannot be seen"), "{said}");
    assert!(server.runs());
}

#[test]
fn a_job_of_this_run_is_stopped_as_a_job() {
    let code = "let web = start(\"web\", \"trap 'echo bye; exit 0' TERM; python3 -m http.server $PORT --bind 127.0.0.1 & wait\", \
            #{port: \"free\", ready: \"/\"}); \
        let port = web.port; kill_port(port); assert(!web.running); assert(!port_in_use(port)); assert_eq(web.tail(1), \"bye\");";
    let ran = Script::code(code).run().code(0).stderr_has(" web stopped (");
    assert!(!ran.stderr.contains(" port "), "{}", ran.stderr);
}

/// Holds every name of a lock as the user that it is told, with several processes: each may only open so many files.
const SQUATTER: &str = "
import os, socket, sys, time
os.setuid(int(sys.argv[1]))
done, say = os.pipe()
many = 900
first = range(10000, 32768, many)
for start in first:
    if os.fork() == 0:
        held = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(many)]
        for i, s in enumerate(held): s.bind('\\0bgjobs-port-%d' % (start + i))
        os.write(say, b'.')
        time.sleep(600)
for _ in first: os.read(done, 1)
print('all', flush=True)
time.sleep(600)
";

#[test]
fn a_stranger_who_holds_every_lock_keeps_nobody_from_a_port() {
    // In a network namespace of its own: these names are one per namespace.
    let code = "
        let squatter = spawn(`squatter`, [`python3`, `-u`, `-c`, args()[0], `65534`], #{});
        squatter.wait_log(`^all$`);
        let mine = free_ports(3);
        let others = output([args()[1], `script`, `-q`, `-e`, `print(free_ports(3))`]);
        print(`${mine} ${others}`);
        for port in mine { assert(!others.contains(`${port}`), `${port} was given out twice: ${others}`); }
    ";
    let probe = Script::code("0").option("--isolate=net").run();
    if probe.code != Some(0) || !nix::unistd::geteuid().is_root() {
        return skip(&format!("no network namespace, or not root: {}", probe.stderr));
    }
    let program = crate::support::bgjobs().display().to_string();
    let ran = Script::code(code).option("--isolate=net").arg(SQUATTER).arg(&program).run().code(0);
    assert!(ran.stdout.contains('['), "{}", ran.stdout);
}
