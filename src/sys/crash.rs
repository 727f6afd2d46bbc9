//! The last net of PID 1: a fatal signal or a panic executes this program anew, because the kernel
//! panics if process 1 ends. The new program knows by its arguments what has happened:
//!
//! ```text
//! coldplug init --crashed=SIGNAL,CODE,ORIGIN,VERDICT,GUARD
//! ```
//!
//! | word | meaning |
//! | --- | --- |
//! | SIGNAL | number of the signal; 0 for a panic |
//! | CODE | si_code of siginfo_t; not positive if a process has sent the signal |
//! | ORIGIN | address of the fault or process ID of the sender, hexadecimal |
//! | VERDICT | 1 if the verdict had been printed |
//! | GUARD | 1 if the switch has taken away what guards the shell: the password in the initramfs |
//!
//! The verdict belongs to the first thread that asks for it: the one that is about to print it, or
//! that of a crash, which passes it on to the new program. So it is printed once at most. Threads
//! that crash after the first one do nothing but wait for its execve(2), which ends them.
//!
//! What runs in the signal handler allocates nothing and takes no lock, because the thread may have
//! crashed with the allocator's lock held, or for want of memory.

use std::ffi::{CStr, OsString, c_int};
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::time::Duration;

use rustix::process::WaitOptions;

use super::process::{self, Shutdown};
use super::{console, raw};

/// The signals that end a process that has done something wrong. abort(3) sends SIGABRT: a panic,
/// an assertion of the standard library, not enough memory. Instructions that trap send SIGILL or
/// SIGTRAP, by architecture.
const SIGNALS: [(c_int, &str); 7] = [
    (11, "SIGSEGV"),
    (7, "SIGBUS"),
    (4, "SIGILL"),
    (8, "SIGFPE"),
    (6, "SIGABRT"),
    (5, "SIGTRAP"),
    (31, "SIGSYS"),
];

/// The programs to execute, in this order: without /proc only the second may exist.
const PROGRAMS: [&CStr; 2] = [c"/proc/self/exe", c"/init"];

/// Prefix of the argument.
const OPTION: &str = "--crashed=";

/// Process ID of the process that [`install`] has been called in.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// The thread that handles a crash, [`NO_THREAD`], or [`EARLIER_PROGRAM`].
static CRASHED: AtomicI32 = AtomicI32::new(NO_THREAD);
/// Nothing has crashed.
const NO_THREAD: i32 = 0;
/// A crash has started this program.
const EARLIER_PROGRAM: i32 = -1;
/// State of the verdict of the boot.
static VERDICT: AtomicU8 = AtomicU8::new(OPEN);
/// Values of [`VERDICT`]: nobody has asked for it, it belongs to a crash, it is printed.
const OPEN: u8 = 0;
const OF_CRASH: u8 = 1;
const PRINTED: u8 = 2;
/// Whether the switch takes away what guards the shell.
static LOST_GUARD: AtomicBool = AtomicBool::new(false);
/// What a second crash does.
static LAST_RESORT: AtomicU8 = AtomicU8::new(WAIT);
/// Values of [`LAST_RESORT`].
const WAIT: u8 = 0;
const REBOOT: u8 = 1;
const POWER_OFF: u8 = 2;
const HALT: u8 = 3;

/// A crash of the program that ran before as PID 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crash {
    /// Number of the signal; 0 is a panic.
    signal: c_int,
    /// si_code.
    code: c_int,
    /// Address of the fault, or process ID of the sender.
    origin: usize,
    /// Whether the verdict had been printed.
    has_verdict: bool,
    /// Whether the guard of the shell is behind the switch.
    lost_guard: bool,
}

impl Crash {
    /// Returns the crash that the arguments of this program describe.
    pub(crate) fn from_args(args: &[OsString]) -> Option<Self> {
        let [program, applet, option] = args else { return None };
        if program != "coldplug" || applet != "init" {
            return None;
        }
        let mut words = option.to_str()?.strip_prefix(OPTION)?.split(',');
        let crash = Self {
            signal: words.next()?.parse().ok()?,
            code: words.next()?.parse().ok()?,
            origin: usize::from_str_radix(words.next()?, 16).ok()?,
            has_verdict: words.next()? == "1",
            lost_guard: words.next()? == "1",
        };
        words.next().is_none().then_some(crash)
    }

    /// Returns whether it was a panic, whose message has been printed already.
    pub(crate) fn is_panic(self) -> bool {
        self.signal == 0
    }

    /// Returns whether the switch had taken away what guards the shell.
    pub(crate) fn has_lost_guard(self) -> bool {
        self.lost_guard
    }

    /// Notes that a second crash must not execute the program once more, and whether the verdict
    /// has been printed.
    pub(crate) fn take_over(self) {
        CRASHED.store(EARLIER_PROGRAM, Ordering::SeqCst);
        VERDICT.store(if self.has_verdict { PRINTED } else { OPEN }, Ordering::SeqCst);
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SIGNALS.iter().find(|(number, _)| *number == self.signal);
        let name = name.map_or("an unknown signal", |(_, name)| name);
        match self.code {
            _ if self.is_panic() => f.write_str("coldplug panicked; please report it"),
            // SI_TKILL: abort(3).
            -6 => write!(f, "coldplug aborted ({name}); please report it"),
            ..=0 => write!(f, "coldplug was ended by {name} from process {}", self.origin),
            // SI_KERNEL: the processor does not tell the address.
            0x80 => write!(f, "coldplug crashed ({name} at an unknown address); please report it"),
            _ => write!(f, "coldplug crashed ({name} at {:#x}); please report it", self.origin),
        }
    }
}

/// Has fatal signals execute this program anew. The standard library makes an alternate stack for
/// each of its threads, so that a stack overflow is handled as well.
pub(crate) fn install() {
    OWNER.store(pid(), Ordering::SeqCst);
    for (signal, _) in SIGNALS {
        raw::handle_crash(signal);
    }
}

/// Sets what a second crash does; `None` waits for a reset.
pub(crate) fn set_last_resort(how: Option<Shutdown>) {
    let how = match how {
        None => WAIT,
        Some(Shutdown::Reboot) => REBOOT,
        Some(Shutdown::PowerOff) => POWER_OFF,
        Some(Shutdown::Halt) => HALT,
    };
    LAST_RESORT.store(how, Ordering::SeqCst);
}

/// Notes that the verdict is about to be printed. Returns false if it has been printed before, or
/// belongs to a crash.
pub(crate) fn note_verdict() -> bool {
    VERDICT.compare_exchange(OPEN, PRINTED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
}

/// Notes that another attempt has begun, whose verdict is to be printed.
pub(crate) fn forget_verdict() {
    VERDICT.store(OPEN, Ordering::SeqCst);
}

/// Notes that the switch is about to take away what guards the shell, which a program that is
/// executed anew then cannot read.
pub(crate) fn note_lost_guard() {
    LOST_GUARD.store(true, Ordering::SeqCst);
}

/// Executes this program anew after a panic. Never returns.
pub(crate) fn restart_after_panic() -> ! {
    restart(0, 0, 0)
}

/// Executes this program anew after a fatal signal. Runs in the signal handler. Returns false in a
/// child of the process that has called [`install`], and else never.
pub(super) fn handle(signal: c_int, code: c_int, origin: usize) -> bool {
    if OWNER.load(Ordering::SeqCst) != pid() {
        return false;
    }
    restart(signal, code, origin)
}

fn restart(signal: c_int, code: c_int, origin: usize) -> ! {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    let first = claim(thread);
    let has_verdict = VERDICT.fetch_max(OF_CRASH, Ordering::SeqCst) == PRINTED;
    let lost_guard = LOST_GUARD.load(Ordering::SeqCst);
    let crash = Crash { signal, code, origin, has_verdict, lost_guard };
    match first {
        NO_THREAD => {}
        // The handler itself has crashed, or the program that was executed anew.
        other if other == thread || other == EARLIER_PROGRAM => give_up(&crash, "a second crash"),
        _ => wait_forever(),
    }
    let mut option = Text::new();
    let (verdict, guard) = (u8::from(has_verdict), u8::from(lost_guard));
    // The text is shorter than the buffer.
    let _ = write!(option, "{OPTION}{signal},{code},{origin:x},{verdict},{guard}");
    for program in PROGRAMS {
        raw::execute(program, [c"coldplug", c"init", option.as_c_str()]);
    }
    give_up(&crash, "it cannot be executed anew")
}

/// Has `thread` handle the crash, unless another thread does. Returns what [`CRASHED`] was before.
fn claim(thread: i32) -> i32 {
    let claim = |old| matches!(old, NO_THREAD | EARLIER_PROGRAM).then_some(thread);
    CRASHED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, claim).unwrap_or_else(|old| old)
}

/// Prints the last messages, and does what [`set_last_resort`] says. Allocates nothing.
fn give_up(crash: &Crash, why: &str) -> ! {
    let mut text = Text::new();
    let _ = write!(text, "coldplug: {crash}: {why}");
    console::print_last(text.as_bytes());
    if VERDICT.swap(PRINTED, Ordering::SeqCst) != PRINTED {
        console::print_last(b"coldplug: verdict=crash modules=0/0 failed=0 time=0");
    }
    let how = match LAST_RESORT.load(Ordering::SeqCst) {
        REBOOT => Some(Shutdown::Reboot),
        POWER_OFF => Some(Shutdown::PowerOff),
        HALT => Some(Shutdown::Halt),
        _ => None,
    };
    // Without sync(2), which may wait for a disk forever.
    let _ = how.map(process::reboot);
    wait_forever()
}

fn wait_forever() -> ! {
    loop {
        // Another thread may go on, and wait for its own children.
        if rustix::thread::gettid() == rustix::process::getpid() {
            while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// A text of limited length, without allocation. What does not fit is cut.
struct Text {
    bytes: [u8; 160],
    len: usize,
}

impl Text {
    fn new() -> Self {
        Self { bytes: [0; 160], len: 0 }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Returns the text with a NUL, for which there is always room.
    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let last = self.bytes.len() - 1;
        for (byte, new) in self.bytes[self.len..last].iter_mut().zip(text.bytes()) {
            *byte = new;
            self.len += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Names the crash that [`crashing_child`] makes.
    const VARIABLE: &str = "COLDPLUG_TEST_CRASH";

    fn args(option: &str) -> Vec<OsString> {
        ["coldplug", "init", option].map(OsString::from).to_vec()
    }

    #[test]
    fn arguments_describe_the_crash() {
        for (option, verdict_and_guard, text) in [
            ("11,1,10,0,0", (false, false), "coldplug crashed (SIGSEGV at 0x10); please report it"),
            (
                "11,128,0,0,1",
                (false, true),
                "coldplug crashed (SIGSEGV at an unknown address); please report it",
            ),
            ("7,0,64,1,0", (true, false), "coldplug was ended by SIGBUS from process 100"),
            ("6,-6,1,1,1", (true, true), "coldplug aborted (SIGABRT); please report it"),
            ("0,0,0,0,0", (false, false), "coldplug panicked; please report it"),
            (
                "77,1,0,0,0",
                (false, false),
                "coldplug crashed (an unknown signal at 0x0); please report it",
            ),
        ] {
            let crash = Crash::from_args(&args(&format!("--crashed={option}"))).unwrap();
            assert_eq!(crash.to_string(), text);
            assert_eq!((crash.has_verdict, crash.has_lost_guard()), verdict_and_guard, "{option}");
        }
        for other in
            ["", "--crashed=", "--crashed=11,1,10,0", "--crashed=11,1,10,0,0,0", "--crashed=x"]
        {
            assert_eq!(Crash::from_args(&args(other)), None, "{other}");
        }
        let mut not_ours = args("--crashed=11,1,10,0,0");
        not_ours[0] = "/init".into();
        assert_eq!(Crash::from_args(&not_ours), None, "words of the kernel command line");
    }

    #[test]
    fn a_verdict_belongs_to_one() {
        for (is_printed_first, want) in [(true, (true, PRINTED)), (false, (false, OPEN))] {
            forget_verdict();
            let mut is_printed = is_printed_first && note_verdict();
            let before = VERDICT.fetch_max(OF_CRASH, Ordering::SeqCst);
            // A thread that goes on until the execve(2) of another one ends it.
            is_printed |= note_verdict();
            assert_eq!((is_printed, before), want);
        }
        // The thread that handles the crash, another one, and those of the program that it
        // executes.
        assert_eq!([claim(7), claim(8), claim(7)], [NO_THREAD, 7, 7]);
        CRASHED.store(EARLIER_PROGRAM, Ordering::SeqCst);
        assert_eq!([claim(7), claim(8)], [EARLIER_PROGRAM, 7]);
        CRASHED.store(NO_THREAD, Ordering::SeqCst);
        forget_verdict();
    }

    #[test]
    fn a_text_is_cut_at_its_limit() {
        let mut text = Text::new();
        write!(text, "{}", "x".repeat(1000)).unwrap();
        assert_eq!(text.as_c_str().to_bytes().len(), text.bytes.len() - 1);
        assert_eq!(text.as_bytes(), text.as_c_str().to_bytes());
    }

    #[test]
    fn every_crash_executes_the_program_anew() {
        for crash in ["overflow", "abort", "memory", "panic"] {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "sys::crash::tests::crashing_child", "--ignored"]);
            let output = child.env(VARIABLE, crash).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            // The program is the one of the tests, which has no such option.
            assert!(stderr.contains("Unrecognized option: 'crashed'"), "{crash}: {stderr}");
        }
    }

    #[test]
    #[ignore = "another test starts it"]
    fn crashing_child() {
        #[allow(unconditional_recursion, reason = "it overflows the stack")]
        fn overflow(bytes: [u8; 4096]) -> u8 {
            std::hint::black_box(&bytes);
            overflow(bytes) | bytes[0]
        }
        install();
        match &*std::env::var(VARIABLE).unwrap_or_default() {
            "overflow" => drop(overflow([1; 4096])),
            "abort" => std::process::abort(),
            "memory" => std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; 1 << 20]>()),
            "panic" => {
                std::panic::set_hook(Box::new(|_| restart_after_panic()));
                panic!("on purpose");
            }
            _ => {}
        }
    }
}
