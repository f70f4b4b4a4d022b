//! Who gets the processor first: an agent comes before all ordinary work, and threads it starts inherit that.

use nix::time::{ClockId, clock_gettime};

/// How much of a processor a thread that comes first may take, in percent, and below how much it may come first again.
const MOST: u64 = 50;
const LITTLE: u64 = 25;

/// A thread that has to be on time, and whose work is as much as the traffic it holds.
///
/// On a busy machine an ordinary thread waits some milliseconds for a processor when it wakes, and each packet it holds is that
/// late. So it comes first where its process does, as long as it takes little; with much to do it is an ordinary one, which
/// takes no processor from everybody else.
#[derive(Debug)]
pub(crate) struct Punctual {
    /// Whether it may come first at all.
    may: bool,
    first: bool,
    /// When it was looked at last, and how much processor time the thread had used by then.
    looked: u64,
    used: u64,
}

impl Punctual {
    /// Takes over this thread, at `now` in nanoseconds.
    pub(crate) fn new(now: u64) -> Self {
        let first = is_first();
        Self { may: first, first, looked: now, used: used() }
    }

    /// Looks how much processor time the thread has used since the last look; to be called every some milliseconds.
    pub(crate) fn look(&mut self, now: u64) {
        let used = used();
        let share = 100 * used.saturating_sub(self.used) / now.saturating_sub(self.looked).max(1);
        (self.looked, self.used) = (now, used);
        let first = self.may && share < if self.first { MOST } else { LITTLE };
        if first != self.first {
            // Who may not come first any more stays ordinary.
            self.may = set(first);
            self.first = first && self.may;
        }
    }
}

/// How much processor time this thread has used, in nanoseconds.
fn used() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(0, |time| time.tv_sec().cast_unsigned() * 1_000_000_000 + time.tv_nsec().cast_unsigned())
}

#[expect(unsafe_code, reason = "sched_getscheduler(2) has no safe wrapper")]
fn is_first() -> bool {
    // SAFETY: takes a number, zero for this thread, and returns one.
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) };
    policy == libc::c_long::from(libc::SCHED_RR)
}

/// Makes this thread one of the first, as the agent's own are, or an ordinary one; returns whether that was possible.
#[expect(unsafe_code, reason = "sched_setscheduler(2) has no safe wrapper")]
fn set(first: bool) -> bool {
    // The kernel's `struct sched_param` has this one number; the C libraries' differ, and musl's function refuses.
    let (policy, priority): (_, libc::c_int) =
        if first { (libc::SCHED_RR, 1) } else { (libc::SCHED_OTHER, 0) };
    // SAFETY: the parameter is a number that outlives the call and that the kernel only reads.
    unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::action::monotonic_ns;

    #[test]
    fn much_work_makes_a_thread_ordinary_and_little_puts_it_first_again() {
        let tried = std::thread::spawn(|| {
            if !set(true) {
                return println!("skipped: real-time priority is not available here");
            }
            let mut punctual = Punctual::new(monotonic_ns());
            let start = used();
            while used() - start < 10_000_000 {}
            punctual.look(monotonic_ns());
            assert!(!is_first());
            for _ in 0..2 {
                std::thread::sleep(std::time::Duration::from_millis(20));
                punctual.look(monotonic_ns());
            }
            assert!(is_first());
        });
        tried.join().unwrap();
    }

    #[test]
    fn an_ordinary_thread_stays_one() {
        let tried = std::thread::spawn(|| {
            set(false);
            let mut punctual = Punctual::new(monotonic_ns());
            std::thread::sleep(std::time::Duration::from_millis(5));
            punctual.look(monotonic_ns());
            assert!(!is_first());
        });
        tried.join().unwrap();
    }
}
