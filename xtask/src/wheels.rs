//! The wheels that libtorch is made of: which ones, how they are fetched, checked and unpacked.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cache::{WorkFolder, folder_size};
use crate::progress::Progress;
use crate::python::Python;

const UNPACK: &str = include_str!("unpack.py");

/// What a platform takes from where.
pub struct Platform {
    /// pip's names of the platform, from the newest on; pip knows no order among them, so all are given.
    tags: fn() -> Vec<String>,
    /// The wheels, the large one first.
    pub wheels: &'static [Wheel],
    /// Whether `libtorch.so` wants CUDA and is replaced by an empty one.
    pub needs_front: bool,
}

/// One wheel, pinned to its bytes.
pub struct Wheel {
    requirement: &'static str,
    bytes: u64,
    sha256: &'static str,
    /// What is unpacked: a path in the wheel, where a final slash takes a folder, and its path in the result.
    parts: &'static [(&'static str, &'static str)],
}

const INCLUDE: (&str, &str) = ("torch/include/", "include/");
const CUDART: &[(&str, &str)] = &[("nvidia/cu13/lib/libcudart.so.13", "lib/libcudart.so.13")];
const CUPTI: &[(&str, &str)] = &[("nvidia/cu13/lib/libcupti.so.13", "lib/libcupti.so.13")];

const LINUX_X86_64: Platform = Platform {
    tags: || manylinux("x86_64"),
    wheels: &[
        Wheel {
            requirement: "torch==2.13.0",
            bytes: 526_605_292,
            sha256: "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b",
            parts: &[
                INCLUDE,
                ("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so"),
                ("torch/lib/libc10.so", "lib/libc10.so"),
                ("torch/lib/libgomp.so.1", "lib/libgomp.so.1"),
            ],
        },
        Wheel {
            requirement: "nvidia-cuda-runtime==13.0.96",
            bytes: 2_243_632,
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            parts: CUDART,
        },
        Wheel {
            requirement: "nvidia-cuda-cupti==13.0.85",
            bytes: 10_715_597,
            sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            parts: CUPTI,
        },
    ],
    needs_front: true,
};

// Like the one for x86-64 a CUDA build; its CPU half needs Arm's and NVIDIA's linear algebra, which it brings.
const LINUX_AARCH64: Platform = Platform {
    tags: || manylinux("aarch64"),
    wheels: &[
        Wheel {
            requirement: "torch==2.13.0",
            bytes: 427_210_998,
            sha256: "572df8be8ffb4599c88cbd6a0726f1f854f4da65d2e3c09f0e2c2283333cd6d4",
            parts: &[
                INCLUDE,
                ("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so"),
                ("torch/lib/libc10.so", "lib/libc10.so"),
                ("torch/lib/libgomp.so.1", "lib/libgomp.so.1"),
                ("torch/lib/libgfortran.so.5", "lib/libgfortran.so.5"),
                ("torch/lib/libarm_compute.so", "lib/libarm_compute.so"),
                ("torch/lib/libarm_compute_graph.so", "lib/libarm_compute_graph.so"),
                ("torch/lib/libnvpl_blas_core.so.0", "lib/libnvpl_blas_core.so.0"),
                ("torch/lib/libnvpl_blas_lp64_gomp.so.0", "lib/libnvpl_blas_lp64_gomp.so.0"),
                ("torch/lib/libnvpl_lapack_core.so.0", "lib/libnvpl_lapack_core.so.0"),
                ("torch/lib/libnvpl_lapack_lp64_gomp.so.0", "lib/libnvpl_lapack_lp64_gomp.so.0"),
            ],
        },
        Wheel {
            requirement: "nvidia-cuda-runtime==13.0.96",
            bytes: 2_261_060,
            sha256: "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
            parts: CUDART,
        },
        Wheel {
            requirement: "nvidia-cuda-cupti==13.0.85",
            bytes: 10_310_827,
            sha256: "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
            parts: CUPTI,
        },
    ],
    needs_front: true,
};

const MACOS_AARCH64: Platform = Platform {
    tags: || (11..=15).rev().map(|version| format!("macosx_{version}_0_arm64")).collect(),
    wheels: &[Wheel {
        requirement: "torch==2.13.0",
        bytes: 111_213_045,
        sha256: "2fe228aba290d14b9f31b049be550dbd469c3fd3013d7a19705b30454da97027",
        parts: &[
            INCLUDE,
            ("torch/lib/libtorch.dylib", "lib/libtorch.dylib"),
            ("torch/lib/libtorch_cpu.dylib", "lib/libtorch_cpu.dylib"),
            ("torch/lib/libc10.dylib", "lib/libc10.dylib"),
            ("torch/lib/libomp.dylib", "lib/libomp.dylib"),
        ],
    }],
    needs_front: false,
};

impl Platform {
    /// The platform that this machine is.
    pub fn of_this_machine() -> Result<&'static Self> {
        let musl = cfg!(target_env = "musl");
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") if !musl => Ok(&LINUX_X86_64),
            ("linux", "aarch64") if !musl => Ok(&LINUX_AARCH64),
            ("macos", "aarch64") => Ok(&MACOS_AARCH64),
            (os, arch) => bail!(
                "there is no libtorch 2.13.0 wheel for {os} on {arch}{}; get or build one for it, and set LIBTORCH to \
                 the folder that holds its include/ and lib/ (docs/setup.md)",
                if musl { " with musl" } else { "" }
            ),
        }
    }

    /// pip's arguments that ask for this platform from any host Python.
    pub fn pip_args(&self) -> Vec<String> {
        let fixed = ["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"];
        let tags = (self.tags)().into_iter().flat_map(|tag| ["--platform".to_string(), tag]);
        fixed.into_iter().map(String::from).chain(tags).collect()
    }

    /// How many bytes the wheels have.
    pub fn bytes(&self) -> u64 {
        self.wheels.iter().map(|wheel| wheel.bytes).sum()
    }
}

impl Wheel {
    /// The copy of the wheel that an interrupted run left in `store`, if its size is right.
    pub fn kept(&self, store: &Path) -> Option<PathBuf> {
        let place = store.join(self.file_name());
        fs::metadata(&place).is_ok_and(|it| it.len() == self.bytes).then_some(place)
    }

    fn file_name(&self) -> String {
        format!("{}.whl", self.requirement)
    }

    /// Fetches the wheel into `store`.
    pub fn fetch(
        &self,
        platform: &Platform,
        python: &Python,
        store: &Path,
        work: &WorkFolder,
    ) -> Result<PathBuf> {
        let folder = work.path.join("download");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("tmp"))
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let mut command = python.pip("download");
        command.arg("--no-deps").args(platform.pip_args()).arg("--dest").arg(&folder).arg(self.requirement);
        // pip downloads into its temporary folder first: ours has room, and shows how far it is.
        command.env("TMPDIR", folder.join("tmp"));
        watch(command, &folder, self.requirement, Some(self.bytes))?;

        let found = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
        let wheel = found.into_iter().find(|path| path.extension().is_some_and(|it| it == "whl"));
        let wheel = wheel.with_context(|| format!("pip left no wheel of {}", self.requirement))?;
        let bytes = fs::metadata(&wheel)?.len();
        if bytes != self.bytes {
            bail!("{} has {bytes} bytes and not {}; run this again", wheel.display(), self.bytes);
        }
        fs::create_dir_all(store)?;
        let place = store.join(self.file_name());
        fs::rename(&wheel, &place)?;
        let _ = fs::remove_dir_all(&folder);
        Ok(place)
    }

    /// Checks the wheel's bytes and unpacks its parts into `folder`; a damaged wheel is removed.
    pub fn unpack(&self, wheel: &Path, python: &Python, folder: &Path) -> Result<()> {
        let mut command = python.command();
        command.args(["-c", UNPACK]).arg(wheel).arg(folder).arg(self.sha256);
        for (from, to) in self.parts {
            command.args([from, to]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut progress = Progress::start(format!("unpack {}", self.requirement), None);
        let mut bytes = 0;
        for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
            bytes = line?.parse().unwrap_or(bytes);
            progress.update(bytes);
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            progress.finish(bytes);
            return Ok(());
        }
        progress.abandon();
        let reason = String::from_utf8_lossy(&output.stderr);
        let reason = reason.trim().lines().last().unwrap_or_default().to_string();
        if is_full(&reason) {
            bail!(
                "the disk is full while unpacking {} into {}; make room and run this again",
                self.requirement,
                folder.display()
            );
        }
        let _ = fs::remove_file(wheel);
        bail!("the wheel of {} is damaged and was removed ({reason})", self.requirement)
    }
}

/// Runs pip and shows how the files in `folder` grow; explains what went wrong if it fails.
pub fn watch(mut pip: std::process::Command, folder: &Path, label: &str, total: Option<u64>) -> Result<()> {
    let log_path = folder.join("pip.log");
    let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
    let mut child = pip.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start pip")?;
    let mut progress = Progress::start(label, total);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
        progress.update(folder_size(folder));
    };
    if status.success() {
        progress.finish(total.unwrap_or_else(|| folder_size(folder)));
        return Ok(());
    }
    progress.abandon();
    let log = fs::read_to_string(&log_path).unwrap_or_default();
    bail!("{}", explain(label, &log))
}

/// What pip's failure means, and what helps.
fn explain(label: &str, log: &str) -> String {
    let says = |words: &[&str]| words.iter().any(|word| log.contains(word));
    let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
    let network = [
        "NewConnectionError",
        "NameResolutionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
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
    ];
    if is_full(log) {
        return format!("the disk is full while fetching {label}; make room and run this again");
    }
    if let Some(word) = network.iter().find(|word| log.contains(**word)) {
        return format!(
            "cannot fetch {label}: no network, or the package index does not answer ({word}). Check the connection, \
             HTTPS_PROXY and pip's settings (`python3 -m pip config list`), and run this again: finished parts are kept. \
             Without a network, set LIBTORCH to a libtorch 2.13.0 that you brought along"
        );
    }
    if says(&["No matching distribution", "Could not find a version"]) {
        return format!(
            "cannot fetch {label}: the package index that pip uses does not have it for this platform ({last}); see \
             `python3 -m pip config list` for the index, or set LIBTORCH to a libtorch 2.13.0 of your own"
        );
    }
    if says(&["no such option"]) {
        return format!(
            "cannot fetch {label}: pip is too old ({last}); run `python3 -m pip install --upgrade pip`"
        );
    }
    format!("cannot fetch {label}: pip failed and said: {last}")
}

fn is_full(text: &str) -> bool {
    text.contains("No space left on device") || text.contains("Disk quota exceeded")
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
        let check = |log: &str, expected: &str| {
            let text = explain("torch==2.13.0", log);
            assert!(text.contains(expected) && text.contains("torch==2.13.0"), "{text}");
        };
        check(
            "WARNING: Retrying ... NewConnectionError\nERROR: No matching distribution found",
            "no network",
        );
        check(
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
            "disk is full",
        );
        check(
            "ERROR: No matching distribution found for torch==2.13.0\n\n",
            "does not have it for this platform",
        );
        check("no such option: --platform", "pip is too old");
        check("ERROR: something else\n", "said: ERROR: something else");
        check("", "said: it said nothing");
    }

    #[test]
    fn every_platform_is_asked_for_with_all_its_names() {
        let args = LINUX_X86_64.pip_args();
        for tag in ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"] {
            assert!(args.windows(2).any(|pair| pair == ["--platform", tag]), "{tag} in {args:?}");
        }
        assert!(MACOS_AARCH64.pip_args().contains(&"macosx_14_0_arm64".to_string()));
        assert!(!LINUX_AARCH64.pip_args().iter().any(|arg| arg.contains("x86_64")));
    }

    #[test]
    fn pins_are_whole() {
        for wheel in [LINUX_X86_64, LINUX_AARCH64, MACOS_AARCH64].iter().flat_map(|platform| platform.wheels)
        {
            let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            assert!(wheel.sha256.len() == 64 && wheel.sha256.chars().all(hex), "{}", wheel.requirement);
            assert!(wheel.requirement.contains("==") && wheel.bytes > 1_000_000);
            assert!(wheel.parts.iter().all(|(from, to)| from.ends_with('/') == to.ends_with('/')));
        }
    }
}
