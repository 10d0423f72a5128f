//! The time of a run: nanoseconds since the Unix epoch that never go back, so that `bench pub` and `bench sub` in two
//! processes of one machine agree; and a timer that is finer than the millisecond of `epoll_wait`.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Reads the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    epoch_ns: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), epoch_ns: u64::try_from(since_epoch.as_nanos()).unwrap_or(0) }
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.epoch_ns + u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(target_os = "linux")]
pub(crate) mod timer {
    //! A `timerfd`, which mio wakes up for.

    use std::{
        io,
        os::fd::{AsRawFd, OwnedFd},
    };

    use mio::{Interest, Registry, Token, unix::SourceFd};
    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

    /// Wakes a poll at a time.
    #[derive(Debug)]
    pub(crate) struct Timer {
        fd: OwnedFd,
        token: Token,
    }

    impl Timer {
        pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            let fd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
            registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self { fd, token })
        }

        pub(crate) const fn token(&self) -> Token {
            self.token
        }

        /// Arms the timer; one that was armed before is moved.
        pub(crate) fn arm(&self, in_ns: u64) -> io::Result<()> {
            let value = Timespec {
                tv_sec: i64::try_from(in_ns / 1_000_000_000).unwrap_or(i64::MAX),
                tv_nsec: i64::try_from((in_ns % 1_000_000_000).max(1)).unwrap_or(1),
            };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            rustix::time::timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once)?;
            Ok(())
        }
    }
}
