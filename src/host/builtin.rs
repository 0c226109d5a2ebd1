//! The scenario scripts that are built in: `bgjobs script NAME`.

/// Name and text, in the order of `bgjobs scripts`.
pub const SCRIPTS: &[(&str, &str)] = &[
    ("demo", include_str!("../../scripts/demo.rhai")),
    ("multi-service", include_str!("../../scripts/multi-service.rhai")),
    ("serve-and-test", include_str!("../../scripts/serve-and-test.rhai")),
];

pub fn text(name: &str) -> Option<&'static str> {
    SCRIPTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

pub fn names() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().map(|(name, _)| *name)
}
