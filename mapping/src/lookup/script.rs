//! `lookup` in scripts.

use std::sync::Arc;

use rhai::{Dynamic, EvalAltResult, FuncRegistration, Map, Module, NativeCallContext, Position};

use super::{Lookups, Table, read::key_of};

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// The functions that look into these tables.
pub(crate) fn module(lookups: &Arc<Lookups>) -> Module {
    let mut module = Module::new();
    let tables = Arc::clone(lookups);
    declared(&["table: &str", "key: text or INT", "map, value or ()"], &[
        "/// The row of a key in a table, as a map; `()` if the table has no such key. A table that there is not is an \
         error.",
    ])
    .set_into_module(&mut module, move |ctx: NativeCallContext, table: &str, key: Dynamic| -> Outcome<Dynamic> {
        Ok(row(&ctx, &tables, table, &key)?.unwrap_or_default())
    });
    let tables = Arc::clone(lookups);
    declared(&["table: &str", "key: text or INT", "column: &str", "value or ()"], &[
        "/// A column of the row of a key in a table; `()` if the table has no such key, or the row nothing in this \
         column.",
    ])
    .set_into_module(&mut module, move |ctx: NativeCallContext, table: &str, key: Dynamic, column: &str| {
        cell(&ctx, &tables, table, &key, column).map(Option::unwrap_or_default)
    });
    let tables = Arc::clone(lookups);
    declared(
        &["table: &str", "key: text or INT", "column: &str", "default: ?", "value"],
        &["/// A column of the row of a key in a table; `default` where there is nothing."],
    )
    .set_into_module(
        &mut module,
        move |ctx: NativeCallContext, table: &str, key: Dynamic, column: &str, default: Dynamic| {
            cell(&ctx, &tables, table, &key, column).map(|value| value.unwrap_or(default))
        },
    );
    let tables = Arc::clone(lookups);
    FuncRegistration::new("lookup_table")
        .in_global_namespace()
        .with_params_info(["table: &str", "Map"])
        .with_comments([
            "/// All of a table: its keys and their rows. Tables of more entries than a map may have are an error.",
        ])
        .set_into_module(&mut module, move |ctx: NativeCallContext, table: &str| all(&ctx, &tables, table));
    module
}

fn declared(params: &[&str], comments: &[&str]) -> FuncRegistration {
    FuncRegistration::new("lookup").in_global_namespace().with_params_info(params).with_comments(comments)
}

fn table(ctx: &NativeCallContext, lookups: &Lookups, name: &str) -> Outcome<Arc<Table>> {
    lookups.table(name).ok_or_else(|| {
        let what = match lookups.names().as_slice() {
            [] => "there are none".to_owned(),
            names => format!("there are {}", names.join(", ")),
        };
        format!("{}: no table \"{name}\"; {what}", ctx.fn_name()).into()
    })
}

fn with_row<R>(
    ctx: &NativeCallContext,
    lookups: &Lookups,
    name: &str,
    key: &Dynamic,
    act: impl FnOnce(&Table, &Dynamic) -> Outcome<R>,
) -> Outcome<Option<R>> {
    let table = table(ctx, lookups, name)?;
    let row = match key.as_immutable_string_ref() {
        Ok(text) => table.rows.get(text.as_str()),
        Err(found) => {
            let key = key_of(key)
                .ok_or_else(|| format!("{}: the key is {found}; a text or an integer is needed", ctx.fn_name()))?;
            table.rows.get(&key)
        }
    };
    row.map(|row| act(&table, row)).transpose()
}

fn row(ctx: &NativeCallContext, lookups: &Lookups, name: &str, key: &Dynamic) -> Outcome<Option<Dynamic>> {
    with_row(ctx, lookups, name, key, |_, row| Ok(row.clone()))
}

fn cell(
    ctx: &NativeCallContext,
    lookups: &Lookups,
    name: &str,
    key: &Dynamic,
    column: &str,
) -> Outcome<Option<Dynamic>> {
    let cell = with_row(ctx, lookups, name, key, |table, row| {
        if !table.columns.is_empty() && !table.columns.iter().any(|known| known == column) {
            let known = table.columns.join(", ");
            return Err(format!("{}: no column \"{column}\" in \"{name}\"; there are {known}", ctx.fn_name()).into());
        }
        Ok(row.as_map_ref().ok().and_then(|map| map.get(column).cloned()))
    })?;
    Ok(cell.flatten().filter(|value| !value.is_unit()))
}

fn all(ctx: &NativeCallContext, lookups: &Lookups, name: &str) -> Outcome<Map> {
    let table = table(ctx, lookups, name)?;
    let limit = ctx.engine().max_map_size();
    if limit != 0 && table.rows.len() > limit {
        let what = format!("{}: {} entries, of which {limit} are allowed", ctx.fn_name(), table.rows.len());
        return Err(EvalAltResult::ErrorDataTooLarge(what, Position::NONE).into());
    }
    Ok(table.rows.iter().map(|(key, row)| (key.as_str().into(), row.clone())).collect())
}
