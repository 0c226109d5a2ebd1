//! How the lines of commands that run beside each other are told apart: by the name of the command, by that of the item
//! that its closure was called with, or by its program and a number.

use crate::lock::lock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Which closures of one `parallel` have run a program, in the order in which they did.
#[derive(Default)]
pub struct Programs(Mutex<HashMap<String, Vec<usize>>>);

/// The closure that the calling thread runs.
struct Closure {
    name: Option<String>,
    programs: Arc<Programs>,
    index: usize,
}

thread_local! {
    static CURRENT: RefCell<Option<Closure>> = const { RefCell::new(None) };
}

/// Says which closure the calling thread runs, until the guard goes.
pub fn named(name: Option<String>, programs: Arc<Programs>, index: usize) -> Named {
    Named(CURRENT.replace(Some(Closure { name, programs, index })))
}

/// Sets back what the thread ran before.
pub struct Named(Option<Closure>);

impl Drop for Named {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// What the lines of a command begin with that runs beside others. The first closure that runs a program has its name
/// alone; the others have it with a number.
pub fn prefix(program: &str) -> String {
    CURRENT.with_borrow(|current| {
        let Some(Closure { name, programs, index }) = current else { return program.to_owned() };
        if let Some(name) = name {
            return name.clone();
        }
        let mut programs = lock(&programs.0);
        let closures = programs.entry(program.to_owned()).or_default();
        let at = closures.iter().position(|known| known == index).unwrap_or_else(|| {
            closures.push(*index);
            closures.len() - 1
        });
        if at == 0 { program.to_owned() } else { format!("{program} {}", at + 1) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_of_several_closures_has_a_number() {
        let programs: Arc<Programs> = Arc::default();
        let of = |name: Option<&str>, index: usize| {
            let _named = named(name.map(str::to_owned), Arc::clone(&programs), index);
            [prefix("npm"), prefix("curl"), prefix("npm")].join(" | ")
        };
        assert_eq!(of(None, 4), "npm | curl | npm");
        assert_eq!(of(None, 2), "npm 2 | curl 2 | npm 2");
        assert_eq!(of(Some("web"), 3), "web | web | web");
        assert_eq!(of(None, 4), "npm | curl | npm");
        assert_eq!(prefix("npm"), "npm");
    }
}
