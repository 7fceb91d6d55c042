//! Used and available memory of the process, where the system reports it (Linux).

use std::fs;

/// Returns the bytes that this process can still allocate: the memory that the system has available, or what remains of
/// the limit of its control group if that is less. `None` where the system does not report it.
pub fn available_memory() -> Option<u64> {
    let free = bytes_of(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let group = |name: &str| -> Option<u64> {
        fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?.trim().parse().ok()
    };
    let remaining = group("max").zip(group("current")).map(|(max, current)| max.saturating_sub(current));
    Some(remaining.map_or(free, |remaining| remaining.min(free)))
}

/// Returns the peak memory of this process in bytes, since it started or since [`reset_peak`].
pub(crate) fn peak() -> Option<u64> {
    bytes_of(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Resets the peak to the current memory. Where the system does not support that, the old peak remains, and small sizes
/// seem to take as much memory as earlier work.
pub(crate) fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Returns the value of the line `NAME   123 kB`, in bytes.
fn bytes_of(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_status_lines() {
        let text = "VmPeak:\t  300 kB\nVmHWM:\t  123456 kB\nVmRSS:\t   8 kB\nThreads:\t4\n";
        assert_eq!(bytes_of(text, "VmHWM:"), Some(123_456 * 1024));
        assert_eq!(bytes_of(text, "VmRSS:"), Some(8192));
        assert_eq!(bytes_of(text, "Threads:"), None);
        assert_eq!(bytes_of(text, "VmSwap:"), None);
    }

    #[test]
    fn reported_memory_is_plausible() {
        let Some(peak) = peak() else { return };
        assert!(peak > 1 << 20, "{peak}");
        assert!(available_memory().is_some_and(|available| available > 0));
    }
}
