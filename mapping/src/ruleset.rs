//! All rules of a node: compiled together, refused together, and then never changed. A new set takes the place of an
//! old one as a whole.

use std::{collections::BTreeMap, sync::Arc};

use primer_core::trie::Trie;
use rhai::Position;

use crate::{
    host::Host,
    load_error::{LoadError, LoadErrors},
    message::Stage,
    rule::{Rule, Source},
    script::{self, Compiled},
};

/// See the module's description.
#[derive(Debug, Default)]
pub struct Ruleset {
    rules: Vec<Arc<Rule>>,
    /// The filters of the rules of stage `ingress`, with their places in `rules`.
    ingress: Trie<u32, ()>,
    warnings: Vec<LoadError>,
}

impl Ruleset {
    /// Compiles files, each a name and its text. Rules are in the order of the names, then of the lines.
    ///
    /// # Errors
    /// All that is wrong with any of them.
    pub fn load<N: AsRef<str>, T: AsRef<str>>(host: &Host, files: &[(N, T)]) -> Result<Self, LoadErrors> {
        let mut files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_ref(), text.as_ref())).collect();
        files.sort_unstable();
        let (mut compiled, mut errors) = (Vec::new(), Vec::new());
        for (name, text) in &files {
            match script::compile(host, name, text) {
                Ok(rules) => compiled.extend(rules.into_iter().map(|rule| (*text, rule))),
                Err(wrong) => errors.extend(wrong),
            }
        }
        errors.extend(duplicates(&compiled));
        if errors.is_empty() {
            errors.extend(loops(&compiled));
        }
        if !errors.is_empty() {
            return Err(LoadErrors(errors));
        }
        let warnings = overlaps(&compiled);
        let rules: Vec<Arc<Rule>> = compiled.into_iter().map(|(_, compiled)| Arc::new(compiled.rule)).collect();
        let mut ingress = Trie::new();
        for (index, rule) in rules.iter().enumerate() {
            if let (Stage::Ingress, Source::Topic(filter)) = (rule.stage(), rule.source()) {
                ingress.insert(filter, None, index as u32, ()).map_err(|error| {
                    let at = Position::new(u16::try_from(rule.line()).unwrap_or(u16::MAX), 0);
                    LoadErrors(vec![LoadError::new(rule.file(), "", at, error.to_string())])
                })?;
            }
        }
        Ok(Self { rules, ingress, warnings })
    }

    /// All rules, by file and line.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rule of this identifier.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.id() == id)
    }

    /// What may be meant otherwise: rules of stage `ingress` of different files that see the same messages.
    #[must_use]
    pub fn warnings(&self) -> &[LoadError] {
        &self.warnings
    }

    /// Whether there is a rule of stage `ingress`.
    #[must_use]
    pub fn has_ingress(&self) -> bool {
        !self.ingress.is_empty()
    }

    /// Whether a rule of stage `ingress` wants a topic.
    #[must_use]
    pub fn guards(&self, topic: &str) -> bool {
        let mut is_wanted = false;
        if !self.ingress.is_empty() {
            self.ingress.matching(topic, |_| is_wanted = true);
        }
        is_wanted
    }

    /// The rules of stage `ingress` for a topic, in the order in which they act. Does not allocate when there is none.
    #[must_use]
    pub fn ingress(&self, topic: &str) -> Vec<&Arc<Rule>> {
        self.ingress_indexes(topic).into_iter().filter_map(|index| self.rules.get(index)).collect()
    }

    /// The same, as places in [`Ruleset::rules`].
    pub(crate) fn ingress_indexes(&self, topic: &str) -> Vec<usize> {
        let mut indexes: Vec<usize> = Vec::new();
        if !self.ingress.is_empty() {
            self.ingress.matching(topic, |rules| indexes.extend(rules.direct().map(|(index, ())| index as usize)));
            indexes.sort_unstable();
        }
        indexes
    }
}

fn duplicates(compiled: &[(&str, Compiled)]) -> Vec<LoadError> {
    let mut seen: BTreeMap<&str, &Rule> = BTreeMap::new();
    let mut errors = Vec::new();
    for (text, one) in compiled {
        let rule = &one.rule;
        if let Some(first) = seen.get(rule.id()) {
            let message = format!("rule {:?} is there already: {}:{}", rule.id(), first.file(), first.line());
            errors.push(LoadError::new(rule.file(), text, one.at, message));
        } else {
            seen.insert(rule.id(), rule);
        }
    }
    errors
}

/// The cycles of rules none of which says `may_loop`. Rules of stage `ingress` are in none: what rules publish does not
/// come by them.
fn loops(compiled: &[(&str, Compiled)]) -> Vec<LoadError> {
    let is_in = |index: usize| {
        let options = compiled[index].1.rule.options();
        options.stage == Stage::Group && !options.may_loop
    };
    let next: Vec<Vec<usize>> = (0..compiled.len())
        .map(|from| {
            let reaches = |to: &usize| {
                let mut places = compiled[from].1.places.iter();
                is_in(from) && is_in(*to) && places.any(|place| place.reaches(compiled[*to].1.rule.source()))
            };
            (0..compiled.len()).filter(reaches).collect()
        })
        .collect();
    let mut errors = Vec::new();
    let mut is_told = vec![false; compiled.len()];
    for start in 0..compiled.len() {
        if is_told[start] {
            continue;
        }
        if let Some(cycle) = cycle_from(start, &next) {
            let names: Vec<&str> =
                cycle.iter().chain(cycle.first()).map(|index| compiled[*index].1.rule.id()).collect();
            for index in &cycle {
                is_told[*index] = true;
            }
            let (text, one) = &compiled[start];
            let message = format!(
                "messages go round in circles: {}; set may_loop: true on one of these rules if that is meant",
                names.join(" -> ")
            );
            errors.push(LoadError::new(one.rule.file(), text, one.at, message));
        }
    }
    errors
}

/// The shortest way from a rule back to it.
fn cycle_from(start: usize, next: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut from: Vec<Option<usize>> = vec![None; next.len()];
    let mut open = std::collections::VecDeque::from([start]);
    while let Some(at) = open.pop_front() {
        for to in &next[at] {
            if *to == start {
                let mut way = vec![at];
                while let Some(before) = way.last().and_then(|last| from[*last]) {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if from[*to].is_none() {
                from[*to] = Some(at);
                open.push_back(*to);
            }
        }
    }
    None
}

fn overlaps(compiled: &[(&str, Compiled)]) -> Vec<LoadError> {
    let mut warnings = Vec::new();
    let ingress: Vec<&(&str, Compiled)> =
        compiled.iter().filter(|(_, one)| one.rule.stage() == Stage::Ingress).collect();
    for (at, (text, later)) in ingress.iter().enumerate() {
        for (_, first) in &ingress[..at] {
            let (Source::Topic(one), Source::Topic(other)) = (first.rule.source(), later.rule.source()) else {
                continue;
            };
            if first.rule.file != later.rule.file && overlap(one, other) {
                let message = format!(
                    "rules {:?} and {:?} see the same messages: {:?} ({}) comes first",
                    later.rule.id(),
                    first.rule.id(),
                    first.rule.id(),
                    first.rule.file()
                );
                warnings.push(LoadError::new(later.rule.file(), text, later.at, message));
            }
        }
    }
    warnings
}

/// Whether there is a topic that both filters match.
fn overlap(one: &str, other: &str) -> bool {
    let is_wild = |filter: &str| filter.starts_with(['+', '#']);
    if is_wild(one) && other.starts_with('$') || is_wild(other) && one.starts_with('$') {
        return false;
    }
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split('/').collect(), other.split('/').collect());
    let mut at = 0;
    loop {
        match (one.get(at), other.get(at)) {
            (Some(&"#"), _) | (_, Some(&"#")) | (None, None) => return true,
            (Some(one), Some(other)) if one == other || *one == "+" || *other == "+" => at += 1,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn filters_overlap_where_a_topic_matches_both() {
        for (one, other, is) in [
            ("a/+", "a/b", true),
            ("a/#", "a", true),
            ("a/#", "+/b/c", true),
            ("#", "$SYS/x", false),
            ("a/+", "a/b/c", false),
            ("a/b", "a/c", false),
            ("+/b", "a/+", true),
        ] {
            assert_eq!(overlap(one, other), is, "{one} {other}");
            assert_eq!(overlap(other, one), is, "{other} {one}");
        }
    }
}
