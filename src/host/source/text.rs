//! The texts of scripts, and places in them: every text that was loaded, where it is run from, and what stands at a position.
//!
//! Nothing is explained here.

use crate::event::Place;
use crate::lock::lock;
use rhai::{AST, Engine, ParseError, ParseErrorType, Position};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

/// Every script text that was loaded, for excerpts.
pub fn texts() -> &'static Mutex<HashMap<String, Arc<str>>> {
    static TEXTS: OnceLock<Mutex<HashMap<String, Arc<str>>>> = OnceLock::new();
    TEXTS.get_or_init(Mutex::default)
}

pub fn remember(name: &str, text: &str) {
    lock(texts()).insert(name.to_owned(), text.into());
}

/// In which script a closure is written. Rhai reports the script that calls it; its name is unique.
pub fn closures() -> &'static Mutex<HashMap<String, String>> {
    static CLOSURES: OnceLock<Mutex<HashMap<String, String>>> = OnceLock::new();
    CLOSURES.get_or_init(Mutex::default)
}

pub fn remember_closures(ast: &AST) {
    let Some(source) = ast.source() else { return };
    let names = ast.iter_functions().map(|function| function.name).filter(|name| name.starts_with("anon$"));
    lock(closures()).extend(names.map(|name| (name.to_owned(), source.to_owned())));
}

/// What was put into the text of a module before it was run.
struct Inserted {
    /// Behind which characters, as line and column of the text as it is written, in order.
    places: Vec<(usize, usize)>,
    width: usize,
}

fn inserted() -> &'static Mutex<HashMap<String, Inserted>> {
    static INSERTED: OnceLock<Mutex<HashMap<String, Inserted>>> = OnceLock::new();
    INSERTED.get_or_init(Mutex::default)
}

pub fn remember_inserted(name: &str, places: Vec<(usize, usize)>, width: usize) {
    lock(inserted()).insert(name.to_owned(), Inserted { places, width });
}

/// A position in what is run → the one in the text as it is written.
pub fn as_written(source: &str, position: Position) -> Position {
    let (Some(line), Some(mut column)) = (position.line(), position.position()) else { return position };
    if let Some(inserted) = lock(inserted()).get(source) {
        for (_, place) in inserted.places.iter().filter(|(at, _)| *at == line) {
            if column > place + inserted.width {
                column -= inserted.width;
            }
        }
    }
    place_at(line, column)
}

fn place_at(line: usize, column: usize) -> Position {
    let number = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    Position::new(number(line).max(1), number(column))
}

pub fn position_of(place: &Place) -> Position {
    place_at(place.line, place.column)
}

pub fn text_of(source: &str) -> Arc<str> {
    lock(texts()).get(source).cloned().unwrap_or_else(|| "".into())
}

pub fn at(source: &str, position: Position) -> Option<String> {
    let (line, column) = (position.line()?, position.position().unwrap_or(1));
    Some(format!("{source}:{line}:{column}"))
}

/// Whether a string at a place stands in double quotes, not in backticks.
pub fn starts_with_quote(source: &str, position: Position) -> bool {
    place(source, position).is_some_and(|place| place.text.chars().nth(place.column - 1) == Some('"'))
}

/// The line with the token that an error points to.
pub fn place(source: &str, position: Position) -> Option<Place> {
    let line = position.line()?;
    let column = position.position().unwrap_or(1).max(1);
    let text = lock(texts()).get(source).and_then(|text| text.lines().nth(line - 1).map(str::to_owned));
    let text = text.unwrap_or_default();
    let rest: String = text.chars().skip(column - 1).collect();
    Some(Place { file: source.to_owned(), line, column, width: token_width(&rest), text })
}

/// How many characters the token at the start of a text has.
fn token_width(rest: &str) -> usize {
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    match rest.chars().next() {
        Some('"') => rest[1..].find('"').map_or(1, |end| rest[..end + 2].chars().count()),
        Some(c) if word(&c) => rest.chars().take_while(word).count(),
        Some(c) if "+-=!<>&|".contains(c) => rest.chars().take_while(|c| "+-=!<>&|".contains(*c)).count(),
        _ => 1,
    }
}

/// Compiles a text, in which a comment must have an end: rhai takes what follows for a part of it, and says nothing.
pub fn compile(engine: &Engine, text: &str) -> Result<AST, ParseError> {
    let ast = engine.compile(text)?;
    // Only in a comment that is still open this is no mistake.
    if text.contains("/*") && engine.compile(format!("{text}\n*/")).is_ok() {
        return Err(ParseError(ParseErrorType::UnexpectedEOF.into(), Position::NONE));
    }
    Ok(ast)
}

/// A path for people: relative to the directory that bgjobs was called in, where that is shorter.
pub fn display_path(path: &Path) -> String {
    let cwd = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&cwd).unwrap_or(path).display().to_string()
}
