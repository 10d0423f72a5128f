//! Writes the reference of what scripts have, from what is registered: so that it says what is there.

use std::{collections::BTreeSet, fmt::Write};

use rhai::{Engine, Module, Shared};
use serde_json::Value;

use crate::{
    engine::{CONSTANTS, with_types},
    host::{Host, Registration},
    limits::Limits,
    lookup,
    message::Stage,
    natives::SECTIONS,
    options::OPTIONS,
    rule,
};

/// What the reference begins with.
const INTRODUCTION: &str = "\
# Rules: reference

This page is made from the program (`UPDATE=1 cargo test -p primer-mapping reference`).

A rule is an identifier, a source and a function:

```rust
rule(\"overheat\", \"sensors/+/temp\", |msg| {
    if msg.json.celsius > 80.0 { enqueue(\"alarms\", msg); }
    ok
});
```

The language is [Rhai](https://rhai.rs/book/): its operators, `if`, `switch`, loops, functions, closures, and its
functions for texts, arrays, maps, blobs and numbers are all there. `eval`, `import` and `sleep` are not. What a file
defines outside of rules is there for its rules, and constant: what a rule remembers is in `state`. A named function
(`fn`) sees its own variables only, and a constant of the file as `global::NAME`.

A duration is a number of milliseconds, or a text such as `\"500ms\"`, `\"5s\"`, `\"2m\"`, `\"1h\"`, `\"3d\"`.
";

/// What is said of tables.
const LOOKUPS: &str = "\
Files in the directory of the rules that end in `.csv` or `.json` are tables, read again when they change. The first
line of a CSV file names the columns, and its first column is the key. A JSON file is an object of keys and their
values, or an array of objects with a member `key`, `id` or `name`.";

/// The reference of the rules of a program, in Markdown: with what the program registers.
#[must_use]
pub fn reference(host: &Host) -> String {
    let mut page = String::from(INTRODUCTION);
    put_section(&mut page, "Rules", "", &functions_of_module(&rule::module()));
    put_options(&mut page);
    page.push_str("\n## Names that are always there\n\n");
    for (name, text) in CONSTANTS {
        put(&mut page, format_args!("- `{name}`: {text}\n"));
    }
    for section in SECTIONS.iter() {
        put_section(&mut page, section.title, section.text, &functions_of_module(&section.module));
    }
    let lookups = functions_of_module(&Shared::new(lookup::module(host.tables())));
    put_section(&mut page, "Tables", LOOKUPS, &lookups);
    let own = functions_of_program(host.registrations());
    if !own.is_empty() {
        put_section(&mut page, "Of the program", "", &own);
    }
    put_limits(&mut page, host);
    page
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = page.write_fmt(text);
}

fn put_options(page: &mut String) {
    page.push_str("\n### Options\n\n| Option | Values | |\n|---|---|---|\n");
    for (name, values, text) in OPTIONS {
        put(page, format_args!("| `{name}` | {values} | {text} |\n"));
    }
}

fn put_section(page: &mut String, title: &str, text: &str, functions: &[(String, String)]) {
    put(page, format_args!("\n## {title}\n\n"));
    if !text.is_empty() {
        put(page, format_args!("{text}\n\n"));
    }
    for (signature, text) in functions {
        put(page, format_args!("- `{signature}`: {text}\n"));
    }
}

fn put_limits(page: &mut String, host: &Host) {
    page.push_str(
        "\n## Limits\n\nA call that exceeds one fails that message alone: nothing of it counts, and `on_error` says \
         what becomes of the message.\n\n| Limit | Reason | `group` | `ingress` |\n|---|---|---|---|\n",
    );
    let (group, ingress) = (host.limits_of(Stage::Group), host.limits_of(Stage::Ingress));
    let mut row = |name: &str, reason: &str, of: &dyn Fn(&Limits) -> String| {
        put(page, format_args!("| {name} | `{reason}` | {} | {} |\n", of(group), of(ingress)));
    };
    row("Operations", "operations", &|limits| limits.operations.to_string());
    row("Time", "time", &|limits| format!("{} ms", limits.wall.as_millis()));
    row("Functions in each other", "depth", &|limits| limits.call_depth.to_string());
    row("Expressions in each other", "at load", &|limits| limits.expression_depth.to_string());
    row("Variables, of all functions that are in each other", "size", &|limits| limits.variables.to_string());
    row("Bytes of a text, or of all texts in a value", "size", &|limits| limits.string_bytes.to_string());
    row("Elements of an array or a blob", "size", &|limits| limits.array_len.to_string());
    row("Entries of a map", "size", &|limits| limits.map_len.to_string());
    row("Bytes that variables hold, and of payloads that are read and made", "size", &|limits| {
        limits.memory_bytes.to_string()
    });
    row("Outputs", "fan_out", &|limits| limits.fan_out.to_string());
    row("Rules that a message goes through", "hops", &|limits| limits.hops.to_string());
    row("Entries of the state", "state", &|limits| limits.state_keys.to_string());
    row("Bytes of the state", "state", &|limits| limits.state_bytes.to_string());
}

fn functions_of_module(module: &Shared<Module>) -> Vec<(String, String)> {
    let mut engine = with_types(Engine::new_raw());
    engine.register_global_module(module.clone());
    functions_of(&engine)
}

fn functions_of_program(registrations: &[Registration]) -> Vec<(String, String)> {
    let mut engine = with_types(Engine::new_raw());
    for registration in registrations {
        registration(&mut engine);
    }
    functions_of(&engine)
}

/// The functions of an engine without any of its own: how each is called, and what is said of it.
fn functions_of(engine: &Engine) -> Vec<(String, String)> {
    let json = engine.gen_fn_metadata_to_json(false).unwrap_or_default();
    let metadata: Value = serde_json::from_str(&json).unwrap_or_default();
    let mut all = Vec::new();
    collect("", &metadata, &mut all);
    all.sort();
    all
}

fn collect(path: &str, module: &Value, all: &mut Vec<(String, String)>) {
    let functions: Vec<&Value> = module["functions"].as_array().into_iter().flatten().collect();
    let setters: BTreeSet<&str> =
        functions.iter().filter_map(|function| function["name"].as_str()?.strip_prefix("set$")).collect();
    for function in &functions {
        let name = function["name"].as_str().unwrap_or_default();
        let is_plain = name.starts_with("get$") || rhai::is_valid_identifier(name);
        if is_plain && !matches!(name, "to_string" | "to_debug") {
            let is_settable = name.strip_prefix("get$").is_some_and(|name| setters.contains(name));
            all.push((signature(path, name, function), documentation(function, is_settable)));
        }
    }
    for (name, module) in module["modules"].as_object().into_iter().flatten() {
        collect(&format!("{path}{name}::"), module, all);
    }
}

/// How a function is called: those whose first parameter is an object by a dot.
fn signature(path: &str, name: &str, function: &Value) -> String {
    let parameters = function["params"].as_array().into_iter().flatten();
    let name_of = |parameter: &Value| parameter["name"].as_str().unwrap_or("_").to_owned();
    let names: Vec<String> = parameters.map(name_of).collect();
    match (name.strip_prefix("get$"), names.split_first()) {
        (Some(property), object) => format!("{}.{property}", object.map_or("value", |(object, _)| object)),
        (None, Some((object, rest))) if matches!(object.as_str(), "msg" | "_state") => {
            format!("{}.{name}({})", object.trim_start_matches('_'), rest.join(", "))
        }
        _ => format!("{path}{name}({})", names.join(", ")),
    }
}

fn documentation(function: &Value, is_settable: bool) -> String {
    let lines = function["docComments"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let text: Vec<&str> = lines.flat_map(str::lines).map(|line| line.trim_start_matches('/').trim()).collect();
    let mut text = text.join(" ");
    if text.is_empty() {
        text.push_str(if is_settable { "Can be set." } else { "(no description)" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_is_the_reference() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guides/rules-reference.md");
        let made = reference(&Host::new());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &made).expect("can be written");
        }
        let there = std::fs::read_to_string(path).expect("is there");
        assert!(there == made, "docs/guides/rules-reference.md is old: run this test with UPDATE=1");
    }

    #[test]
    fn every_function_is_described() {
        assert!(!reference(&Host::new()).contains("(no description)"));
    }

    #[test]
    fn functions_of_the_program_are_in_it() {
        let host = Host::new().register(|engine| {
            engine.register_fn("modbus_f32", |_: rhai::Blob, at: i64| at);
        });
        assert!(reference(&host).contains("- `modbus_f32("));
    }
}
