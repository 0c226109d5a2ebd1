//! What is built in: the modules of the standard library and the scenario scripts, by name, as text. How they are read
//! and run is `host`'s business.

/// The modules, as `import "std/NAME"` and `bgjobs api std/NAME` find them, in the order of their names.
pub const MODULES: &[(&str, &str)] = &[
    ("std/cargo", include_str!("../stdlib/cargo.rhai")),
    ("std/chaos", include_str!("../stdlib/chaos.rhai")),
    ("std/compose", include_str!("../stdlib/compose.rhai")),
    ("std/db", include_str!("../stdlib/db.rhai")),
    ("std/docker", include_str!("../stdlib/docker.rhai")),
    ("std/etcd", include_str!("../stdlib/etcd.rhai")),
    ("std/load", include_str!("../stdlib/load.rhai")),
    ("std/memcached", include_str!("../stdlib/memcached.rhai")),
    ("std/mosquitto", include_str!("../stdlib/mosquitto.rhai")),
    ("std/mysql", include_str!("../stdlib/mysql.rhai")),
    ("std/nats", include_str!("../stdlib/nats.rhai")),
    ("std/nginx", include_str!("../stdlib/nginx.rhai")),
    ("std/node", include_str!("../stdlib/node.rhai")),
    ("std/npm_scripts", include_str!("../stdlib/npm_scripts.rhai")),
    ("std/postgres", include_str!("../stdlib/postgres.rhai")),
    ("std/process_compose", include_str!("../stdlib/process_compose.rhai")),
    ("std/procfile", include_str!("../stdlib/procfile.rhai")),
    ("std/python", include_str!("../stdlib/python.rhai")),
    ("std/rabbitmq", include_str!("../stdlib/rabbitmq.rhai")),
    ("std/redis", include_str!("../stdlib/redis.rhai")),
    ("std/services", include_str!("../stdlib/services.rhai")),
    ("std/tls", include_str!("../stdlib/tls.rhai")),
];

/// The scripts, as `bgjobs script NAME` finds them, in the order of their names.
pub const SCRIPTS: &[(&str, &str)] = &[
    ("capture-logs", include_str!("../scripts/capture-logs.rhai")),
    ("compose", include_str!("../scripts/compose.rhai")),
    ("db-migrate", include_str!("../scripts/db-migrate.rhai")),
    ("demo", include_str!("../scripts/demo.rhai")),
    ("docker-service", include_str!("../scripts/docker-service.rhai")),
    ("free-port", include_str!("../scripts/free-port.rhai")),
    ("health-check", include_str!("../scripts/health-check.rhai")),
    ("multi-service", include_str!("../scripts/multi-service.rhai")),
    ("node-app", include_str!("../scripts/node-app.rhai")),
    ("python-app", include_str!("../scripts/python-app.rhai")),
    ("restart-resilience", include_str!("../scripts/restart-resilience.rhai")),
    ("serve-and-test", include_str!("../scripts/serve-and-test.rhai")),
    ("services-file", include_str!("../scripts/services-file.rhai")),
    ("smoke", include_str!("../scripts/smoke.rhai")),
];

/// What `bgjobs up` does.
pub const UP: &str = include_str!("up.rhai");

/// What `bgjobs new --from` does.
pub const FROM: &str = include_str!("from.rhai");

/// The text of a module.
pub fn module(name: &str) -> Option<&'static str> {
    text(MODULES, name)
}

/// The names of the modules.
pub fn modules() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
}

/// The text of a script.
pub fn script(name: &str) -> Option<&'static str> {
    text(SCRIPTS, name)
}

/// The names of the scripts.
pub fn scripts() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().map(|(name, _)| *name)
}

fn text(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
