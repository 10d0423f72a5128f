//! Maps and arrays in each other: paths, flat forms, merging.

use rhai::{Array, Dynamic, Identifier, Map, Module, NativeCallContext, plugin::*};

use super::{Outcome, failed, map_fits, text_fits};
use crate::values::DEPTH_MAX;

pub(super) fn module() -> Module {
    exported_module!(structure_functions)
}

/// What a path leads to: names of entries and places of elements.
fn follow<'a>(value: &Dynamic, mut parts: impl Iterator<Item = &'a str>) -> Option<Dynamic> {
    let Some(part) = parts.next() else { return Some(value.clone()) };
    if let Ok(map) = value.as_map_ref() {
        return follow(map.get(part)?, parts);
    }
    let array = value.as_array_ref().ok()?;
    follow(array.get(part.parse::<usize>().ok()?)?, parts)
}

/// A flat form in the making.
struct Flat<'a> {
    ctx: &'a NativeCallContext<'a>,
    separator: &'a str,
    map: Map,
    key_bytes: usize,
}

impl Flat<'_> {
    fn add(&mut self, path: &mut String, value: &Dynamic, depth: usize) -> Outcome<()> {
        if depth > DEPTH_MAX {
            return Err(failed(self.ctx, format!("more than {DEPTH_MAX} maps and arrays in each other")));
        }
        if let Ok(map) = value.as_map_ref()
            && !map.is_empty()
        {
            return map.iter().try_for_each(|(key, value)| self.add_under(path, key, value, depth));
        }
        if let Ok(array) = value.as_array_ref()
            && !array.is_empty()
        {
            let mut places = array.iter().enumerate();
            return places.try_for_each(|(place, value)| self.add_under(path, &place.to_string(), value, depth));
        }
        self.key_bytes += path.len();
        text_fits(self.ctx, self.key_bytes)?;
        map_fits(self.ctx, self.map.len() + 1)?;
        self.map.insert(path.as_str().into(), value.clone());
        Ok(())
    }

    fn add_under(&mut self, path: &mut String, key: &str, value: &Dynamic, depth: usize) -> Outcome<()> {
        let end = path.len();
        if depth > 0 {
            path.push_str(self.separator);
        }
        path.push_str(key);
        self.add(path, value, depth + 1)?;
        path.truncate(end);
        Ok(())
    }
}

/// Puts a value where a path of names leads, with maps on the way. Whether nothing was there; `made` counts entries.
fn put<'a>(
    map: &mut Map,
    name: &str,
    mut rest: impl Iterator<Item = &'a str>,
    value: Dynamic,
    made: &mut usize,
) -> bool {
    let Some(next) = rest.next() else {
        *made += 1;
        return map.insert(Identifier::from(name), value).is_none();
    };
    let entry = map.entry(Identifier::from(name)).or_insert_with(|| {
        *made += 1;
        Map::new().into()
    });
    entry.as_map_mut().is_ok_and(|mut inner| put(&mut inner, next, rest, value, made))
}

/// Maps whose keys are 0, 1, 2 ... become arrays.
fn with_arrays(map: Map, depth: usize) -> Dynamic {
    let inner = |value: Dynamic| match depth < DEPTH_MAX && value.is_map() {
        true => with_arrays(value.try_cast().unwrap_or_default(), depth + 1),
        false => value,
    };
    let map: Map = map.into_iter().map(|(key, value)| (key, inner(value))).collect();
    let places: Option<Vec<usize>> = map.keys().map(|key| key.parse().ok()).collect();
    let Some(places) = places.filter(|places| !places.is_empty()) else { return map.into() };
    let mut elements: Vec<(usize, &Dynamic)> = places.into_iter().zip(map.values()).collect();
    elements.sort_by_key(|(place, _)| *place);
    if elements.iter().enumerate().any(|(count, (place, _))| count != *place) {
        return map.into();
    }
    elements.into_iter().map(|(_, value)| value.clone()).collect::<Array>().into()
}

fn merged(ctx: &NativeCallContext, mut base: Map, over: Map, depth: usize) -> Outcome<Map> {
    if depth > DEPTH_MAX {
        return Err(failed(ctx, format!("more than {DEPTH_MAX} maps in each other")));
    }
    for (key, value) in over {
        let value = match (base.remove(&key), value) {
            (Some(old), new) if old.is_map() && new.is_map() => {
                let (old, new) = (old.try_cast().unwrap_or_default(), new.try_cast().unwrap_or_default());
                merged(ctx, old, new, depth + 1)?.into()
            }
            (_, new) => new,
        };
        base.insert(key, value);
        map_fits(ctx, base.len())?;
    }
    Ok(base)
}

#[export_module]
#[expect(unreachable_pub, reason = "the macro registers what is public")]
mod structure_functions {
    /// What the path leads to, `default` if it leads nowhere: `get(value, "sensors.0.name", "")`. Numbers are places in
    /// arrays. Keys with points in them cannot be reached.
    pub fn get(value: Dynamic, path: &str, default: Dynamic) -> Dynamic {
        follow(&value, path.split('.')).unwrap_or(default)
    }

    /// A map without maps and arrays in it: their keys and places are joined with `separator`. Empty ones stay.
    #[rhai_fn(return_raw)]
    pub fn flatten(ctx: NativeCallContext, map: Map, separator: &str) -> Outcome<Map> {
        let mut flat = Flat { ctx: &ctx, separator, map: Map::new(), key_bytes: 0 };
        if !map.is_empty() {
            flat.add(&mut String::new(), &map.into(), 0)?;
        }
        Ok(flat.map)
    }

    /// The opposite of `flatten`. Maps whose keys are 0, 1, 2 and so on become arrays.
    #[rhai_fn(return_raw)]
    pub fn unflatten(ctx: NativeCallContext, map: Map, separator: &str) -> Outcome<Dynamic> {
        if separator.is_empty() {
            return Err(failed(&ctx, "an empty separator; one character or more is needed"));
        }
        let (mut out, mut made) = (Map::new(), 0);
        for (key, value) in map {
            let mut names = key.split(separator);
            if names.clone().count() > DEPTH_MAX {
                return Err(failed(&ctx, format!("\"{key}\" has more than {DEPTH_MAX} parts")));
            }
            if !put(&mut out, names.next().unwrap_or_default(), names, value, &mut made) {
                return Err(failed(&ctx, format!("\"{key}\" and another key want the same place")));
            }
            map_fits(&ctx, made)?;
        }
        Ok(with_arrays(out, 0))
    }

    /// The first map with what is in the second one; maps that are in both are merged like this too. (`+` and `mixin`
    /// take them as they are.)
    #[rhai_fn(return_raw)]
    pub fn merge_deep(ctx: NativeCallContext, base: Map, over: Map) -> Outcome<Map> {
        merged(&ctx, base, over, 0)
    }
}
