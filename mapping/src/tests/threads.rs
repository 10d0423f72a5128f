//! Calls beside each other: a rule is one, its calls are many.

use super::{call, load, message};
use crate::Verdict;

#[test]
fn threads_call_a_rule_at_a_time() {
    let rules = load("rule(\"r\", \"#\", |msg| { msg.topic = `${msg.topic}/${msg.text}`; ok });");
    let rule = &rules.rules()[0];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for n in 0..200 {
                    let called = call(rule, &message(&format!("{thread}"), &format!("{n}")));
                    assert_eq!(called.result, Ok(Verdict::Ok));
                    assert_eq!(called.message.content().topic, format!("{thread}/{n}"));
                }
            });
        }
    });
}
