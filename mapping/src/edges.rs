//! Where rules send messages, as far as the text says it: literal targets of `publish` and `enqueue` in a rule's
//! function and in those that it calls. A target that is computed is not seen; the hop limit is there for it.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Array, Dynamic, Expr, FnCallExpr, FnPtr, Map, Stmt};

use crate::rule::Source;

/// A place that a rule sends to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A topic.
    Topic(String),
    /// A queue.
    Queue(String),
}

impl Place {
    /// Whether a rule of this source gets what is sent there.
    pub(crate) fn reaches(&self, source: &Source) -> bool {
        match (self, source) {
            (Self::Topic(topic), Source::Topic(filter)) => primer_core::topic::matches(filter, topic),
            (Self::Queue(queue), Source::Queue(name)) => queue == name,
            _ => false,
        }
    }

    fn of_topic(topic: &str) -> Self {
        match topic.strip_prefix("$queue/") {
            Some(queue) => Self::Queue(queue.to_owned()),
            None => Self::Topic(topic.to_owned()),
        }
    }
}

/// What one function of a script does.
#[derive(Debug, Default)]
struct Doing {
    places: BTreeSet<Place>,
    /// Topics that a message is given: it goes there if the function publishes one.
    given: BTreeSet<String>,
    publishes_message: bool,
    calls: BTreeSet<String>,
}

/// What the functions of a script do.
#[derive(Debug)]
pub(crate) struct Edges(BTreeMap<String, Doing>);

impl Edges {
    pub(crate) fn of(ast: &AST) -> Self {
        let mut functions: BTreeMap<String, Doing> = BTreeMap::new();
        let all: Vec<(String, usize)> = ast.iter_functions().map(|f| (f.name.to_owned(), f.params.len())).collect();
        for (name, parameters) in all {
            let one = only(ast, &name, parameters);
            let doing = functions.entry(name).or_default();
            one.walk(&mut |path| {
                doing.see(path);
                true
            });
        }
        Self(functions)
    }

    /// Where a function sends messages, those that it calls included.
    pub(crate) fn places(&self, function: &str) -> BTreeSet<Place> {
        let mut seen = BTreeSet::new();
        let mut open = vec![function];
        let (mut places, mut given, mut publishes) = (BTreeSet::new(), BTreeSet::new(), false);
        while let Some(name) = open.pop() {
            let Some(doing) = self.0.get(name).filter(|_| seen.insert(name)) else { continue };
            places.extend(doing.places.iter().cloned());
            given.extend(doing.given.iter().map(|topic| Place::of_topic(topic)));
            publishes |= doing.publishes_message;
            open.extend(doing.calls.iter().map(String::as_str));
        }
        if publishes {
            places.extend(given);
        }
        places
    }
}

/// The script with this function alone, so that a walk sees nothing else.
pub(crate) fn only(ast: &AST, function: &str, parameters: usize) -> AST {
    // The clone that filters does not filter when it begins empty, as of Rhai 1.27.
    let mut one = ast.clone_functions_only();
    one.retain_functions(|_, _, name, count| name == function && count == parameters);
    one
}

impl Doing {
    fn see(&mut self, path: &[ASTNode<'_>]) {
        match path.last() {
            Some(
                ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _)),
            ) => self.see_call(call),
            Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) => self.see_value(value),
            Some(ASTNode::Stmt(Stmt::Assignment(assignment))) => {
                self.see_assignment(&assignment.1.lhs, &assignment.1.rhs);
            }
            _ => {}
        }
    }

    /// Functions in a value that Rhai has made while it parsed, such as a map of closures.
    fn see_value(&mut self, value: &Dynamic) {
        if let Some(function) = value.read_lock::<FnPtr>() {
            self.calls.insert(function.fn_name().to_owned());
        } else if let Some(map) = value.read_lock::<Map>() {
            map.values().for_each(|value| self.see_value(value));
        } else if let Some(array) = value.read_lock::<Array>() {
            array.iter().for_each(|value| self.see_value(value));
        }
    }

    fn see_call(&mut self, call: &FnCallExpr) {
        self.calls.insert(call.name.to_string());
        let first = match call.args.first() {
            Some(Expr::StringConstant(text, _)) => Some(text.as_str()),
            _ => None,
        };
        match (call.name.as_str(), first, call.args.len()) {
            ("enqueue", Some(queue), _) => {
                self.places.insert(Place::Queue(queue.to_owned()));
            }
            ("publish", Some(topic), 2..) => {
                self.places.insert(Place::of_topic(topic));
            }
            ("publish", _, 0 | 1) => self.publishes_message = true,
            ("message", Some(topic), _) => {
                self.given.insert(topic.to_owned());
            }
            _ => {}
        }
    }

    fn see_assignment(&mut self, to: &Expr, value: &Expr) {
        let (Expr::Dot(dot, ..), Expr::StringConstant(topic, _)) = (to, value) else { return };
        if matches!(&dot.rhs, Expr::Property(property, _) if property.2 == "topic") {
            self.given.insert(topic.to_string());
        }
    }
}
