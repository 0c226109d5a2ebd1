//! Advice for habits from other languages, and the words that rhai reserves without using them.

use rhai::{Engine, Token};

/// Reserved by rhai, used by nobody: ordinary names here, so that `spawn(…)`, `#{default: 1}` and `x.match`
/// parse.
const GIVEN_BACK: &[&str] = &[
    "spawn",
    "default",
    "with",
    "match",
    "is",
    "sync",
    "thread",
    "shared",
    "static",
    "public",
    "package",
    "module",
    "use",
    "case",
    "go",
    "goto",
    "protected",
    "super",
    "void",
    "var",
    "exit",
];

#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
pub fn install(engine: &mut Engine) {
    engine.on_parse_token(|token, _, _| match token {
        Token::Reserved(word) if GIVEN_BACK.contains(&word.as_str()) => Token::Identifier(word),
        other => other,
    });
}
