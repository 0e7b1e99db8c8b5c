//! The page itself: it draws by itself, hears the keyboard, speaks to a screen reader, and is legible in light and dark.

use crate::driver::Browser;
use crate::page_of;
use mote_tools::report::assemble;
use mote_tools::{Checkpoint, Conversion, Converted, Request, RunOptions, Scheme};
use serde_json::{Value, json};

fn fashion() -> (Checkpoint, Converted) {
    let checkpoint = Checkpoint::bundled().unwrap();
    let converted = Conversion::new(Scheme::W8A8).convert(&checkpoint).unwrap();
    (checkpoint, converted)
}

/// The report with its model, bytes at most.
const MOST_BYTES: u64 = 1_000_000;

#[test]
fn the_page_gives_the_runtimes_digests() {
    let Some(browser) = Browser::or_skipped() else { return };
    let (checkpoint, converted) = fashion();
    let folder = tempfile::tempdir().unwrap();
    let page = page_of(&converted, &checkpoint, folder.path());
    let bytes = std::fs::metadata(&page).unwrap().len();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
    browser.open(&page);

    // It draws by itself when it is opened.
    let file = converted.file().unwrap();
    let digest = |seed: u64, steps: u32| {
        let run = RunOptions {
            steps: Some(steps),
            ..RunOptions::default()
        };
        let request = Request {
            run,
            seed,
            ..Request::default()
        };
        assemble::expected(&file.sample(&request).unwrap(), steps, "cpu")[0]
            .digest
            .clone()
    };
    assert_eq!(browser.digest(), digest(0, 20));
    assert!(
        browser.status().starts_with("The same bytes as"),
        "{}",
        browser.status()
    );

    // Figures for people; no time is asserted.
    let first = browser.run("return performance.getEntriesByName('mote-first-image')[0].startTime");
    let last = browser.run("return performance.getEntriesByName('mote-image')[0].startTime");
    let pace = browser.run("return document.querySelector('[data-part=time]').textContent");
    // The first image is drawn by code that the browser has just compiled, and compiles better meanwhile.
    browser.run("document.querySelector('[name=seed]').value = '7'");
    browser.run("document.querySelector('[data-part=draw]').click()");
    assert_eq!(browser.digest(), digest(7, 20));
    let then = browser.run("return document.querySelector('[data-part=time]').textContent");
    println!(
        "{bytes} bytes; first state after {first} ms, first image after {last} ms, {pace}; the second image {then}"
    );

    // Another seed and other steps, by the keyboard's own button.
    browser.run("document.querySelector('[name=seed]').value = '18446744073709551615'");
    browser.run("document.querySelector('[name=steps]').value = '3'");
    browser.run("document.querySelector('[data-part=draw]').click()");
    assert_eq!(browser.digest(), digest(u64::MAX, 3));

    // A seed that is none is refused, and the page goes on.
    browser.run("document.querySelector('[name=seed]').value = 'x'");
    browser.run("document.querySelector('[data-part=draw]').click()");
    assert!(browser.status().contains("whole number"), "{}", browser.status());
    browser.run("document.querySelector('[name=seed]').value = '5'");
    browser.run("document.querySelector('[name=steps]').value = '100000'");
    browser.run("document.querySelector('[data-part=draw]').click()");
    let refused = browser.until(|browser| Some(browser.status()).filter(|text| text.starts_with("Refused")));
    assert!(refused.contains("MOTE_STEPS"), "{refused}");

    // It fits a narrow window, and nothing was complained of.
    browser.ask("POST", "window/rect", json!({ "width": 360, "height": 800 }));
    let fits = browser.run("return document.documentElement.scrollWidth <= window.innerWidth");
    assert_eq!(fits, json!(true));
    assert_eq!(browser.ask("POST", "se/log", json!({ "type": "browser" })), json!([]));
}

/// Presses and releases a key.
fn press(browser: &Browser, key: &str) {
    let actions = [
        json!({ "type": "keyDown", "value": key }),
        json!({ "type": "keyUp", "value": key }),
    ];
    let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
    browser.ask("POST", "actions", json!({ "actions": [keyboard] }));
}

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";
const RIGHT: &str = "\u{E014}";

/// Goes on by the tabulator to a part of the sampler.
fn tab_to(browser: &Browser, part: &str) {
    for _ in 0..60 {
        press(browser, TAB);
        let at = browser.run("const at = document.activeElement; return at.name || at.dataset.part || ''");
        if at == part {
            return;
        }
    }
    panic!("the tabulator does not come to {part}");
}

#[test]
fn the_keyboard_does_all_that_the_pointer_does() {
    let Some(browser) = Browser::or_skipped() else { return };
    let (checkpoint, converted) = fashion();
    let folder = tempfile::tempdir().unwrap();
    browser.open(&page_of(&converted, &checkpoint, folder.path()));
    let first = browser.digest();

    // Brush: two pixels right of the middle are marked, and drawn anew.
    tab_to(&browser, "canvas");
    press(&browser, RIGHT);
    press(&browser, " ");
    assert!(browser.status().contains("is made anew"), "{}", browser.status());
    tab_to(&browser, "seed");
    for key in ["\u{E010}", "\u{E003}", "7"] {
        press(&browser, key);
    }
    assert_eq!(browser.run("return document.querySelector('[name=seed]').value"), "7");
    for part in ["steps", "sampler", "draw"] {
        tab_to(&browser, part);
    }
    press(&browser, ENTER);
    let marked = browser.digest();
    assert!(browser.status().starts_with("Done"), "{}", browser.status());
    // Without the mark the same seed is another image, and the page knows it.
    press(&browser, ENTER);
    let plain = browser.digest();
    assert!(
        browser.status().starts_with("The same bytes as"),
        "{}",
        browser.status()
    );
    assert!(marked != plain && marked != first && plain != first);
    for part in ["next", "save"] {
        tab_to(&browser, part);
    }
    assert_eq!(browser.ask("POST", "se/log", json!({ "type": "browser" })), json!([]));
}

#[test]
fn a_screen_reader_hears_a_name_of_every_part_and_both_themes_are_legible() {
    let Some(browser) = Browser::or_skipped() else { return };
    let (checkpoint, converted) = fashion();
    let folder = tempfile::tempdir().unwrap();
    browser.open(&page_of(&converted, &checkpoint, folder.path()));
    browser.digest();
    let tree = browser.command("Accessibility.getFullAXTree", json!({}));
    let (mut named, mut nameless) = (vec![], vec![]);
    let told = [
        "button",
        "textbox",
        "spinbutton",
        "combobox",
        "progressbar",
        "image",
        "img",
        "link",
        "status",
    ];
    for node in tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] == false)
    {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let name = node["name"]["value"].as_str().unwrap_or_default();
        if told.contains(&role) {
            if role == "status" || !name.is_empty() {
                &mut named
            } else {
                &mut nameless
            }
            .push(role.to_owned());
        }
    }
    assert_eq!(nameless, Vec::<String>::new());
    for role in ["button", "textbox", "spinbutton", "combobox", "progressbar", "status"] {
        assert!(named.iter().any(|named| named == role), "{role}: {named:?}");
    }
    let mut pages = vec![];
    for theme in ["light", "dark"] {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        browser.command("Emulation.setEmulatedMedia", features);
        let found = browser.execute(include_str!("face.js"), json!([]));
        // WCAG 2.2, 1.4.3, level AA.
        assert!(found["contrast"].as_f64().unwrap() >= 4.5, "{theme}: {found}");
        pages.push(found["page"].as_f64().unwrap());
    }
    assert!(pages[0] > 0.8 && pages[1] < 0.1, "{pages:?}");
    let language = browser.run("return document.documentElement.lang");
    assert_eq!(language, Value::from("en"));
}
