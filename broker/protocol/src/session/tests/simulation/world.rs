//! One server, one client, the wire between them, and chance, which says what happens next.

use super::{
    client::Client,
    dice::{Dice, Plan},
    ledger::Ledger,
    server::Server,
    tally::{Event, Tally},
};
/// Steps after which a run without cuts must have come to rest.
const CALM_STEPS_MAX: usize = 2_000;

/// What goes over the wire, and has not arrived.
#[derive(Default)]
struct Wire {
    number: u32,
    is_whole: bool,
    up: Vec<u8>,
    down: Vec<u8>,
}

/// See the module's description.
struct World {
    plan: Plan,
    dice: Dice,
    server: Server,
    client: Client,
    wire: Wire,
    ledger: Ledger,
    /// Every byte that either side has written, in order.
    trace: Vec<u8>,
}

/// Runs one seed; answers all that was written and how often things happened.
pub(super) fn run(seed: u64) -> (Vec<u8>, Tally) {
    let mut dice = Dice::new(seed);
    let plan = Plan::new(&mut dice);
    let mut world = World {
        server: Server::new(&plan),
        client: Client::new(&plan),
        wire: Wire::default(),
        ledger: Ledger::new(plan.version),
        trace: Vec::new(),
        plan,
        dice,
    };
    for _ in 0..world.plan.steps {
        world.step();
        world.carry();
    }
    world.calm_down();
    world.ledger.settle();
    (world.trace, world.ledger.tally)
}

impl World {
    fn step(&mut self) {
        let Self { plan, dice, server, client, ledger, .. } = self;
        if dice.below(1000) < plan.cut_permille {
            return self.cut();
        }
        match dice.below(22) {
            0..2 => server.push(dice, ledger),
            2..5 => client.send(true, plan, dice, ledger),
            5..9 => self.deliver_up(),
            9..13 => self.deliver_down(),
            13..16 => client.answer(plan, dice),
            16 => self.decide(self.plan.refused_percent),
            17 => server.pump(1 + dice.below(3), ledger),
            18 => self.notice(),
            _ => self.connect(),
        }
    }

    /// The client connects, if it is not connected.
    fn connect(&mut self) {
        if !self.client.is_down() {
            return;
        }
        let number = self.wire.number + 1;
        self.wire = Wire { number, is_whole: true, ..Wire::default() };
        self.server.drop_inbox();
        let clean_start = self.dice.chance(self.plan.clean_percent);
        self.client.connect(clean_start, &self.plan, &mut self.dice, &mut self.ledger);
    }

    /// The wire breaks: the client notices at once, the server later, and what was on the wire is gone.
    fn cut(&mut self) {
        if !self.client.is_down() {
            self.ledger.tally.count(Event::Cut);
            self.client.lose(&self.plan, &mut self.ledger);
            self.wire.is_whole = false;
        }
    }

    /// The server notices that the wire is broken.
    fn notice(&mut self) {
        if !self.wire.is_whole {
            self.server.detach(&mut self.ledger);
        }
    }

    fn deliver_up(&mut self) {
        if self.wire.is_whole {
            let len = self.dice.below(self.wire.up.len() + 1);
            let bytes: Vec<u8> = self.wire.up.drain(..len).collect();
            self.server.hear(&bytes, self.wire.number, &self.plan, &mut self.ledger);
            self.server.pump(self.dice.below(3), &mut self.ledger);
        }
    }

    fn deliver_down(&mut self) {
        if self.wire.is_whole {
            let len = self.dice.below(self.wire.down.len() + 1);
            let bytes: Vec<u8> = self.wire.down.drain(..len).collect();
            self.client.hear(&bytes, &self.plan, &mut self.dice, &mut self.ledger);
        }
    }

    /// A publish is committed or refused; a refusal that 3.x cannot express ends the connection.
    fn decide(&mut self, refused_percent: usize) {
        if self.server.decide(&mut self.dice, refused_percent, &mut self.ledger) {
            self.carry();
            self.server.detach(&mut self.ledger);
            self.cut();
        }
    }

    /// Takes what either side has written to the wire.
    fn carry(&mut self) {
        let down = std::mem::take(&mut self.server.out);
        let up = std::mem::take(&mut self.client.out);
        for (direction, bytes) in [(b'<', &down), (b'>', &up)] {
            if !bytes.is_empty() {
                self.trace.push(direction);
                self.trace.extend_from_slice(bytes);
            }
        }
        if self.wire.is_whole {
            self.wire.up.extend_from_slice(&up);
            if self.server.attached() == Some(self.wire.number) {
                self.wire.down.extend_from_slice(&down);
            }
        }
    }

    /// No more cuts, refusals or new messages: everything begun has to come to its end.
    fn calm_down(&mut self) {
        (self.plan.small_percent, self.plan.rejected_percent) = (0, 0);
        for _ in 0..CALM_STEPS_MAX {
            if self.client.is_idle() && self.server.is_idle() && self.wire.up.is_empty() && self.wire.down.is_empty() {
                return;
            }
            if !self.wire.is_whole {
                self.notice();
                self.connect();
            }
            self.client.send(false, &self.plan, &mut self.dice, &mut self.ledger);
            self.client.answer(&self.plan, &mut self.dice);
            self.decide(0);
            self.carry();
            self.deliver_up();
            self.server.pump(8, &mut self.ledger);
            self.carry();
            self.deliver_down();
        }
        panic!("it never comes to rest");
    }
}
