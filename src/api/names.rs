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

/// The same for an option of a module, of which these are known. What functions have under the same name is called the
/// same by others.
pub fn option_of_module<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let snake = snake(key);
    let ours = |name: &str| known.iter().copied().find(|ours| *ours == name);
    let same = || {
        let options = functions().iter().filter_map(|(_, function)| function.options());
        let mut alike = options.flat_map(Options::all).filter(|opt| opt.also.contains(&snake.as_str()));
        alike.find_map(|opt| ours(opt.name))
    };
    let also = || OF_MODULES.iter().filter(|(foreign, _)| *foreign == snake).find_map(|(_, name)| ours(name));
    ours(&snake).or_else(also).or_else(same).or_else(|| nearest(key, known.iter().copied()))
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
