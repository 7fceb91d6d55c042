//! The signals that ask a program to stop.

use std::{fmt, fs};

use signal_hook::consts;

/// A signal that asks a program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopSignal {
    /// Its name, as in `kill -s`, without `SIG`.
    pub name: &'static str,
    /// Its number on this system.
    pub number: i32,
    /// Whether it is sent to stop this very program: it is handled even if it was ignored at the start (the shell ignores
    /// SIGINT for commands in the background), and when it is repeated, the program exits immediately.
    ///
    /// The others announce what happens to the program (a closed window, the end of a time limit). They may arrive several times,
    /// and stay ignored if they were at the start, as with `nohup`.
    pub is_direct: bool,
}

/// The signals that [`Interrupt::on_signals`](crate::Interrupt::on_signals) handles.
pub const STOP_SIGNALS: &[StopSignal] = &[
    StopSignal { name: "INT", number: consts::SIGINT, is_direct: true },
    StopSignal { name: "TERM", number: consts::SIGTERM, is_direct: true },
    // A closed window or connection.
    #[cfg(unix)]
    StopSignal { name: "HUP", number: consts::SIGHUP, is_direct: false },
    // Slurm (`--signal`) and Grid Engine (`-notify`) send one of these before they end a job.
    #[cfg(unix)]
    StopSignal { name: "USR1", number: consts::SIGUSR1, is_direct: false },
    #[cfg(unix)]
    StopSignal { name: "USR2", number: consts::SIGUSR2, is_direct: false },
    // The limit of CPU time, by the system or a scheduler; repeated each second.
    #[cfg(unix)]
    StopSignal { name: "XCPU", number: consts::SIGXCPU, is_direct: false },
];

impl StopSignal {
    /// Returns the signals to handle: all that were not ignored at the start of the program.
    pub(crate) fn handled() -> impl Iterator<Item = &'static Self> {
        // Only Linux reports them; elsewhere, `nohup` has no effect on these signals.
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        STOP_SIGNALS.iter().filter(move |signal| signal.is_direct || !contains(ignored, signal.number))
    }

    /// Returns the signal with a number.
    pub(crate) fn with_number(number: usize) -> Option<&'static Self> {
        STOP_SIGNALS.iter().find(|signal| usize::try_from(signal.number) == Ok(number))
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIG{}", self.name)
    }
}

/// Returns the ignored signals of the process with this `/proc/PID/status`, one bit each.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn contains(mask: u64, number: i32) -> bool {
    let bit = u32::try_from(number - 1).ok().and_then(|shift| 1_u64.checked_shl(shift));
    bit.is_some_and(|bit| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_ignored_signals() {
        // SIGHUP is 1, SIGPIPE 13.
        let mask = ignored("Name:\tfaknow\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n");
        let numbers: Vec<i32> = (1..=64).filter(|number| contains(mask, *number)).collect();
        assert_eq!(numbers, [1, 13]);
        assert_eq!(ignored("Name:\tfaknow\n"), 0);
        assert!(!contains(u64::MAX, 0) && !contains(u64::MAX, 65));
    }

    #[test]
    fn signals_are_unique() {
        for signal in STOP_SIGNALS {
            let number = usize::try_from(signal.number).unwrap();
            assert_eq!(StopSignal::with_number(number), Some(signal));
        }
        assert_eq!(StopSignal::with_number(0), None);
    }
}
