//! What a closure captures, when it is to run beside others.
//!
//! Rhai makes a captured variable one cell with a lock, for everybody. A method that is called on it holds the lock
//! until it returns: `job.wait()` in one closure would keep `job.stop()` in another from ever coming. So every
//! closure gets its own copy of what none of them changes; handles, such as jobs, are the same job all the same. What
//! one of them changes stays one cell.

use super::functions::{self, Functions};
use crate::lock::lock;
use rhai::{AST, ASTNode, Array, Dynamic, Expr, FnPtr, Map, Stmt};
use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex};

/// The script and its modules: what their closures look like from within.
static FUNCTIONS: LazyLock<Mutex<Functions>> = LazyLock::new(Mutex::default);

pub fn remember(ast: &AST) {
    lock(&FUNCTIONS).add(ast);
}

/// Methods that change the array, map, string or blob that they are called on.
const CHANGING: &[&str] = &[
    "append",
    "chop",
    "clear",
    "crop",
    "dedup",
    "drain",
    "fill_with",
    "insert",
    "make_lower",
    "make_upper",
    "mixin",
    "order",
    "order_desc",
    "pad",
    "pop",
    "push",
    "remove",
    "replace",
    "retain",
    "reverse",
    "set",
    "shift",
    "sort",
    "sort_by",
    "sort_desc",
    "splice",
    "trim",
    "truncate",
    "write_ascii",
    "write_be",
    "write_le",
    "write_utf8",
];

/// How many captured values are looked at: closures can capture each other in a circle.
const MOST: usize = 10_000;

/// How many parameters a closure has that it did not capture; none when it is not a closure of a script.
pub fn parameters(closure: &FnPtr) -> Option<usize> {
    let function = definition_of(closure)?;
    Some(function.params.len().saturating_sub(closure.curry().len()))
}

/// The names of the parameters of a function of a script, but for the first ones, which it has captured.
pub fn named_parameters(function: &str, captured: usize) -> Option<Vec<String>> {
    Some(named(function)?.params.iter().skip(captured).map(ToString::to_string).collect())
}

/// A closure as it is written. Its name is unique.
fn definition_of(closure: &FnPtr) -> Option<functions::Function> {
    if closure.is_anonymous() { named(closure.fn_name()) } else { None }
}

fn named(name: &str) -> Option<functions::Function> {
    lock(&FUNCTIONS).named(name).first().cloned()
}

/// Whether a script has defined a function of this name.
fn of_script(name: &str) -> bool {
    !lock(&FUNCTIONS).named(name).is_empty()
}

/// These closures, each with its own copies of what none of them changes.
pub fn apart(closures: &[FnPtr]) -> Vec<FnPtr> {
    let mut methods = Methods { found: Vec::new(), seen: BTreeSet::new(), left: MOST };
    closures.iter().flat_map(FnPtr::curry).for_each(|value| methods.within(value));
    let methods = methods.changing();
    let mut changed = Changed { names: BTreeSet::new(), seen: BTreeSet::new(), left: MOST, methods };
    for closure in closures {
        changed.by(closure);
    }
    let Changed { names, .. } = changed;
    let copy = |closure: &FnPtr| Copier { changed: &names, left: MOST }.closure(closure);
    closures.iter().map(copy).collect()
}

/// Collects what maps have as their own methods: `#{n: 0, up: || this.n += 1}`.
struct Methods {
    /// Each with the function that it calls.
    found: Vec<(String, String)>,
    /// Closures that have been looked into.
    seen: BTreeSet<String>,
    left: usize,
}

impl Methods {
    fn within(&mut self, value: &Dynamic) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        if let Some(closure) = value.read_lock::<FnPtr>() {
            if self.seen.insert(closure.fn_name().to_owned()) {
                closure.curry().iter().for_each(|value| self.within(value));
            }
        } else if let Some(items) = value.read_lock::<Array>() {
            items.iter().for_each(|item| self.within(item));
        } else if let Some(map) = value.read_lock::<Map>() {
            for (key, item) in map.iter() {
                if let Some(method) = item.read_lock::<FnPtr>() {
                    self.found.push((key.to_string(), method.fn_name().to_owned()));
                }
                self.within(item);
            }
        }
    }

    /// The names of those that change the map. Most do not: a database's `query` may be called by several closures
    /// at the same time.
    fn changing(self) -> BTreeSet<String> {
        let mut changing = BTreeSet::new();
        loop {
            let before = changing.len();
            for (name, function) in &self.found {
                if !changing.contains(name) && changes_this(function, &changing) {
                    changing.insert(name.clone());
                }
            }
            if changing.len() == before {
                return changing;
            }
        }
    }
}

/// Collects the names of the variables that closures change, by the words of their bodies.
struct Changed {
    /// Methods of maps that change them.
    methods: BTreeSet<String>,
    names: BTreeSet<String>,
    /// Closures whose body has been read.
    seen: BTreeSet<String>,
    left: usize,
}

impl Changed {
    /// Also by the closures that it has captured.
    fn by(&mut self, closure: &FnPtr) {
        self.body(closure);
        for value in closure.curry() {
            self.within(value);
        }
    }

    fn within(&mut self, value: &Dynamic) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        if let Some(closure) = value.read_lock::<FnPtr>() {
            self.by(&closure);
        } else if let Some(items) = value.read_lock::<Array>() {
            items.iter().for_each(|item| self.within(item));
        } else if let Some(map) = value.read_lock::<Map>() {
            map.values().for_each(|item| self.within(item));
        }
    }

    fn body(&mut self, closure: &FnPtr) {
        if !self.seen.insert(closure.fn_name().to_owned()) {
            return;
        }
        let Some(function) = definition_of(closure) else { return };
        let mut inner = Vec::new();
        for stmt in functions::body(&function) {
            let (names, methods) = (&mut self.names, &self.methods);
            stmt.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
                names.extend(path.last().and_then(|node| changed(node, methods)).map(str::to_owned));
                if let Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) = path.last() {
                    inner.extend(value.read_lock::<FnPtr>().map(|closure| closure.clone()));
                }
                true
            });
        }
        // A closure within a closure captures what the outer one has captured, under the same name.
        for closure in inner {
            self.body(&closure);
        }
    }
}

/// The variable that this piece of code changes.
fn changed<'a>(node: &ASTNode<'a>, methods: &BTreeSet<String>) -> Option<&'a str> {
    match node {
        ASTNode::Stmt(Stmt::Assignment(assignment)) => root(&assignment.1.lhs),
        ASTNode::Expr(Expr::Dot(sides, ..)) if changes(&sides.rhs, methods) => root(&sides.lhs),
        _ => None,
    }
}

/// Whether what stands behind a dot changes what stands before it. `methods` are those of maps that change them.
fn changes(expr: &Expr, methods: &BTreeSet<String>) -> bool {
    match expr {
        Expr::MethodCall(call, _) | Expr::FnCall(call, _) => {
            let name = call.name.as_str();
            // A function of the script may change `this`.
            CHANGING.contains(&name)
                || methods.contains(name)
                || of_script(name)
                || (name == "for_each" && call.args.iter().any(|closure| changes_items(closure, methods)))
        }
        Expr::Dot(sides, ..) | Expr::Index(sides, ..) => {
            changes(&sides.lhs, methods) || changes(&sides.rhs, methods)
        }
        _ => false,
    }
}

/// Whether the closure that `for_each` gets changes the items. One that is not written there may.
fn changes_items(closure: &Expr, methods: &BTreeSet<String>) -> bool {
    let mut written = Vec::new();
    closure.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) = path.last() {
            written.extend(value.read_lock::<FnPtr>().map(|closure| closure.fn_name().to_owned()));
        }
        true
    });
    written.is_empty() || written.iter().any(|function| changes_this(function, methods))
}

/// Whether a function of the script changes what it is called on.
fn changes_this(function: &str, methods: &BTreeSet<String>) -> bool {
    let Some(function) = named(function) else { return false };
    let mut found = false;
    for stmt in functions::body(&function) {
        stmt.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
            found |= path.last().and_then(|node| changed(node, methods)) == Some(THIS);
            !found
        });
    }
    found
}

const THIS: &str = "this";

/// The variable that `a`, `a.b`, `a[0].b` start with.
fn root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Variable(variable, ..) => Some(&variable.1),
        Expr::ThisPtr(_) => Some(THIS),
        Expr::Dot(sides, ..) | Expr::Index(sides, ..) => root(&sides.lhs),
        _ => None,
    }
}

/// Copies what is captured, but for what is changed.
struct Copier<'a> {
    changed: &'a BTreeSet<String>,
    left: usize,
}

impl Copier<'_> {
    fn closure(&mut self, closure: &FnPtr) -> FnPtr {
        let mut own = closure.clone();
        let function = definition_of(closure);
        for (index, captured) in own.iter_curry_mut().enumerate() {
            let name = function.as_ref().and_then(|function| function.params.get(index));
            if !name.is_some_and(|name| self.changed.contains(name.as_str())) {
                *captured = self.value(captured);
            }
        }
        own
    }

    fn value(&mut self, value: &Dynamic) -> Dynamic {
        if self.left == 0 {
            return value.clone();
        }
        self.left -= 1;
        let mut own = value.flatten_clone();
        if let Some(closure) = own.clone().try_cast::<FnPtr>() {
            return self.closure(&closure).into();
        }
        if let Some(mut items) = own.write_lock::<Array>() {
            items.iter_mut().for_each(|item| *item = self.value(item));
        } else if let Some(mut map) = own.write_lock::<Map>() {
            map.values_mut().for_each(|item| *item = self.value(item));
        }
        own
    }
}
