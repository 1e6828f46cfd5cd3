//! The page of `mz bench --html`, and comparing with a saved run.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Room, json};

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(room: &Room) -> Self {
        let folder = std::env::temp_dir().join(&room.mesh);
        std::fs::create_dir(&folder).expect("a folder of one's own");
        Self(folder)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that fails has said why already.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs it in short with a page, and returns what it told and the page.
#[track_caller]
fn run(room: &Room, folder: &Folder, arguments: &[&str]) -> (Value, String) {
    let page = folder.file("page.html");
    let mut all = vec!["bench"];
    all.extend(arguments);
    all.extend(["--json", "--html", &page]);
    let told = room.run(&all).succeeded();
    (json(&told), std::fs::read_to_string(page).expect("the page is written"))
}

/// It is a page that needs nothing else, with a table for each chart, and says all of this.
#[track_caller]
pub(crate) fn is_page(page: &str, said: &[&str]) {
    is_well_formed(page);
    is_self_contained(page);
    let (charts, tables) = (page.matches("<svg").count(), page.matches("<table").count());
    assert!(charts > 0 && tables >= charts, "{charts} charts and {tables} tables in {page}");
    for part in said {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
}

/// Every tag is closed, in order.
#[track_caller]
fn is_well_formed(page: &str) {
    let mut open = Vec::new();
    let body = page.strip_prefix("<!DOCTYPE html>").expect("it says what it is");
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("<{part} does not end"));
        assert!(!text.contains('&') || text.split('&').skip(1).all(|rest| rest.contains(';')), "{text}");
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "in {page}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
}

/// It needs neither the network nor a program, and is drawn in light and dark.
#[track_caller]
fn is_self_contained(page: &str) {
    for word in
        ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link", "<img", "NaN", "inf "]
    {
        assert!(!page.contains(word), "{word} in {page}");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
}

#[test]
fn a_page_has_charts_and_their_tables() {
    let room = Room::new();
    let folder = Folder::new(&room);
    let short = ["--duration", "50ms", "--warm-up", "0s"];
    let runs: [(&[&str], &[&str]); 3] = [
        (
            &["latency", "--transport", "inproc"],
            &["Round trip by percentile", "p99.9", "actix send", "bottleneck"],
        ),
        (
            &["throughput", "--find-max", "p50<50ms", "--transport", "inproc"],
            &["Rates that were tried", "p50&lt;50ms"],
        ),
        (&["discovery", "--rounds", "2"], &["until a service is found"]),
    ];
    for (arguments, wanted) in runs {
        let short = if arguments[0] == "discovery" { &[][..] } else { &short };
        let (told, page) = run(&room, &folder, &[arguments, short].concat());
        is_page(&page, wanted);
        is_page(&page, &[told["header"]["here"]["kernel"].as_str().expect("a text")]);
    }
}

#[test]
fn a_run_compares_with_what_was_saved() {
    let room = Room::new();
    let folder = Folder::new(&room);
    let latency = ["latency", "--transport", "inproc", "--duration", "200ms", "--warm-up", "20ms"];
    let (saved, _) = run(&room, &folder, &latency);
    let before = folder.file("before.json");
    std::fs::write(&before, saved.to_string()).expect("it can be written");
    let (told, page) = run(&room, &folder, &[&latency[..], &["--compare", &before]].concat());
    let comparison = &told["comparison"];
    assert_eq!(comparison["commit"], saved["header"]["here"]["commit"]);
    assert_eq!(comparison["differences"].as_array().map(Vec::len), Some(0), "{comparison}");
    let ratios = comparison["ratios"].as_array().expect("ratios");
    assert!(ratios.len() >= 3, "{comparison}");
    for ratio in ratios {
        let [low, high] = ["low", "high"].map(|end| ratio[end].as_f64().expect("a number"));
        assert!(0.0 < low && low <= high, "{ratio}");
        let verdict = ratio["verdict"].as_str().expect("a verdict");
        assert_eq!(verdict == "no difference shown", low <= 1.0 && high >= 1.0, "{ratio}");
    }
    assert!(page.contains("95 % confidence"), "{page}");

    // Of the page with a comparison as well.
    is_well_formed(&page);
    let unlike =
        ["latency", "--transport", "inproc", "--duration", "100ms", "--size", "100", "--compare", &before];
    let (told, _) = run(&room, &folder, &unlike);
    let differences = told["comparison"]["differences"].to_string();
    assert!(differences.contains("size: 100 now, 64 then"), "{differences}");
    let fanout = ["bench", "fanout", "--transport", "inproc", "--duration", "1h", "--compare", &before];
    room.run(&fanout).failed(2, &["a saved run of latency", "one of fanout"]);
}

#[test]
fn what_a_saved_run_contains_is_never_markup() {
    let room = Room::new();
    let folder = Folder::new(&room);
    let latency = ["latency", "--transport", "inproc", "--duration", "50ms", "--warm-up", "0s"];
    let (mut saved, _) = run(&room, &folder, &latency);
    saved["header"]["here"]["commit"] = "<script>alert(1)</script>".into();
    saved["header"]["transport"] = "\u{1b}[2J\"><img src=x>".into();
    let before = folder.file("before.json");
    std::fs::write(&before, saved.to_string()).expect("it can be written");
    let (_, page) = run(&room, &folder, &[&latency[..], &["--compare", &before]].concat());
    is_well_formed(&page);
    assert!(
        page.contains("&lt;script&gt;alert(1)") && !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
    let shown = room.run(&[&["bench"], &latency[..], &["--compare", &before]].concat()).succeeded();
    assert!(!shown.contains('\u{1b}'), "{shown}");
}
