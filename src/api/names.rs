//! What was meant by a name that is none.

use super::Options;
use crate::words::nearest;

/// The option that was probably meant: the same in another case, what another tool calls it, or a near one.
pub fn option(key: &str, options: &Options) -> Option<&'static str> {
    let snake = snake(key);
    let all = || options.all();
    let same = all().find(|opt| opt.name == snake);
    let meant = same.or_else(|| all().find(|opt| opt.also.contains(&snake.as_str())));
    meant.map(|opt| opt.name).or_else(|| nearest(key, all().map(|opt| opt.name)))
}

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
