//! The filters that a session has subscribed to. Most sessions have one or two, some have a million: one takes no map.

use std::collections::BTreeSet;

/// Filters as the client wrote them, share prefix included, each once.
#[derive(Debug, Default)]
pub(crate) enum Filters {
    #[default]
    None,
    One(Box<str>),
    Many(BTreeSet<Box<str>>),
}

impl Filters {
    /// Adds a filter; answers whether it is new.
    pub(crate) fn insert(&mut self, filter: &str) -> bool {
        match self {
            Self::None => *self = Self::One(filter.into()),
            Self::One(known) if **known == *filter => return false,
            Self::One(known) => {
                let both = [std::mem::take(known), filter.into()];
                *self = Self::Many(BTreeSet::from(both));
            }
            Self::Many(filters) => return filters.insert(filter.into()),
        }
        true
    }

    /// Takes a filter out; answers whether it was there.
    pub(crate) fn remove(&mut self, filter: &str) -> bool {
        let (was_there, is_empty) = match self {
            Self::None => (false, true),
            Self::One(known) => (**known == *filter, **known == *filter),
            Self::Many(filters) => (filters.remove(filter), filters.is_empty()),
        };
        if is_empty {
            *self = Self::None;
        }
        was_there
    }

    /// Whether one of them is so.
    pub(crate) fn any(&self, mut is: impl FnMut(&str) -> bool) -> bool {
        match self {
            Self::None => false,
            Self::One(filter) => is(filter),
            Self::Many(filters) => filters.iter().any(|filter| is(filter)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(filters) => filters.len(),
        }
    }

    /// Takes all of them out.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Box<str>> + use<> {
        let (one, many) = match std::mem::take(self) {
            Self::None => (None, None),
            Self::One(filter) => (Some(filter), None),
            Self::Many(filters) => (None, Some(filters)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_filter_and_many_behave_alike() {
        let mut filters = Filters::default();
        assert!(!filters.remove("a"));
        assert!(filters.insert("a") && !filters.insert("a"));
        assert_eq!(filters.len(), 1);
        assert!(!filters.remove("b") && filters.remove("a") && !filters.remove("a"));
        assert!(filters.insert("b") && filters.insert("a") && filters.insert("c") && !filters.insert("b"));
        assert!(filters.remove("a") && filters.remove("c"));
        assert_eq!(filters.len(), 1, "one of many is left");
        assert!(filters.insert("d"));
        assert_eq!(filters.take().collect::<Vec<_>>(), ["b".into(), "d".into()]);
        assert_eq!(filters.len(), 0);
    }

    #[test]
    fn the_last_of_many_goes_and_nothing_is_left() {
        let mut filters = Filters::default();
        assert!(filters.insert("a") && filters.insert("b"));
        assert!(filters.remove("a") && filters.remove("b") && !filters.remove("b"));
        assert_eq!((filters.len(), filters.take().count()), (0, 0));
    }
}
