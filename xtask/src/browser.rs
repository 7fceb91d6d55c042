//! `cargo xtask browser`: our pages in a real browser, as a person on a desktop or a phone sees them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use crate::process::{self, Usage};
use crate::program::Program;
use crate::served::Served;
use crate::summary::Summary;
use crate::webdriver::Browser;
use crate::workspace::Workspace;

const HELP: &str = "\
cargo xtask browser [--pictures DIR]

Makes reports of small runs, serves one, and looks at the pages in headless Chromium, at the width of a desktop and of a phone, in light and dark: no
error, nothing wider than the page, no label cut off. --pictures keeps what was seen. Where Chromium and its driver are not
installed they are, if this is a Debian system and we are root; else the check says loudly that it was skipped.
";

const LIMIT: Duration = Duration::from_secs(300);
const SIZES: [(&str, u32, u32); 2] = [("desktop", 1280, 900), ("phone", 390, 844)];

/// Names what is wider than the page, and labels that stand out of their picture.
const OVERFLOW: &str = "
    const wide = [], page = document.documentElement;
    if (page.scrollWidth > page.clientWidth) wide.push(`the page is ${page.scrollWidth} wide in ${page.clientWidth}`);
    const name = e => `${e.tagName.toLowerCase()}.${e.getAttribute('class') || ''} “${e.textContent.trim().slice(0, 40)}”`;
    for (const e of document.querySelectorAll('body *')) {
        if (e.closest('.scroll, pre')) continue;
        const box = e.getBoundingClientRect();
        if (box.width && box.right > page.clientWidth + 1) wide.push(`${name(e)} ends at ${box.right}`);
    }
    for (const text of document.querySelectorAll('svg text')) {
        const box = text.getBoundingClientRect(), svg = text.closest('svg').getBoundingClientRect();
        if (box.left < svg.left - 1 || box.right > svg.right + 1 || box.bottom > svg.bottom + 1 || box.top < svg.top - 1)
            wide.push(`label ${name(text)} stands out of its picture`);
    }
    return wide;";

/// Runs `cargo xtask browser`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    let pictures = match args {
        [] => None,
        [flag, folder] if flag == "--pictures" => Some(PathBuf::from(folder)),
        [flag] if matches!(flag.as_str(), "--help" | "-h") => {
            print!("{HELP}");
            return Ok(());
        }
        _ => return Err(Usage("browser takes only --pictures DIR".into()).into()),
    };
    check(workspace, pictures.as_deref())?.conclude()
}

/// Looks at all pages; every page at every size is a check.
pub fn check(workspace: &mut Workspace, pictures: Option<&Path>) -> Result<Summary> {
    if !is_there() {
        println!("SKIPPED: no Chromium with its driver; on Debian: apt-get install chromium chromium-driver");
        return Ok(Summary::default());
    }
    let faknow = Program::build(workspace)?;
    faknow.run(&["demo", "--out", "demo"])?;
    faknow.run(&["demo", "--out", "other", "--seed", "1"])?;
    faknow.run(&["report", "demo", "other", "--out", "comparison.html"])?;
    let browser = Browser::start()?;
    let mut summary = Summary::default();
    for (name, file) in [("report", "demo/report.html"), ("comparison", "comparison.html")] {
        let address = format!("file://{}", faknow.folder().join(file).display());
        look(&browser, name, &address, pictures, &mut summary)?;
    }
    let server = Served::start(&faknow, "demo", &[])?;
    let address = format!("http://{}", server.address);
    look(&browser, "server", &address, pictures, &mut summary)?;
    let outcome = ask_server(&browser, &address);
    if let Err(error) = &outcome {
        eprintln!("server, a text: {error:#}");
    }
    summary.add(Summary::of_check(outcome.is_ok()));
    server.end()?;
    Ok(summary)
}

/// Judges a text on the server's page: it is shown as it was typed, with a verdict, a bar a class and a mark a word.
fn ask_server(browser: &Browser, address: &str) -> Result<()> {
    browser.open(address)?;
    browser.script(
        "document.getElementById('text').value = 'SHOCKING: the <b>mayor</b> lied!';
        document.getElementById('form').requestSubmit(); return 0",
    )?;
    let started = Instant::now();
    let seen = loop {
        let seen = browser.script(
            "if (document.getElementById('result').hidden) return null;
            const all = selector => document.querySelectorAll(selector).length;
            return [document.getElementById('words').textContent, all('progress'), all('mark'), document.activeElement.id]",
        )?;
        if !seen.is_null() {
            break seen;
        }
        ensure!(started.elapsed() < LIMIT, "no verdict");
        std::thread::sleep(Duration::from_millis(50));
    };
    ensure!(seen == json!(["SHOCKING: the <b>mayor</b> lied!", 2, 6, "verdict"]), "it shows {seen}");
    let complaints = browser.complaints()?;
    ensure!(complaints.is_empty(), "the browser complains:\n{}", complaints.join("\n"));
    println!("server, a text: good");
    Ok(())
}

/// A page at every size, in light and dark.
fn look(
    browser: &Browser,
    name: &str,
    address: &str,
    pictures: Option<&Path>,
    summary: &mut Summary,
) -> Result<()> {
    for (device, width, height) in SIZES {
        for dark in [false, true] {
            let scheme = if dark { "dark" } else { "light" };
            browser.set_device(width, height, dark)?;
            browser.open(address)?;
            browser
                .script("document.querySelectorAll('details').forEach(e => { e.open = true; }); return 0")?;
            let outcome = judge(browser, dark);
            if let Err(error) = &outcome {
                eprintln!("{name}, {device}, {scheme}: {error:#}");
            } else {
                println!("{name}, {device}, {scheme}: good");
            }
            summary.add(Summary::of_check(outcome.is_ok()));
            if let Some(folder) = pictures {
                fs::create_dir_all(folder)?;
                // What is seen first, and all of it.
                for (part, whole) in [("top", false), ("whole", true)] {
                    let file = folder.join(format!("{name}-{device}-{scheme}-{part}.png"));
                    fs::write(&file, browser.picture(whole)?)
                        .with_context(|| format!("cannot write {}", file.display()))?;
                }
            }
        }
    }
    Ok(())
}

fn judge(browser: &Browser, dark: bool) -> Result<()> {
    let complaints = browser.complaints()?;
    ensure!(complaints.is_empty(), "the browser complains:\n{}", complaints.join("\n"));
    let wide = browser.script(OVERFLOW)?;
    let wide: Vec<&str> = wide.as_array().into_iter().flatten().filter_map(|line| line.as_str()).collect();
    ensure!(wide.is_empty(), "too wide:\n{}", wide.join("\n"));
    let ground = browser.script("return getComputedStyle(document.body).backgroundColor")?;
    let is_dark = ground.as_str().is_some_and(|color| !color.contains("255"));
    if is_dark != dark {
        bail!("the ground is {ground}, which is not what was asked for");
    }
    Ok(())
}

/// Whether the browser and its driver are there, after they were installed if that can be done.
fn is_there() -> bool {
    let found = || process::exists("chromedriver") && process::exists("chromium");
    if found() {
        return true;
    }
    let can_install = process::exists("apt-get")
        && process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if can_install {
        let install = || {
            let mut update = Command::new("apt-get");
            process::run_quietly(update.arg("update"), LIMIT)?;
            let mut install = Command::new("apt-get");
            process::run_quietly(install.args(["install", "-y", "chromium", "chromium-driver"]), LIMIT)
        };
        if let Err(error) = install() {
            eprintln!("{error:#}");
        }
    }
    found()
}
