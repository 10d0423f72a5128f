//! Whose turn it is in a share group: members in turn, those first that can take a message at once.
//!
//! A function of numbers: members are called by their index, and what they can take is asked of the caller.

use crate::limits::SHARE_LOOKS_MAX;

/// Deals `messages` to `members` in turn, the first to `start`: each goes to the first member from its turn on that is
/// online and has room; when none has, to the first that is online; when none is, to whose turn it is (its session
/// keeps it). A member is asked for its room once, and at most [`SHARE_LOOKS_MAX`] are.
///
/// Answers an index for each message; there is at least one member.
pub(crate) fn deal(
    messages: usize,
    start: usize,
    members: usize,
    is_online: impl Fn(usize) -> bool,
    room: impl Fn(usize) -> usize,
) -> impl Iterator<Item = usize> {
    let mut rooms: Vec<(usize, usize)> = Vec::new();
    (0..messages).map(move |message| {
        let turn = start.wrapping_add(message);
        let mut first_online = None;
        let online = (0..members).map(|step| turn.wrapping_add(step) % members).filter(|member| is_online(*member));
        for member in online.take(SHARE_LOOKS_MAX) {
            first_online.get_or_insert(member);
            let known = rooms.iter().position(|(of, _)| *of == member);
            let at = known.unwrap_or_else(|| {
                rooms.push((member, room(member)));
                rooms.len() - 1
            });
            if let Some((_, left)) = rooms.get_mut(at).filter(|(_, left)| *left > 0) {
                *left -= 1;
                return member;
            }
        }
        first_online.unwrap_or(turn % members.max(1))
    })
}

/// The first member from `start` on that is online, or the one at `start`.
pub(crate) fn first(start: usize, members: usize, is_online: impl Fn(usize) -> bool) -> usize {
    let mut in_turn = (0..members).map(|step| start.wrapping_add(step) % members);
    in_turn.find(|member| is_online(*member)).unwrap_or(start % members.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(messages: usize, start: usize, rooms: &[Option<usize>]) -> Vec<usize> {
        let is_online = |member: usize| rooms[member].is_some();
        deal(messages, start, rooms.len(), is_online, |member| rooms[member].unwrap()).collect()
    }

    #[test]
    fn members_have_their_turns() {
        assert_eq!(dealt(5, 1, &[Some(9), Some(9), Some(9)]), [1, 2, 0, 1, 2]);
        assert_eq!(dealt(3, usize::MAX, &[Some(9)]), [0, 0, 0], "a turn beyond the numbers wraps");
    }

    #[test]
    fn who_has_no_room_is_passed_over_until_nobody_has() {
        assert_eq!(
            dealt(6, 0, &[Some(1), Some(3), Some(0)]),
            [0, 1, 1, 1, 1, 2],
            "the last two go where it is their turn"
        );
    }

    #[test]
    fn who_is_away_gets_nothing_while_another_is_there() {
        assert_eq!(dealt(3, 0, &[None, Some(0), None]), [1, 1, 1]);
        assert_eq!(dealt(3, 1, &[None, None]), [1, 0, 1], "nobody is there: in turn, the sessions keep them");
    }

    #[test]
    fn the_first_that_is_online_is_stuck_to() {
        assert_eq!(first(7, 3, |member| member == 0), 0);
        assert_eq!(first(7, 3, |_| false), 1);
    }
}
