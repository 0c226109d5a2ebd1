//! The functions that scripts define, each found by its name in one step however many there are.

use rhai::{AST, ASTNode, Module, ScriptFuncDef, Shared, Stmt};
use std::collections::HashMap;

pub type Function = Shared<ScriptFuncDef>;

#[derive(Default)]
pub struct Functions(HashMap<String, Vec<Function>>);

impl Functions {
    pub fn of(ast: &AST) -> Self {
        let mut functions = Self::default();
        functions.add(ast);
        functions
    }

    pub fn add(&mut self, ast: &AST) {
        for function in ast.iter_fn_def() {
            self.0.entry(function.name.to_string()).or_default().push(Shared::clone(function));
        }
    }

    /// All of a name: they differ in the number of their parameters.
    pub fn named(&self, name: &str) -> &[Function] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn with(&self, name: &str, params: usize) -> Option<&Function> {
        self.named(name).iter().find(|function| function.params.len() == params)
    }
}

/// The statements of a function. Rhai hides the type of a function's body; a walk over a script that has
/// nothing else shows them.
pub fn body(function: &Function) -> Vec<Stmt> {
    let mut only = Module::new();
    only.set_script_fn(Shared::clone(function));
    let mut statements = Vec::new();
    AST::new([], only).walk(&mut |path: &[ASTNode]| {
        if let [ASTNode::Stmt(stmt)] = path {
            statements.push((*stmt).clone());
        }
        true
    });
    statements
}

/// How it is called: `name(a, b)`.
pub fn form(function: &Function) -> String {
    let params: Vec<&str> = function.params.iter().map(|param| param.as_str()).collect();
    format!("{}({})", function.name, params.join(", "))
}
