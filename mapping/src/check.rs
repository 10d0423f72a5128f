//! Finds names that mean nothing: functions and variables that a script uses and nobody has made. Rhai would say so
//! when the line is reached, which may be never until the alarm that it is for.
//!
//! It knows no types: a method is known when some type has it. What a script may make itself (a closure in a variable
//! or in a map) counts as known.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Array, Dynamic, Engine, Expr, FnCallExpr, Map, Position, Stmt};

use crate::{
    edges,
    engine::{CONSTANTS, Catalogue},
};

/// What Rhai handles itself.
const BUILT_IN: &[&str] =
    &["call", "curry", "Fn", "is_def_fn", "is_def_var", "is_shared", "type_of", "print", "debug", "this", "eval"];

/// What a script makes: names, and for functions the numbers of parameters.
#[derive(Default)]
struct Own {
    functions: BTreeMap<String, BTreeSet<usize>>,
    /// Those of closures are here too when they come from outside, be they known there or not.
    parameters: BTreeSet<String>,
    variables: BTreeSet<String>,
    fields: BTreeSet<String>,
}

/// All that is wrong, with its place.
pub(crate) fn unknown(ast: &AST, engine: &Engine, catalogue: &Catalogue) -> Vec<(Position, String)> {
    let own = Own::of(ast);
    let check = Check { own: &own, engine, catalogue };
    let mut errors = Vec::new();
    check.walk(&ast.clone_statements_only(), &BTreeSet::new(), &mut errors);
    for function in ast.iter_functions() {
        let parameters = function.params.iter().copied().collect();
        check.walk(&edges::only(ast, function.name, function.params.len()), &parameters, &mut errors);
    }
    // A name that is used twice in a closure is found where the closure is made, and there once.
    errors.sort();
    errors.dedup();
    errors
}

/// Whether a variable of this name is read anywhere in a file.
pub(crate) fn mentions(ast: &AST, name: &str) -> bool {
    let mut is_there = false;
    ast.walk(&mut |path| {
        if let Some(ASTNode::Expr(Expr::Variable(variable, ..))) = path.last() {
            is_there |= variable.1 == name;
        }
        !is_there
    });
    is_there
}

struct Check<'c> {
    own: &'c Own,
    engine: &'c Engine,
    catalogue: &'c Catalogue,
}

impl Check<'_> {
    /// Checks one function, or what is in none. A closure's variables are parameters too, which Rhai looks for by name.
    fn walk(&self, ast: &AST, parameters: &BTreeSet<&str>, errors: &mut Vec<(Position, String)>) {
        let Self { own, engine, catalogue } = self;
        ast.walk(&mut |path| {
            let error = match path.last() {
                Some(ASTNode::Stmt(Stmt::FnCall(call, at)) | ASTNode::Expr(Expr::FnCall(call, at))) => {
                    function(call, *at, own, catalogue)
                }
                Some(ASTNode::Expr(Expr::MethodCall(call, at))) => method(call, *at, own, catalogue),
                Some(ASTNode::Expr(Expr::Variable(variable, None, at)))
                    if variable.0.is_none() && variable.2.is_empty() && !parameters.contains(variable.1.as_str()) =>
                {
                    unknown_variable(&variable.1, *at, own, engine)
                }
                _ => None,
            };
            errors.extend(error);
            true
        });
    }
}

impl Own {
    fn is_variable(&self, name: &str) -> bool {
        self.variables.contains(name) || self.parameters.contains(name)
    }

    fn of(ast: &AST) -> Self {
        let mut own = Self::default();
        for function in ast.iter_functions() {
            own.functions.entry(function.name.to_owned()).or_default().insert(function.params.len());
            own.parameters.extend(function.params.iter().map(|name| (*name).to_owned()));
        }
        ast.walk(&mut |path| {
            match path.last() {
                Some(ASTNode::Stmt(Stmt::Var(variable, ..))) => {
                    own.variables.insert(variable.0.name.to_string());
                }
                Some(ASTNode::Stmt(Stmt::For(each, _))) => {
                    own.variables.insert(each.0.name.to_string());
                }
                Some(ASTNode::Expr(Expr::Map(map, _))) => {
                    own.fields.extend(map.0.iter().map(|(name, _)| name.name.to_string()));
                }
                Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) => own.see_fields(value),
                Some(ASTNode::Expr(Expr::Property(property, _))) => {
                    own.fields.insert(property.2.to_string());
                }
                _ => {}
            }
            true
        });
        own
    }

    /// The names in a map that Rhai has made while it parsed, and in those in it: as deep as expressions may be.
    fn see_fields(&mut self, value: &Dynamic) {
        if let Some(map) = value.read_lock::<Map>() {
            for (name, value) in map.iter() {
                self.fields.insert(name.to_string());
                self.see_fields(value);
            }
        } else if let Some(array) = value.read_lock::<Array>() {
            array.iter().for_each(|value| self.see_fields(value));
        }
    }
}

fn function(call: &FnCallExpr, at: Position, own: &Own, catalogue: &Catalogue) -> Option<(Position, String)> {
    let name = call.name.as_str();
    if call.is_operator_call() || !rhai::is_valid_identifier(name) || BUILT_IN.contains(&name) {
        return None;
    }
    let count = call.args.len();
    if call.is_qualified() {
        let path: Vec<&str> = call.namespace.path.iter().map(|part| part.name.as_str()).collect();
        let full = format!("{}::{name}", path.join("::"));
        return complaint("function", &full, count, catalogue.functions.get(&full), at, own, catalogue);
    }
    if own.is_variable(name) {
        return None;
    }
    let mut counts = catalogue.functions.get(name).cloned().unwrap_or_default();
    counts.extend(own.functions.get(name).into_iter().flatten());
    complaint("function", name, count, Some(&counts), at, own, catalogue)
}

fn method(call: &FnCallExpr, at: Position, own: &Own, catalogue: &Catalogue) -> Option<(Position, String)> {
    let name = call.name.as_str();
    if BUILT_IN.contains(&name) || own.is_variable(name) || own.fields.contains(name) {
        return None;
    }
    // What is before the dot is an argument to a native function, and `this` to a script's.
    let natives = catalogue.functions.get(name).into_iter().flatten().filter_map(|count| count.checked_sub(1));
    let scripts = own.functions.get(name).into_iter().flatten();
    let counts: BTreeSet<usize> =
        natives.chain(scripts.flat_map(|count| [Some(*count), count.checked_sub(1)]).flatten()).collect();
    complaint("method", name, call.args.len(), Some(&counts), at, own, catalogue)
}

fn complaint(
    kind: &str,
    name: &str,
    count: usize,
    counts: Option<&BTreeSet<usize>>,
    at: Position,
    own: &Own,
    catalogue: &Catalogue,
) -> Option<(Position, String)> {
    let arguments = |count: usize| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
    let counts = counts.filter(|counts| !counts.is_empty());
    let text = match counts {
        Some(counts) if counts.contains(&count) => return None,
        Some(counts) => {
            let takes: Vec<String> = counts.iter().map(ToString::to_string).collect();
            format!("{kind} {name:?} with {}: it takes {}", arguments(count), takes.join(" or "))
        }
        None => {
            let known = catalogue.functions.keys().chain(own.functions.keys()).map(String::as_str);
            let hint = closest(name, known).map(|known| format!("; did you mean {known:?}?")).unwrap_or_default();
            format!("unknown {kind} {name:?} with {}{hint}", arguments(count))
        }
    };
    Some((at, text))
}

fn unknown_variable(name: &str, at: Position, own: &Own, engine: &Engine) -> Option<(Position, String)> {
    let is_constant = CONSTANTS.iter().any(|(constant, _)| *constant == name);
    if is_constant || own.functions.contains_key(name) {
        return None;
    }
    // The program may have registered constants; the engine does not list them.
    if engine.eval_expression::<Dynamic>(name).is_ok() {
        return None;
    }
    if own.variables.contains(name) {
        let hint = format!("a named function sees its own only; a constant of the file is global::{name} there");
        return Some((at, format!("variable {name:?} is not known here: {hint}")));
    }
    let known = own.variables.iter().chain(&own.parameters).map(String::as_str).filter(|known| *known != name);
    let known = known.chain(CONSTANTS.iter().map(|(constant, _)| *constant));
    let hint = closest(name, known).map(|known| format!("; did you mean {known:?}?")).unwrap_or_default();
    Some((at, format!("unknown variable {name:?}{hint}")))
}

/// The known name that differs least, if it differs little.
fn closest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let most = (name.len() / 3).clamp(1, 3);
    let is_like = |known: &&str| rhai::is_valid_identifier(known.rsplit("::").next().unwrap_or(known));
    known
        .filter(is_like)
        .filter(|known| known.len().abs_diff(name.len()) <= most)
        .map(|known| (distance(name, known), known))
        .filter(|(far, _)| *far <= most)
        .min()
        .map(|(_, known)| known)
}

/// How many letters to change, add, take away or swap with the next to come from one to the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let is_other = usize::from(one[i - 1] != other[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + is_other);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}
