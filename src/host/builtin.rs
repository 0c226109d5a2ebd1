//! The scenario scripts that are built in: `bgjobs script NAME`.

/// Name and text, in the order of `bgjobs scripts`.
pub const SCRIPTS: &[(&str, &str)] = &[
    ("capture-logs", include_str!("../../scripts/capture-logs.rhai")),
    ("db-migrate", include_str!("../../scripts/db-migrate.rhai")),
    ("demo", include_str!("../../scripts/demo.rhai")),
    ("docker-service", include_str!("../../scripts/docker-service.rhai")),
    ("free-port", include_str!("../../scripts/free-port.rhai")),
    ("health-check", include_str!("../../scripts/health-check.rhai")),
    ("multi-service", include_str!("../../scripts/multi-service.rhai")),
    ("node-app", include_str!("../../scripts/node-app.rhai")),
    ("python-app", include_str!("../../scripts/python-app.rhai")),
    ("restart-resilience", include_str!("../../scripts/restart-resilience.rhai")),
    ("serve-and-test", include_str!("../../scripts/serve-and-test.rhai")),
    ("services-file", include_str!("../../scripts/services-file.rhai")),
    ("smoke", include_str!("../../scripts/smoke.rhai")),
];

pub fn text(name: &str) -> Option<&'static str> {
    SCRIPTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

pub fn names() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().map(|(name, _)| *name)
}
