//! The clock of all bounds in these tests: it counts the load.

use std::fs;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// A moment on a clock that counts the time that a fair scheduler would have needed on an idle machine: while more
/// threads want to run than there are processors, everything takes longer by that ratio, which says nothing about
/// bgjobs. On an idle machine it is the time of day.
#[derive(Clone, Copy)]
pub struct Moment(Duration);

/// The clock of [`Moment`], kept from the first of them on by a thread that looks at the load every few milliseconds.
struct Clock {
    /// When the load was last looked at, and what the clock said then.
    looked: Instant,
    counted: Duration,
    /// How much longer everything takes just now; at least 1.
    stretch: f64,
}

static CLOCK: OnceLock<Mutex<Clock>> = OnceLock::new();
const BEAT: Duration = Duration::from_millis(2);

impl Clock {
    fn shared() -> MutexGuard<'static, Self> {
        let new = || {
            std::thread::spawn(|| {
                loop {
                    std::thread::sleep(BEAT);
                    Self::shared().beat();
                }
            });
            let mut clock = Self { looked: Instant::now(), counted: Duration::ZERO, stretch: 1.0 };
            clock.beat();
            Mutex::new(clock)
        };
        CLOCK.get_or_init(new).lock().expect("nobody panics with it")
    }

    fn now(&self) -> Duration {
        self.counted + self.looked.elapsed().div_f64(self.stretch)
    }

    /// The fourth word of /proc/loadavg says how many threads want to run, this one among them (proc_loadavg(5)).
    fn beat(&mut self) {
        let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let running = text.split([' ', '/']).nth(3).and_then(|word| word.parse::<u32>().ok()).unwrap_or(1);
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let stretch = (f64::from(running.saturating_sub(1)) / cores as f64).max(1.0);
        // Whatever was between the two looks counts as the worse of them.
        self.stretch = self.stretch.max(stretch);
        self.counted = self.now();
        (self.looked, self.stretch) = (Instant::now(), stretch);
    }
}

impl Moment {
    pub fn now() -> Self {
        Self(Clock::shared().now())
    }

    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
