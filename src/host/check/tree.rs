//! What is asked of an expression as it is written.

use rhai::{Expr, Position};

/// The text of a string that is written out.
pub(super) fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::StringConstant(text, _) => Some(text),
        _ => None,
    }
}

/// Where the method is called that stands directly behind a dot: `f` of `.f().g()`.
pub(super) fn first_call(behind: &Expr) -> Option<Position> {
    match behind {
        Expr::MethodCall(_, position) => Some(*position),
        Expr::Dot(sides, _, _) | Expr::Index(sides, _, _) => first_call(&sides.lhs),
        _ => None,
    }
}

/// The variable that `a`, `a.b`, `a[0].b` start with.
pub(super) fn root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Variable(variable, _, _) => Some(&variable.1),
        Expr::Dot(sides, _, _) | Expr::Index(sides, _, _) => root(&sides.lhs),
        _ => None,
    }
}
