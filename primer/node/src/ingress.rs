//! What may stand before the routing: it looks at each publish that comes from outside, and says what becomes of it.

use primer_core::commit::Refused;

use crate::{Message, journal::Draft};

/// A publish as it comes in.
#[derive(Debug, Clone, Copy)]
pub struct Arriving<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Properties in the encoding of [`primer_core::properties`].
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// 0 to 2.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Seconds that it is worth a delivery.
    pub expiry_s: Option<u32>,
    /// Who publishes it: the client identifier.
    pub client: Option<&'a std::sync::Arc<str>>,
    /// The client's user name.
    pub user: Option<&'a std::sync::Arc<str>>,
}

/// A message that is published, or pushed into a queue, along with another.
#[derive(Debug, Clone)]
pub struct Product {
    /// The queue that it goes into; without, it goes to its topic.
    pub queue: Option<String>,
    /// What.
    pub message: Message,
}

/// Takes back what an [`Ingress`] has noted of a publish.
#[derive(Default)]
pub struct Undo(Option<Box<dyn FnOnce() + Send>>);

impl Undo {
    /// Something that can be taken back.
    #[must_use]
    pub fn new(undo: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(undo)))
    }

    /// Whether nothing was noted.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.0.is_none()
    }

    /// Takes it back.
    pub fn run(self) {
        if let Some(undo) = self.0 {
            undo();
        }
    }
}

impl std::fmt::Debug for Undo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Undo").field(&self.0.is_some()).finish()
    }
}

/// What becomes of a publish.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is made and taken apart at once, for publishes that a rule wants")]
pub enum Admission {
    /// It goes on as it came.
    Pass,
    /// It is another one now, or none: then it is acknowledged and ends here. What else came of it is a destination of
    /// the publish: it is acknowledged when all have accepted.
    Changed {
        /// What goes on.
        message: Option<Message>,
        /// What goes along.
        products: Vec<Product>,
        /// What the store is to know; it joins the publish's commit.
        draft: Draft,
        /// To be run when the publish is refused after all, by a queue or by the disk: nothing has happened.
        undo: Undo,
    },
    /// The publisher is told.
    Refused(Refused),
}

/// See the module's description. What it does holds up who publishes.
pub trait Ingress: Send + Sync + std::fmt::Debug {
    /// Whether it wants to see publishes to this topic. Called for each: it has to be fast.
    fn matches(&self, topic: &str) -> bool;

    /// Says what becomes of one.
    fn admit(&self, arriving: &Arriving<'_>) -> Admission;
}
