//! `cargo xtask browser`: opens all HTML pages in headless Chromium, at the width of a desktop and of a phone.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use xshell::{Shell, cmd};

use super::book;
use super::webdriver::Browser;
use crate::process;
use crate::program::Program;
use crate::required;
use crate::summary::Summary;
use crate::workspace::Workspace;

const HELP: &str = "\
Makes reports of small runs, serves one, builds the book, and opens the pages in headless Chromium, at the width of a desktop and of a
phone, in light and dark: no error, nothing wider than the page, no truncated label. Chromium and its driver are installed on Debian if
the user is root; where they are missing, the check prints SKIPPED.";

#[derive(clap::Args, Default)]
#[command(after_help = HELP)]
pub struct Args {
    /// Save screenshots to this directory
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
}

const SIZES: [(&str, u32, u32); 2] = [("desktop", 1280, 900), ("phone", 390, 844)];

/// Pages of the book that are looked at: a plain one, one with code, and those with the widest tables.
const BOOK_PAGES: [&str; 4] = ["index", "tutorial", "config", "trainer"];

/// Names what is wider than the page, and labels that extend beyond their figure.
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
            wide.push(`label ${name(text)} overflows its figure`);
    }
    return wide;";

/// Checks all pages; every page at every size is one check.
pub fn check(workspace: &mut Workspace, args: &Args) -> Result<Summary> {
    if !is_installed(&workspace.sh) {
        required::skip(
            "chromium",
            "no Chromium with its driver; on Debian: apt-get install chromium chromium-driver",
        )?;
        return Ok(Summary::default());
    }
    let faknow = Program::build(workspace)?;
    faknow.run("demo --out demo")?;
    faknow.run("demo --out other --seed 1")?;
    faknow.run("report demo other --out comparison.html")?;
    let server = faknow.serve(&[])?;
    let browser = Browser::start()?;
    let file = |name: &str| format!("file://{}", faknow.path(name).display());
    let pages = [
        ("report", file("demo/report.html")),
        ("comparison", file("comparison.html")),
        ("server", format!("http://{}", server.address)),
    ];
    let mut summary = Summary::default();
    for (name, address) in &pages {
        for (device, width, height) in SIZES {
            for (scheme, dark) in [("light", false), ("dark", true)] {
                browser.set_device(width, height, dark)?;
                browser.open(address)?;
                browser.script(
                    "document.querySelectorAll('details').forEach(e => { e.open = true; }); return 0",
                )?;
                let name = format!("{name}-{device}-{scheme}");
                summary.add(Summary::of_check(&name, check_page(&browser, dark)));
                for (part, full) in [("top", false), ("full", true)] {
                    if let Some(dir) = &args.pictures {
                        workspace
                            .sh
                            .write_file(dir.join(format!("{name}-{part}.png")), browser.screenshot(full)?)?;
                    }
                }
            }
        }
    }
    summary.add(Summary::of_check("server, a text", classify_text(&browser, &pages[2].1)));
    server.shut_down()?;
    let book = book::build(workspace)?;
    for name in BOOK_PAGES {
        for (device, width, height) in SIZES {
            browser.set_device(width, height, false)?;
            browser.open(&format!("file://{}", book.join(name).with_extension("html").display()))?;
            let name = format!("book-{name}-{device}");
            summary.add(Summary::of_check(&name, check_book_page(&browser)));
            if let Some(dir) = &args.pictures {
                workspace.sh.write_file(dir.join(format!("{name}.png")), browser.screenshot(false)?)?;
            }
        }
    }
    Ok(summary)
}

fn check_page(browser: &Browser, dark: bool) -> Result<()> {
    check_console(browser)?;
    let wide = browser.script(OVERFLOW)?;
    ensure!(wide == json!([]), "too wide: {wide:#}");
    let background = browser.script("return getComputedStyle(document.body).backgroundColor")?;
    let is_dark = background.as_str().is_some_and(|color| !color.contains("255"));
    ensure!(
        is_dark == dark,
        "the background is {background}, expected a {} one",
        if dark { "dark" } else { "light" }
    );
    Ok(())
}

/// Checks a page of the book: its text, tables and list of pages are shown, and only tables and code are scrolled.
fn check_book_page(browser: &Browser) -> Result<()> {
    check_console(browser)?;
    let seen = browser.script(
        "const page = document.documentElement;
        return [document.querySelectorAll('main h1').length, document.querySelectorAll('.chapter a').length > 20,
            page.scrollWidth <= page.clientWidth]",
    )?;
    ensure!(seen == json!([1, true, true]), "titles, list of pages, width: {seen}");
    Ok(())
}

fn check_console(browser: &Browser) -> Result<()> {
    let errors = browser.console_errors()?;
    ensure!(errors.is_empty(), "errors in the browser's console:\n{}", errors.join("\n"));
    Ok(())
}

/// Classifies a text on the server's page, which shows it as typed, with the prediction, a bar per class and a mark per token.
fn classify_text(browser: &Browser, address: &str) -> Result<()> {
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
        ensure!(started.elapsed() < Duration::from_secs(60), "no prediction");
        std::thread::sleep(Duration::from_millis(50));
    };
    ensure!(
        seen == json!(["SHOCKING: the <b>mayor</b> lied!", 2, 13, "prediction"]),
        "the page shows {seen}"
    );
    check_console(browser)
}

/// Returns whether the browser and its driver are installed, after they were installed if that can be done.
fn is_installed(sh: &Shell) -> bool {
    let found = || process::exists(sh, "chromedriver") && process::exists(sh, "chromium");
    if found() {
        return true;
    }
    if process::exists(sh, "apt-get") && cmd!(sh, "id -u").read().is_ok_and(|id| id == "0") {
        let install = process::capture(cmd!(sh, "apt-get update"))
            .and_then(|_| process::capture(cmd!(sh, "apt-get install -y chromium chromium-driver")));
        if let Err(error) = install {
            eprintln!("{error:#}");
        }
    }
    found()
}
