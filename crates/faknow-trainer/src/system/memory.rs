//! How much memory this process takes and may take, where the system reports it (Linux).

use std::fs;

/// Bytes that this process may still take: what the system has free or can free, or what is left of the limit of
/// its control group if that is less. `None` where the system does not report it.
pub fn available_memory() -> Option<u64> {
    let free = kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let group = |name: &str| -> Option<u64> {
        fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?.trim().parse().ok()
    };
    let left = group("max").zip(group("current")).map(|(max, current)| max.saturating_sub(current));
    Some(left.map_or(free, |left| left.min(free)))
}

/// The most bytes of memory that this process had at once, since it began or since [`restart_peak`].
pub(crate) fn peak() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Restarts the peak at the current memory. Where the system refuses, the old peak stays, and small sizes seem
/// to take as much as whatever came before.
pub(crate) fn restart_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The value of a line `NAME   123 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_system_are_read() {
        let text = "VmPeak:\t  300 kB\nVmHWM:\t  123456 kB\nVmRSS:\t   8 kB\nThreads:\t4\n";
        assert_eq!(kilobytes(text, "VmHWM:"), Some(123_456 * 1024));
        assert_eq!(kilobytes(text, "VmRSS:"), Some(8192));
        assert_eq!(kilobytes(text, "Threads:"), None);
        assert_eq!(kilobytes(text, "VmSwap:"), None);
    }

    #[test]
    fn what_the_system_tells_fits_together() {
        let Some(peak) = peak() else { return };
        assert!(peak > 1 << 20, "{peak}");
        assert!(available_memory().is_some_and(|available| available > 0));
    }
}
