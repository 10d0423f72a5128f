//! The functions that scripts have beside Rhai's own, by section. The reference is made from these modules, so that it
//! says what is there.

mod actions;
mod message;
mod properties;

use std::sync::LazyLock;

use rhai::{Shared, exported_module};

pub(crate) use self::actions::Outcome;
use crate::{functions, state};

/// A part of the reference, and the functions of it.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// What the functions have in common, in Markdown.
    pub(crate) text: &'static str,
    pub(crate) module: Shared<rhai::Module>,
}

/// All sections, in the order of the reference.
pub(crate) static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| {
    let section = |title, text, module: rhai::Module| Section { title, text, module: Shared::new(module) };
    let mut sections = vec![
        section(
            "The message",
            "The parameter of a rule is the message, a value: `let copy = msg;` makes one of its own. What is not \
             there is `()`. Setting what cannot be (an invalid topic, a QoS of 3) is an error at once. At stage \
             `ingress` the message goes on as the rule leaves it.",
            exported_module!(message::message_functions),
        ),
        section(
            "Properties of the message",
            "The properties of MQTT 5.0. User properties are `headers`: a map from names to texts, or to an array of \
             texts where a name is there more than once.",
            exported_module!(properties::property_functions),
        ),
        section(
            "Outputs",
            "They count when the rule ends well, all or none, together with its changes of state and the \
             acknowledgement of the message. A payload may be a text, a blob, a map or an array (as JSON), a number or \
             a boolean (as text); instead of a payload a message can be given.",
            exported_module!(actions::output_functions),
        ),
        section(
            "Verdicts",
            "The value of a rule's function is its verdict: `ok` (it is done; at stage `ingress` the message goes on), \
             `drop` (the message ends here), or one of these. Any other value counts as `ok`, a message as `ok` with \
             that message.",
            exported_module!(actions::verdict_functions),
        ),
        section(
            "State",
            "What a rule remembers from message to message, also over a restart: `state.get(key)`. Windows (`average`, \
             `sum`, `min`, `max`, `count`) are measured in values (1 to 512) or in a length of time (`\"5m\"`). Each \
             function has a window of its own under a key; for two windows of different size use two keys. A window of \
             time is kept in 256 parts: it is exact but for its oldest 1/256.",
            state::module(),
        ),
    ];
    sections.extend(functions::modules().map(|(title, module)| section(title, "", module)));
    sections
});
