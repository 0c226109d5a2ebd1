//! What was meant by a name that is none.

use super::{Options, functions};
use crate::words::nearest;

/// The option that was probably meant: the same in another case, what another tool calls it, or a near one.
pub fn option(key: &str, options: &Options) -> Option<&'static str> {
    let snake = snake(key);
    let all = || options.all();
    let same = all().find(|opt| opt.name == snake);
    let meant = same.or_else(|| all().find(|opt| opt.also.contains(&snake.as_str())));
    meant.map(|opt| opt.name).or_else(|| nearest(key, all().map(|opt| opt.name)))
}

/// The same for an option of a module, of which these are known, but for near ones. What functions have under the same
/// name is called the same by others.
pub fn option_of_module<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let snake = snake(key);
    let ours = |name: &str| known.iter().copied().find(|ours| *ours == name);
    let same = || {
        let options = functions().iter().filter_map(|(_, function)| function.options());
        let mut alike = options.flat_map(Options::all).filter(|opt| opt.also.contains(&snake.as_str()));
        alike.find_map(|opt| ours(opt.name))
    };
    let also = || OF_MODULES.iter().filter(|(foreign, _)| *foreign == snake).find_map(|(_, name)| ours(name));
    ours(&snake).or_else(also).or_else(same)
}

/// What to do without an option that other tools have, in a function of a module: `redis::start`.
pub fn without(function: &str, key: &str) -> Option<&'static str> {
    let snake = snake(key);
    let module = function.split_once("::").map_or("", |(module, _)| module);
    let is_of = |of: &[&str]| of.contains(&function) || of.contains(&module);
    let mut all = SAID_OTHERWISE.iter();
    all.find(|(of, words, _)| is_of(of) && words.contains(&snake.as_str())).map(|(_, _, advice)| *advice)
}

/// What other tools call an option that only modules have.
pub const OF_MODULES: &[(&str, &str)] = &[
    ("database", "databases"),
    ("db", "databases"),
    ("dbname", "databases"),
    ("database_name", "databases"),
    ("schema", "sql"),
    ("init", "sql"),
    ("init_sql", "sql"),
    ("seed", "sql"),
    ("username", "user"),
    ("username", "users"),
    ("pass", "password"),
    ("passwd", "password"),
    ("pwd", "password"),
    ("data_dir", "data"),
    ("datadir", "data"),
    ("pgdata", "data"),
    ("arguments", "args"),
    ("argv", "args"),
    ("flags", "args"),
    ("extra_args", "args"),
    ("conf", "config"),
    ("configuration", "config"),
    ("document_root", "root"),
    ("upstream", "proxy"),
    ("proxy_pass", "proxy"),
    ("profile", "release"),
    ("concurrency", "connections"),
    ("clients", "connections"),
    ("users", "connections"),
    ("n", "requests"),
    ("rps", "rate"),
    ("qps", "rate"),
    ("publish", "ports"),
    ("environment", "env"),
    ("environ", "env"),
    ("envs", "env"),
    ("vars", "env"),
    ("mounts", "volumes"),
    ("entrypoint", "command"),
    ("cmd", "command"),
    ("port", "ports"),
    ("size", "nodes"),
    ("members", "nodes"),
    ("slaves", "replicas"),
    ("replicaof", "replica_of"),
    ("slaveof", "replica_of"),
    ("requirepass", "password"),
    ("master", "replica_of"),
    ("primary", "replica_of"),
    ("standby_of", "replica_of"),
    ("host", "listen"),
    ("bind", "listen"),
    ("address", "listen"),
    ("js", "jetstream"),
    ("stream", "jetstream"),
    ("enable_jetstream", "jetstream"),
    ("http_port", "monitor_port"),
    ("monitoring", "monitor_port"),
    ("http_port", "management_port"),
    ("websockets", "listeners"),
    ("ssl", "tls"),
    ("secure", "tls"),
    ("https", "tls"),
    ("root_password", "password"),
    ("host", "names"),
    ("hostname", "names"),
    ("hosts", "names"),
    ("domain", "names"),
    ("domains", "names"),
    ("san", "names"),
    ("sans", "names"),
    ("dns", "names"),
    ("common_name", "names"),
    ("cn", "names"),
    ("common_name", "name"),
    ("cn", "name"),
    ("issuer", "ca"),
    ("owner", "user"),
    ("static", "root"),
    ("dir", "root"),
    ("locations", "proxy"),
    ("binary", "bin"),
    ("program", "bin"),
    ("vus", "connections"),
    ("threads", "connections"),
    ("workers", "connections"),
    ("iterations", "requests"),
    ("count", "requests"),
    ("time", "duration"),
    ("concurrency", "formation"),
    ("scale", "formation"),
    ("processes", "only"),
    ("services", "only"),
    ("names", "only"),
    ("only", "services"),
    ("until", "recovers"),
    ("check", "recovers"),
    ("deadline", "within"),
    ("timeout", "within"),
    ("reqs", "requirements"),
    ("install", "packages"),
    ("pip", "packages"),
    ("modules", "packages"),
    ("interpreter", "python"),
    ("except", "keep"),
    ("exclude", "keep"),
    ("migrations_table", "table"),
];

/// Modules and functions, words of other tools, and what is to be done instead. Where the words are options of ours, these
/// count.
pub const SAID_OTHERWISE: &[(&[&str], &[&str], &str)] = &[
    (
        &["start", "spawn"],
        &["kind"],
        "without `ready` nothing is waited for: a worker needs no more to be said",
    ),
    (SERVERS, LISTENS, "it listens on 127.0.0.1 in any case: the servers of a run are for this machine"),
    (
        &["node", "cargo::start", "python::script"],
        LISTENS,
        "where it listens is a matter of the program: of its command line, or of a variable in `env`",
    ),
    (&["docker"], LISTENS, "its ports are published on 127.0.0.1 in any case"),
    (
        &["python::flask", "python::uvicorn", "python::gunicorn"],
        &["reload", "reloader"],
        "args: [\"--reload\"]",
    ),
    (&["python::flask"], &["debug"], "args: [\"--debug\"]"),
    (&["python::uvicorn", "python::gunicorn"], &["debug", "log_level"], "args: [\"--log-level\", \"debug\"]"),
    (&["python::uvicorn", "python::gunicorn"], &["workers"], "args: [\"--workers\", 2]"),
    (&["python::uvicorn"], &["factory"], "args: [\"--factory\"]"),
    (&["python::gunicorn"], &["threads"], "args: [\"--threads\", 2]"),
    (&["compose"], &["build"], "args: [\"--build\"]"),
    (&["docker"], &["memory"], "args: [\"--memory\", \"64m\"]"),
    (&["docker"], &["privileged"], "args: [\"--privileged\"]"),
    (&["docker"], &["user"], "args: [\"--user\", \"1000\"]"),
    (&["docker"], &["workdir", "working_dir", "cwd"], "args: [\"--workdir\", \"/app\"]"),
    (&["docker"], &["tag", "version"], "the tag is a part of the image: `docker::start(\"nginx:alpine\")`"),
    (&["docker"], &["image"], "the image comes first: `docker::start(\"nginx:alpine\", #{…})`"),
    (&["postgres"], &["image", "tag"], "`docker::start` starts images; this is a server that is installed"),
    (
        VERSIONLESS,
        &["version", "image", "tag"],
        "it is the server that is installed; `docker::start` starts an image of any version",
    ),
    (
        RUNS_ON,
        &["background", "daemon", "daemonize", "detach", "detached"],
        "it runs in the background in any case",
    ),
    (
        RUNS_ON,
        &["cleanup", "clean_up", "remove", "auto_remove", "rm", "autoremove", "stop_on_exit"],
        "what it has started is stopped and removed when the run ends, in any case",
    ),
    (
        &["tls"],
        &["days", "validity", "valid_days"],
        "it is valid for longer than any run; `expired: true` is not",
    ),
];

const LISTENS: &[&str] = &[
    "host",
    "hostname",
    "bind",
    "bind_address",
    "bind_addr",
    "address",
    "addr",
    "ip",
    "listen",
    "listen_address",
    "listen_addresses",
    "interface",
];

const VERSIONLESS: &[&str] =
    &["etcd", "memcached", "mosquitto", "mysql", "nats", "nginx", "rabbitmq", "redis"];

/// What listens where the module says.
const SERVERS: &[&str] = &[
    "etcd",
    "memcached",
    "mosquitto",
    "mysql",
    "nats",
    "nginx",
    "postgres",
    "rabbitmq",
    "redis",
    "python::http_server",
    "python::flask",
    "python::uvicorn",
    "python::gunicorn",
];

/// What goes on while the script does.
const RUNS_ON: &[&str] = &[
    "etcd",
    "memcached",
    "mosquitto",
    "mysql",
    "nats",
    "nginx",
    "postgres",
    "rabbitmq",
    "redis",
    "python::http_server",
    "python::flask",
    "python::uvicorn",
    "python::gunicorn",
    "python::script",
    "node::npm",
    "node::start_npx",
    "node::script",
    "cargo::start",
    "compose",
    "docker",
    "procfile",
    "services",
];

/// `stopSignal`, `Stop-Signal` → `stop_signal`.
pub fn snake(key: &str) -> String {
    let mut snake = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    snake
}
