//! Where rules of stage `group` stand: which queue, which group of it, and whether the queue is the rule's own.

use primer::{ConsumeOptions, Consumer, Definition, Full, GroupOptions, KeyOf, Mode, Node, Queue, QueueError};
use primer_core::queue::Overflow;

use super::{OWN_QUEUES, group::BATCH_MAX, view};
use crate::{
    options::{Begin, Delivery, KeyBy},
    rule::{Rule, Source},
};

/// The group of a rule in its own queue.
const OWN_GROUP: &str = "rule";
/// What the groups of rules in queues of others begin with.
const GROUPS: &str = "rule.";

/// See the module's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) queue: String,
    pub(crate) group: String,
    mode: Mode,
    /// A new group does not get what is in the queue already.
    from_now: bool,
    /// Of the rule's own queue.
    definition: Option<Definition>,
}

impl Place {
    /// Where a rule stands; `None` for one of stage `ingress`.
    pub(crate) fn of(rule: &Rule) -> Option<Self> {
        let options = rule.options();
        let queue = view::queue_of(rule)?;
        let mode = match options.mode {
            Delivery::AtLeastOnce => Mode::AtLeastOnce,
            Delivery::AtMostOnce => Mode::AtMostOnce,
        };
        let from_now = options.from == Begin::Now;
        Some(match rule.source() {
            Source::Topic(filter) => {
                let definition = definition(rule, filter);
                Self { queue, group: OWN_GROUP.to_owned(), mode, from_now, definition: Some(definition) }
            }
            Source::Queue(_) => {
                Self { queue, group: format!("{GROUPS}{}", rule.id()), mode, from_now, definition: None }
            }
        })
    }

    /// Whether a rule at one place is at the other without having moved.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.queue, &self.group, self.mode) == (&other.queue, &other.group, other.mode)
    }

    /// Whether the rule can stand here.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(crate) fn check(&self, node: &Node) -> Result<(), String> {
        if let Some(definition) = &self.definition {
            definition.check().map_err(|error| error.to_string())?;
        }
        let Some(queue) = node.find_queue(&self.queue) else { return Ok(()) };
        let groups = queue.info().groups;
        match groups.iter().find(|group| group.name == self.group) {
            Some(group) if group.options.mode != self.mode => Err(format!(
                "the rule's group {:?} of the queue {:?} has another mode, which a group keeps for its life: give the \
                 rule another identifier, or take the rule away first",
                self.group, self.queue
            )),
            _ => Ok(()),
        }
    }

    /// Makes what is missing, and consumes.
    ///
    /// # Errors
    /// The node does not let the queue or the group be.
    pub(crate) fn take(&self, node: &Node) -> Result<Consumer, QueueError> {
        let queue = self.prepare(node)?;
        let options = GroupOptions { mode: self.mode, ..queue.definition().group() };
        let group = queue.group_with(&self.group, options, self.from_now)?;
        let prefetch = u32::try_from(BATCH_MAX).unwrap_or(u32::MAX);
        group.consume_with(ConsumeOptions { keeps_leases: true, ..ConsumeOptions::prefetch(prefetch) })
    }

    /// The queue, with the definition that the rule wishes now.
    pub(crate) fn prepare(&self, node: &Node) -> Result<Queue, QueueError> {
        let Some(definition) = &self.definition else { return node.queue(&self.queue) };
        match node.find_queue(&self.queue) {
            Some(queue) if *queue.definition() == *definition => Ok(queue),
            Some(queue) => {
                queue.redefine(definition.clone())?;
                Ok(queue)
            }
            None => node.create_queue(&self.queue, definition.clone()),
        }
    }

    /// The rule is not here any more. Messages that wait in its own queue stay there, to be looked at; an empty one
    /// goes. In a queue of others its group goes.
    pub(crate) fn leave(&self, node: &Node) {
        let Some(queue) = node.find_queue(&self.queue) else { return };
        match &self.definition {
            Some(_) => unbind(node, &queue),
            None => {
                if let Ok(group) = queue.group(&self.group) {
                    group.remove();
                }
            }
        }
    }
}

fn definition(rule: &Rule, filter: &str) -> Definition {
    let (options, default) = (rule.options(), Definition::default());
    let most = |given: Option<u64>, default: usize| given.map_or(default, |most| most.try_into().unwrap_or(usize::MAX));
    Definition {
        messages_max: most(options.messages_max, default.messages_max),
        bytes_max: most(options.bytes_max, default.bytes_max),
        overflow: match options.overflow {
            None | Some(Overflow::DeadLetter) => Full::DeadLetter,
            Some(Overflow::DropOldest) => Full::DropOldest,
            Some(Overflow::Reject) => Full::Reject,
        },
        deliveries_max: 0, // the rule says what becomes of a message that fails
        at_most_once: options.mode == Delivery::AtMostOnce,
        by_key: true,
        key: match &options.key {
            KeyBy::Topic => KeyOf::Topic,
            KeyBy::Publisher => KeyOf::Publisher,
            KeyBy::None => KeyOf::Nothing,
            KeyBy::Header(name) => KeyOf::Property(name.clone()),
        },
        bind: vec![filter.to_owned()],
        ..default
    }
}

fn unbind(node: &Node, queue: &Queue) {
    let definition = queue.definition();
    if !definition.bind.is_empty() {
        let unbound = Definition { bind: Vec::new(), ..Definition::clone(&definition) };
        if let Err(error) = queue.redefine(unbound) {
            tracing::error!(queue = queue.name(), %error, "the queue of a rule that is gone still gets messages");
            return;
        }
    }
    if queue.info().messages == 0
        && let Err(error) = node.delete_queue(queue.name())
    {
        tracing::debug!(queue = queue.name(), %error, "the queue of a rule that is gone is gone already");
    }
}

/// Rules that are gone may have left their queues and groups, when the node did not run then.
pub(crate) fn tidy(node: &Node, places: &[&Place]) {
    let stays = |queue: &str, group: Option<&str>| {
        places.iter().any(|place| place.queue == queue && group.is_none_or(|group| place.group == group))
    };
    for info in node.infos() {
        if info.name.starts_with(OWN_QUEUES) {
            if !stays(&info.name, None)
                && let Some(queue) = node.find_queue(&info.name)
            {
                unbind(node, &queue);
            }
            continue;
        }
        for group in info.groups.iter().filter(|group| group.name.starts_with(GROUPS)) {
            if !stays(&info.name, Some(&group.name))
                && let Some(group) = node.find_queue(&info.name).and_then(|queue| queue.group(&group.name).ok())
            {
                group.remove();
            }
        }
    }
}
