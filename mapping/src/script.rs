//! Compiles one file: parses it, checks its names, evaluates it once for the rules that it makes, and takes out of it
//! what each of them needs to be called.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use rhai::{AST, ASTNode, Array, Caches, Dynamic, Engine, EvalAltResult, FnPtr, Map, ParseError, Position, Scope};

use crate::{
    check,
    edges::{self, Edges, Place},
    failure::Failure,
    host::Host,
    limits::{ERRORS_PER_FILE_MAX, LOAD_OPERATIONS, LOAD_WALL, Limits, SCRIPT_BYTES_MAX},
    load_error::LoadError,
    message::Stage,
    meter,
    options::RuleOptions,
    rule::{Collector, Declared, Rule},
    seat::{Constants, Function},
};

/// How deep values in captured variables may be in each other.
const SEAL_DEPTH_MAX: usize = 64;

/// A rule, and where it sends messages as far as its text says.
pub(crate) struct Compiled {
    pub(crate) rule: Rule,
    pub(crate) places: BTreeSet<Place>,
    pub(crate) at: Position,
}

/// Compiles a file.
///
/// # Errors
/// Everything that is wrong with it, up to [`ERRORS_PER_FILE_MAX`].
pub(crate) fn compile(host: &Host, file: &str, text: &str) -> Result<Vec<Compiled>, Vec<LoadError>> {
    let error = |at: Position, message: String| LoadError::new(file, text, at, message);
    if text.len() > SCRIPT_BYTES_MAX {
        let message = format!("the file has {} bytes, and at most {SCRIPT_BYTES_MAX} are read", text.len());
        return Err(vec![error(Position::NONE, message)]);
    }
    let engines = host.engines();
    let engine = &engines.group;
    let mut ast = engine.compile(text).map_err(|wrong| vec![error(wrong.position(), parse_text(&wrong))])?;
    ast.set_source(file);
    let unknown = check::unknown(&ast, engine, &engines.catalogue);
    if !unknown.is_empty() {
        return Err(unknown.into_iter().take(ERRORS_PER_FILE_MAX).map(|(at, text)| error(at, text)).collect());
    }
    let (declared, constants) = evaluate(engine, &ast).map_err(|(at, message)| vec![error(at, message)])?;
    let edges = Edges::of(&ast);
    let file_name: Arc<str> = file.into();
    let (mut compiled, mut errors) = (Vec::new(), Vec::new());
    for one in declared {
        let at = one.at;
        match rule(host, &ast, &file_name, constants.as_ref(), one) {
            Ok((rule, function)) => compiled.push(Compiled { places: edges.places(&function), rule, at }),
            Err(message) => errors.push(error(at, message)),
        }
    }
    errors.truncate(ERRORS_PER_FILE_MAX);
    if errors.is_empty() { Ok(compiled) } else { Err(errors) }
}

type Evaluated = (Vec<Declared>, Option<Constants>);

/// Evaluates the file: its calls of `rule`, and the constants that it has.
#[expect(deprecated, reason = "it is the way that leaves the constants of the file at hand")]
fn evaluate(engine: &Engine, ast: &AST) -> Result<Evaluated, (Position, String)> {
    let collector = Collector::default();
    let mut global = engine.new_global_runtime_state();
    global.lib.push(ast.shared_lib().clone());
    global.source = ast.source().map(Into::into);
    global.tag = Dynamic::from(collector.clone());
    let mut scope = Scope::new();
    let guard = meter::enter(LOAD_OPERATIONS, LOAD_WALL, Instant::now());
    let ended = catch_unwind(AssertUnwindSafe(|| {
        engine.eval_statements_raw(&mut global, &mut Caches::new(), &mut scope, ast.statements())
    }));
    drop(guard);
    match ended {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err((place(&error), Failure::of(&error).message)),
        Err(_) => return Err((Position::NONE, "a function of the program panicked".into())),
    }
    let declared = std::mem::take(&mut *collector.0.lock());
    Ok((declared, global.constants.take()))
}

fn place(error: &EvalAltResult) -> Position {
    match Failure::of(error) {
        Failure { line: 0, .. } => Position::NONE,
        Failure { line, column, .. } => {
            Position::new(u16::try_from(line).unwrap_or(u16::MAX), u16::try_from(column).unwrap_or(0))
        }
    }
}

fn parse_text(error: &ParseError) -> String {
    let mut text = error.err_type().to_string();
    if let Some(first) = text.get(..1).map(str::to_ascii_lowercase) {
        text.replace_range(..1, &first);
    }
    for (word, why) in [
        ("import", "files cannot import others: what is shared is registered by the program"),
        ("eval", "texts cannot be run as scripts"),
    ] {
        if text.contains(&format!("'{word}'")) {
            text = format!("{word}: {why}");
        }
    }
    text
}

/// Makes a rule of what the script said, and names its function.
fn rule(
    host: &Host,
    ast: &AST,
    file: &Arc<str>,
    constants: Option<&Constants>,
    declared: Declared,
) -> Result<(Rule, String), String> {
    let Declared { id, source, options, function, at } = declared;
    let options = match options {
        None => Ok(RuleOptions::of_stage(Stage::Group)),
        Some(map) => RuleOptions::read(&map, &source, |stage| host.most(stage)),
    };
    let options = options.map_err(|error| format!("rule {id:?}: {error}"))?;
    let limits = host.limits_of(options.stage);
    let limits = Limits {
        operations: options.operations.unwrap_or(limits.operations),
        wall: options.wall.unwrap_or(limits.wall),
        fan_out: options.fan_out.unwrap_or(limits.fan_out),
        ..limits.clone()
    };
    let name = function.fn_name().to_owned();
    let function = taken(ast, file, constants, &function).map_err(|error| format!("rule {id:?}: {error}"))?;
    let rule = Rule {
        id: id.into(),
        source,
        limits,
        file: Arc::clone(file),
        line: at.line().unwrap_or(0),
        engine: Arc::clone(host.engines().of(options.stage)),
        options,
        function,
        uses_state: check::mentions(ast, "state"),
        seats: Default::default(),
    };
    Ok((rule, name))
}

/// Takes a function out of the script.
fn taken(ast: &AST, file: &Arc<str>, constants: Option<&Constants>, pointer: &FnPtr) -> Result<Function, String> {
    let captured = pointer.curry();
    let wanted = captured.len() + 1;
    let counts: Vec<usize> =
        ast.iter_functions().filter(|f| f.name == pointer.fn_name()).map(|f| f.params.len()).collect();
    let found = ast.iter_functions().find(|f| f.name == pointer.fn_name() && f.params.len() == wanted);
    let Some(found) = found else {
        return Err(match counts.first() {
            None => format!("the function {:?} is not one of this file", pointer.fn_name()),
            Some(count) => {
                let has = count.saturating_sub(captured.len());
                format!(
                    "the rule's function has one parameter, the message, and this one has {has}: write |msg| {{ ... }}"
                )
            }
        });
    };
    let mut body = Vec::new();
    edges::only(ast, pointer.fn_name(), wanted).walk(&mut |path| {
        if let [ASTNode::Stmt(statement)] = path {
            body.push((*statement).clone());
        }
        true
    });
    let names = found.params.iter().map(|name| (*name).to_owned());
    let captured =
        names.zip(captured).map(|(name, value)| Ok((name, sealed(value, 0)?))).collect::<Result<_, String>>()?;
    Ok(Function {
        parameter: found.params[wanted - 1].to_owned(),
        captured,
        body,
        library: ast.shared_lib().clone(),
        constants: constants.cloned(),
        source: file.as_ref().into(),
    })
}

/// A copy of a variable of the file as a rule has it: no change of it by another rule, or by an earlier call, is seen.
/// What is large stays shared, which is sound as rules have it as a constant.
fn sealed(value: &Dynamic, depth: usize) -> Result<Dynamic, String> {
    if depth > SEAL_DEPTH_MAX {
        return Err(format!("a variable of the file has more than {SEAL_DEPTH_MAX} values in each other"));
    }
    let flat = value.clone().flatten();
    let sealed = if let Some(pointer) = flat.read_lock::<FnPtr>() {
        let mut pointer = pointer.clone();
        let curry: Result<Vec<Dynamic>, String> =
            pointer.curry().iter().map(|value| sealed_flat(value, depth)).collect();
        pointer.set_curry(curry?);
        Dynamic::from(pointer)
    } else if flat.is_array() || flat.is_map() {
        sealed_flat(&flat, depth)?.into_read_only().into_shared()
    } else {
        flat
    };
    Ok(sealed)
}

fn sealed_flat(value: &Dynamic, depth: usize) -> Result<Dynamic, String> {
    let flat = value.clone().flatten();
    if let Some(array) = flat.read_lock::<Array>() {
        let items: Result<Array, String> = array.iter().map(|item| sealed_flat(item, depth + 1)).collect();
        return Ok(items?.into());
    }
    if let Some(map) = flat.read_lock::<Map>() {
        let entry = |(name, item): (&rhai::Identifier, &Dynamic)| Ok((name.clone(), sealed_flat(item, depth + 1)?));
        let entries: Result<Map, String> = map.iter().map(entry).collect();
        return Ok(entries?.into());
    }
    let value = sealed(&flat, depth + 1)?;
    Ok(value.flatten())
}
