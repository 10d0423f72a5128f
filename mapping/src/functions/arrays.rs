//! Functions of Rhai's on arrays that call others, as rules need them: what they make counts while they make it, and
//! what they call can end them.

use std::cmp::Ordering;

use rhai::{Array, Dynamic, FnPtr, INT, Module, NativeCallContext, plugin::*};

use super::Outcome;
use crate::{call::charge, footprint};

pub(super) fn module() -> Module {
    exported_module!(array_functions)
}

/// What a comparer says of two elements: a number, or whether the first one comes first.
fn compared(ctx: &NativeCallContext, comparer: &FnPtr, one: &Dynamic, other: &Dynamic) -> Outcome<Ordering> {
    let said = comparer.call_raw(ctx, None, [one.clone(), other.clone()])?;
    if let Ok(number) = said.as_int() {
        return Ok(number.cmp(&0));
    }
    match said.as_bool() {
        Ok(true) => Ok(Ordering::Less),
        Ok(false) => Ok(Ordering::Greater),
        Err(found) => {
            Err(format!("{}: the comparer's value is {found}; a number or a bool is needed", ctx.fn_name()).into())
        }
    }
}

/// Merge sort, which is stable, ends at the first error, and takes any comparer for what it says.
fn sorted(mut items: Array, compare: &mut impl FnMut(&Dynamic, &Dynamic) -> Outcome<Ordering>) -> Outcome<Array> {
    if items.len() <= 1 {
        return Ok(items);
    }
    let right = items.split_off(items.len() / 2);
    let (left, right) = (sorted(items, compare)?, sorted(right, compare)?);
    let mut all = Array::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        let next = if compare(one, other)? == Ordering::Greater { right.next() } else { left.next() };
        all.extend(next);
    }
    all.extend(left);
    all.extend(right);
    Ok(all)
}

#[export_module]
#[expect(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the macro registers what is public, and takes what it checked"
)]
mod array_functions {
    /// What a function makes of each element (`|element|`, or `|element, index|`), in an array.
    #[rhai_fn(return_raw, pure)]
    pub fn map(ctx: NativeCallContext, array: &mut Array, function: FnPtr) -> Outcome<Array> {
        let mut made = Array::with_capacity(array.len());
        for (index, item) in array.iter_mut().enumerate() {
            let index = [INT::try_from(index).unwrap_or(INT::MAX).into()];
            let value = function.call_raw_with_extra_args("map", &ctx, Some(item), [], index, Some(0))?;
            charge(&ctx, footprint::bytes(&value))?;
            made.push(value);
        }
        Ok(made)
    }

    /// Sorts the array by a function that compares two elements: its value is less than 0, 0 or more than 0, or whether
    /// the first one comes first.
    #[rhai_fn(name = "sort", name = "sort_by", return_raw)]
    pub fn sort_by(ctx: NativeCallContext, array: &mut Array, comparer: FnPtr) -> Outcome<()> {
        *array = sorted(array.clone(), &mut |one, other| compared(&ctx, &comparer, one, other))?;
        Ok(())
    }

    /// Takes out elements that a function says are the same as the one before them.
    #[rhai_fn(name = "dedup", return_raw)]
    pub fn dedup_by(ctx: NativeCallContext, array: &mut Array, comparer: FnPtr) -> Outcome<()> {
        let mut kept: Array = Array::with_capacity(array.len());
        for item in array.iter() {
            let is_same = match kept.last() {
                Some(last) => comparer.call_raw(&ctx, None, [last.clone(), item.clone()])?.as_bool().unwrap_or(false),
                None => false,
            };
            if !is_same {
                kept.push(item.clone());
            }
        }
        *array = kept;
        Ok(())
    }
}
