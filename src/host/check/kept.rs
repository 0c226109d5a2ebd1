//! Closures that are kept beyond the loop whose variable they have captured.

use super::walk::Walk;
use crate::host::explain::signature::CallAdvice;
use rhai::{Expr, Position, Stmt};

impl Walk<'_> {
    /// Keeps a value in something that starts with the variable `root`.
    pub(super) fn storing(&mut self, root: &str, value: &Expr) {
        let Some((position, name)) = self.kept(value) else { return };
        // What is declared in the loop is gone before the variable changes.
        if self.index_of(root) < self.index_of(&name) {
            self.report(position, kept_closure(&name));
        }
    }

    /// The loop variable that a closure in a value has captured.
    pub(super) fn kept(&self, value: &Expr) -> Option<(Position, String)> {
        match value {
            Expr::FnCall(call, position) if call.name == "curry" => {
                call.args.iter().skip(1).find_map(|arg| {
                    let Expr::Variable(variable, _, _) = arg else { return None };
                    let index = self.index_of(&variable.1)?;
                    self.scope[index].of_loop.then(|| (*position, variable.1.to_string()))
                })
            }
            // The captured variables are shared first, in a block around the closure.
            Expr::Stmt(block) => match block.statements() {
                [Stmt::Share(_), Stmt::Expr(closure)] => self.kept(closure),
                [Stmt::Share(_), Stmt::FnCall(call, position)] => {
                    self.kept(&Expr::FnCall(call.clone(), *position))
                }
                _ => None,
            },
            Expr::Array(items, _) => items.iter().find_map(|item| self.kept(item)),
            Expr::Map(map, _) => map.0.iter().find_map(|(_, value)| self.kept(value)),
            Expr::Variable(variable, _, position) => {
                let index = self.index_of(&variable.1)?;
                let captured = self.scope[index].captured.clone()?;
                Some((*position, captured))
            }
            _ => None,
        }
    }
}

pub(super) fn kept_closure(name: &str) -> CallAdvice {
    CallAdvice {
        message: format!("this closure outlives the loop: it would see only the last `{name}`"),
        notes: vec![format!(
            "a closure shares `{name}` with the loop, which sets it again on every iteration"
        )],
        hint: Some(format!("`let own = {name};` in the loop, and `own` in the closure")),
    }
}
