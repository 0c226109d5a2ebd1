//! The walk over one file: what is in scope, and where its statements and expressions are.
//!
//! The rule is to stay silent when in doubt: a valid script must never be refused. Types are not known here,
//! so calls are judged by name and number of arguments, and arguments only where they are written out.

use super::project::{File, Project};
use super::tree::{first_call, root};
use crate::host::explain::signature::{CallAdvice, Names};
use crate::host::source::functions;
use crate::host::source::functions::Function;
use rhai::{Expr, FnPtr, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// A variable in scope.
pub(super) struct Variable {
    pub(super) name: String,
    /// Set anew in every round of a `for`.
    pub(super) of_loop: bool,
    /// The loop variable that the closure in it has captured.
    pub(super) captured: Option<String>,
    /// The module whose function has returned it.
    pub(super) module: Option<String>,
    /// The function whose result it is, which returns nothing.
    pub(super) nothing: Option<String>,
}

/// One pass over one file.
pub(super) struct Walk<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) project: &'a Project,
    pub(super) file: &'a File,
    pub(super) scope: Vec<Variable>,
    /// How many `try` blocks and catching functions are around: there, an error may be what is wanted.
    pub(super) guarded: usize,
    /// The functions and closures that have been gone through, by name and number of parameters.
    pub(super) seen: BTreeSet<(String, usize)>,
    /// The module that has returned what stands before the dot of the method call at a place.
    pub(super) receivers: BTreeMap<Position, String>,
    pub(super) found: Vec<(Position, CallAdvice)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(names: &'a Names<'a>, project: &'a Project, file: &'a File) -> Self {
        Self {
            names,
            project,
            file,
            scope: Vec::new(),
            guarded: 0,
            seen: BTreeSet::new(),
            receivers: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    pub(super) fn file(&mut self) {
        let ast = &self.file.ast;
        self.block(ast.statements());
        for function in ast.iter_fn_def().filter(|function| !function.name.starts_with("anon$")) {
            self.body(function, false);
        }
    }

    /// The body of a function, or of a closure, which sees what is around it.
    pub(super) fn body(&mut self, function: &Function, sees_outside: bool) {
        if !self.seen.insert((function.name.to_string(), function.params.len())) {
            return;
        }
        let outside = if sees_outside { Vec::new() } else { std::mem::take(&mut self.scope) };
        let mark = self.scope.len();
        // A captured variable is a parameter of the closure and still the same variable.
        for name in &function.params {
            if self.index_of(name).is_none() || !sees_outside {
                self.declare(name, false);
            }
        }
        self.block(&functions::body(function));
        self.scope.truncate(mark);
        if !sees_outside {
            self.scope = outside;
        }
    }

    fn declare(&mut self, name: &str, of_loop: bool) {
        self.scope.push(Variable {
            name: name.to_owned(),
            of_loop,
            captured: None,
            module: None,
            nothing: None,
        });
    }

    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.scope.iter().rposition(|variable| variable.name == name)
    }

    pub(super) fn report(&mut self, position: Position, advice: CallAdvice) {
        self.found.push((position, advice));
    }

    pub(super) fn block(&mut self, statements: &[Stmt]) {
        let mark = self.scope.len();
        for stmt in statements {
            self.stmt(stmt);
        }
        self.scope.truncate(mark);
    }

    pub(super) fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Var(var, _, _) => {
                self.expr(&var.1);
                let captured = self.kept(&var.1).map(|(_, name)| name);
                let module = match &var.1 {
                    Expr::FnCall(call, _) => match call.namespace.path.as_slice() {
                        [alias] => self.file.imports.get(alias.name.as_str()).cloned().flatten(),
                        _ => None,
                    },
                    _ => None,
                };
                let assigned = self.project.assigned.contains(var.0.name.as_str());
                let nothing = self.nothing(&var.1).filter(|_| !assigned).map(str::to_owned);
                self.scope.push(Variable {
                    name: var.0.name.to_string(),
                    of_loop: false,
                    captured,
                    module,
                    nothing,
                });
            }
            Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, _, _) => {
                self.expr(&flow.expr);
                self.block(flow.body.statements());
                self.block(flow.branch.statements());
            }
            Stmt::For(inner, _) => {
                let (item, counter, flow) = &**inner;
                self.expr(&flow.expr);
                let mark = self.scope.len();
                self.declare(&item.name, true);
                if let Some(counter) = counter {
                    self.declare(&counter.name, true);
                }
                self.block(flow.body.statements());
                self.scope.truncate(mark);
            }
            Stmt::TryCatch(flow, _) => {
                self.guarded += 1;
                self.block(flow.body.statements());
                self.guarded -= 1;
                let mark = self.scope.len();
                if let Expr::Variable(variable, _, _) = &flow.expr {
                    self.declare(&variable.1, false);
                }
                self.block(flow.branch.statements());
                self.scope.truncate(mark);
            }
            Stmt::Switch(switch, _) => {
                self.expr(&switch.0);
                for case in &switch.1.expressions {
                    self.expr(&case.lhs);
                    self.expr(&case.rhs);
                }
            }
            Stmt::Assignment(assignment) => {
                let sides = &assignment.1;
                self.expr(&sides.lhs);
                self.expr(&sides.rhs);
                if let Some(root) = root(&sides.lhs) {
                    self.storing(root, &sides.rhs);
                }
            }
            Stmt::FnCall(call, position) => self.call(call, *position, None),
            Stmt::Block(block) => self.block(block.statements()),
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::Return(Some(expr), ..) | Stmt::BreakLoop(Some(expr), ..) => self.expr(expr),
            _ => {}
        }
    }

    pub(super) fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::StringConstant(text, position) => self.text(text, *position),
            Expr::InterpolatedString(parts, _) => {
                for part in parts.iter().filter(|part| !matches!(part, Expr::StringConstant(..))) {
                    self.expr(part);
                    // A variable may be shown on purpose.
                    if let Expr::Stmt(block) = part {
                        match block.statements() {
                            [Stmt::Expr(expr)] if !matches!(**expr, Expr::Variable(..)) => {
                                self.is_value(expr)
                            }
                            [Stmt::FnCall(call, position)] => {
                                self.is_value(&Expr::FnCall(call.clone(), *position));
                            }
                            _ => {}
                        }
                    }
                }
            }
            Expr::Array(items, _) => items.iter().for_each(|item| self.expr(item)),
            Expr::Map(map, _) => map.0.iter().for_each(|(_, value)| self.expr(value)),
            Expr::Stmt(block) => self.block(block.statements()),
            Expr::FnCall(call, position) => self.call(call, *position, None),
            Expr::Dot(sides, _, _) => {
                self.expr(&sides.lhs);
                if let (Expr::Variable(variable, _, _), Some(call)) = (&sides.lhs, first_call(&sides.rhs))
                    && let Some(index) = self.index_of(&variable.1)
                    && let Some(module) = &self.scope[index].module
                {
                    self.receivers.insert(call, module.clone());
                }
                self.chained(&sides.rhs, &sides.lhs);
            }
            Expr::Index(sides, _, _) => {
                self.expr(&sides.lhs);
                self.expr(&sides.rhs);
            }
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => {
                parts.iter().for_each(|part| self.expr(part));
            }
            Expr::DynamicConstant(value, _) => {
                if let Some(closure) = value.read_lock::<FnPtr>() {
                    self.closure(&closure);
                }
            }
            Expr::MethodCall(call, position) => self.call(call, *position, Some(None)),
            _ => {}
        }
    }

    /// What stands behind a dot: `a.b.c()` is `a . (b . c())`.
    fn chained(&mut self, expr: &Expr, receiver: &Expr) {
        match expr {
            Expr::MethodCall(call, position) => self.call(call, *position, Some(root(receiver))),
            Expr::Dot(sides, _, _) | Expr::Index(sides, _, _) => {
                self.chained(&sides.lhs, receiver);
                match expr {
                    Expr::Dot(..) => self.chained(&sides.rhs, receiver),
                    _ => self.expr(&sides.rhs),
                }
            }
            other => self.expr(other),
        }
    }

    pub(super) fn closure(&mut self, closure: &FnPtr) {
        let name = closure.fn_name();
        if !name.starts_with("anon$") {
            return;
        }
        if let Some(function) = self.file.defined.named(name).first() {
            self.body(function, true);
        }
    }
}
