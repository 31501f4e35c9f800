//! `alexnet report`: a file that is whole, and that a browser draws without a network.
//!
//! A browser may not be there: one that understands Chromium's flags is looked for on the PATH, or `ALEXNET_BROWSER`
//! names it. Firefox has no flag that gives the page after its scripts have run.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use common::Place;
use serde_json::Value;

/// Class names that would end a tag, a string or a script.
const CLASSES: [&str; 3] = ["apple", "R&D \"<b>", "zebra<script>"];

/// A run of two epochs, and its report.
fn report() -> (Place, String) {
    let place = Place::new();
    place.make_data(&CLASSES, 40, 8);
    place.ok(&["train", "--net", "tiny16.toml", "--data", "data", "--epochs", "2", "--out", "run"]);
    let out = place.ok(&["report", "run"]);
    assert!(out.contains("report: run/report.html"), "{out}");
    let page = fs::read_to_string(place.path("run/report.html")).unwrap();
    (place, page)
}

#[test]
fn a_report_has_everything_inside() {
    let (place, page) = report();
    for part in [
        "tiny on data",
        "<td>conv1</td>",
        "<h3>tower 2</h3>",
        "kernel 4 of tower 2",
        "R&amp;D &quot;&lt;b&gt;",
        "nearest of 120 of the 120 training images",
        "<th>seed</th><td>1</td>",
        "<th>device</th><td>",
        "init_std = 0.05",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Five images with six neighbours, and eight predictions; as many kernels as the net has.
    assert_eq!(page.matches("<img class=\"tiny\"").count(), 5 * 7 + 8);
    assert_eq!(page.matches("alt=\"kernel").count(), 8);
    for name in ["src=\"", "href=\""] {
        for (at, _) in page.match_indices(name) {
            let address = &page[at + name.len()..][..5];
            assert!(address.starts_with("data:") || address.starts_with('#'), "{address}");
        }
    }
    assert!(!page.contains("<script>\"") && !page.contains("<b>\""), "a class name is markup");
    let error = place.fails(1, &["report", "nowhere"]);
    assert!(error.contains("nowhere does not exist"), "{error}");
    // The same from another folder and of a checkpoint alone.
    place.ok(&["report", "run/last.safetensors", "--out", "one.html"]);
    assert!(fs::read_to_string(place.path("one.html")).unwrap().contains("<td>conv1</td>"));
}

#[test]
fn a_browser_draws_it() {
    let Some(browser) = browser() else { return };
    let (place, page) = report();
    let path = place.path("watched.html");
    fs::write(&path, watched(&page)).unwrap();
    for width in [1280, 390] {
        look(&dump(&browser, place.path("profile").as_path(), &path, width));
    }
}

/// What the script of [`watched`] has seen is right.
fn look(dom: &str) {
    let seen = dom.split("<pre id=\"seen\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let seen: Value = serde_json::from_str(seen.unwrap_or_else(|| panic!("the page is not drawn: {dom}"))).unwrap();
    assert_eq!(seen["errors"], serde_json::json!([]));
    assert_eq!(seen["charts"], serde_json::json!(["loss", "error", "steps", "rate", "speed", "wait"]));
    assert_eq!(seen["lines"], serde_json::json!([2, 3, 1, 1, 1, 1]));
    let text = |key: &str| seen[key].as_str().unwrap().to_string();
    // The pointer is at the left end, then the cursor goes one to the right.
    assert!(text("pointed").starts_with("epoch 1training"), "{seen}");
    assert!(text("moved").starts_with("epoch 2training"), "{seen}");
    let cell = text("cell");
    assert!(cell.starts_with("R&amp;D \"&lt;b&gt;taken forapple") && cell.contains(" of 8 ("), "{seen}");
    assert!(seen["coloured"].as_u64().unwrap() > 1000, "{seen}");
    assert_eq!(seen["broken"], 0);
    assert_eq!(seen["overflow"], false);
    // Labels that can be read.
    assert!(seen["label"].as_f64().unwrap() > 10.0, "{seen}");
}

/// The page with a script before all others that notes errors, and one behind them that uses the page like a reader.
fn watched(page: &str) -> String {
    let before = "<script>const errors = [];
        addEventListener('error', (it) => errors.push(it.message));
        addEventListener('securitypolicyviolation', (it) => errors.push(it.blockedURI));</script>";
    let behind = "<script>addEventListener('load', () => {
        const svg = document.querySelector('#loss svg'), box = svg.getBoundingClientRect();
        const said = (place) => document.querySelector(place + ' .readout').innerText.replaceAll('\\n', '');
        const point = (it, x, y) => it.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y }));
        const charts = [...document.querySelectorAll('.charts figure')];
        point(svg, box.left + 1, box.top + 50);
        const pointed = said('#loss');
        svg.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight' }));
        const moved = said('#loss');
        const canvas = document.querySelector('canvas'), matrix = canvas.getBoundingClientRect();
        point(canvas, matrix.right - 60, matrix.top + 24 + 22);
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let coloured = 0;
        for (let i = 0; i < pixels.length; i += 4) coloured += Math.abs(pixels[i] - pixels[i + 2]) > 30;
        const seen = document.createElement('pre');
        seen.id = 'seen';
        seen.textContent = JSON.stringify({
          errors, pointed, moved, coloured, cell: said('.matrix'), charts: charts.map((it) => it.id),
          lines: charts.map((it) => it.querySelectorAll('path').length),
          broken: [...document.images].filter((it) => !it.naturalWidth).length,
          label: svg.querySelector('text').getBoundingClientRect().height,
          overflow: document.documentElement.scrollWidth > innerWidth,
        });
        document.body.append(seen);
    });</script>";
    page.replace("<head>", &format!("<head>{before}")).replace("</body>", &format!("{behind}</body>"))
}

/// The page as the browser has it after its scripts have run, in a window of that width.
fn dump(browser: &OsString, profile: &Path, page: &Path, width: u32) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},900"))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn browser() -> Option<OsString> {
    let named = std::env::var_os("ALEXNET_BROWSER");
    let usual =
        ["chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "chrome"].map(OsString::from);
    let candidates = named.map_or(usual.to_vec(), |named| vec![named]);
    let starts =
        |browser: &OsString| Command::new(browser).arg("--version").output().is_ok_and(|it| it.status.success());
    let found = candidates.into_iter().find(starts);
    if found.is_none() {
        // Past the capture, so that it is seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no browser; ALEXNET_BROWSER names one");
    }
    found
}
