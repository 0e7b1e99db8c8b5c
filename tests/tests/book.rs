//! The documents hold together: every link leads somewhere, every page is in the book, sentences stay short.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Words of a sentence of the book, on average, at most.
const MOST_WORDS: f64 = 22.0;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Markdown file of the repository that people read.
fn pages() -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && !path.join("CACHEDIR.TAG").exists() {
                folders.push(path);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The text without blocks and spans of code.
fn without_code(text: &str) -> String {
    let mut plain = String::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            let outside = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
            plain += &outside;
        }
        plain.push('\n');
    }
    plain
}

/// Targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let parts = without_code(text);
    let targets = parts.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.trim().to_owned()).collect()
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = vec![];
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        for link in links(&text) {
            let outside = link.starts_with("http://") || link.starts_with("https://") || link.starts_with("mailto:");
            // A template's link is the project's that is made from it.
            if outside || link.contains('{') {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.parent().expect("a folder").join(file)
            };
            let found = target.exists()
                && (heading.is_empty() || {
                    let text = std::fs::read_to_string(&target).unwrap_or_default();
                    text.lines()
                        .any(|line| line.starts_with('#') && anchor(line) == heading)
                });
            if !found {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_page_of_docs_is_in_the_book_once() {
    let docs = root().join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).expect("docs/SUMMARY.md");
    let listed = links(&summary);
    let once: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(listed.len(), once.len(), "a page is listed twice");
    let entries = std::fs::read_dir(&docs).expect("docs");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let there: BTreeSet<String> = names
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    assert_eq!(once, there, "SUMMARY.md against the folder");
}

/// Sentences of prose; tables, headings, lists of commands and code are none.
fn sentences(text: &str) -> Vec<usize> {
    let prose: Vec<String> = without_code(text)
        .lines()
        .map(|line| line.trim_start().trim_start_matches("- ").to_owned())
        .map(|line| {
            if line.starts_with(['|', '#', '!', '<']) {
                String::new()
            } else {
                line
            }
        })
        .collect();
    let paragraphs = prose.split(|line| line.is_empty()).map(|lines| lines.join(" "));
    let split = |paragraph: String| -> Vec<usize> {
        let mut counts = vec![];
        let mut words = 0;
        for word in paragraph.split_whitespace() {
            words += 1;
            // A colon and a semicolon end no sentence; neither does "e.g." or a heading's number.
            if words > 2 && word.trim_end_matches([')', '*', '"', '_']).ends_with(['.', '!', '?']) {
                counts.push(words);
                words = 0;
            }
        }
        counts.extend((words > 2).then_some(words));
        counts
    };
    paragraphs.flat_map(split).collect()
}

#[test]
fn sentences_are_short() {
    let mut all = vec![];
    for page in pages()
        .iter()
        .filter(|page| page.parent().is_some_and(|folder| folder.ends_with("docs")))
    {
        all.extend(sentences(&std::fs::read_to_string(page).expect("a page")));
    }
    let mean = all.iter().sum::<usize>() as f64 / all.len() as f64;
    println!("{mean:.1} words on average over {} sentences", all.len());
    assert!(
        all.len() > 500 && mean <= MOST_WORDS,
        "{mean:.1} words on average over {} sentences",
        all.len()
    );
}

/// Names in backticks of a page's tables.
fn named(page: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("docs").join(page)).expect(page);
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

#[test]
fn every_part_of_the_runtime_has_its_line() {
    let named = named("features.md");
    let missing: Vec<&str> = mote_runtime::Feature::ALL
        .iter()
        .map(|part| part.name())
        .filter(|name| !named.contains(*name))
        .collect();
    assert!(missing.is_empty(), "docs/features.md lacks {missing:?}");
    let parts: BTreeSet<&str> = mote_runtime::Feature::ALL.iter().map(|part| part.name()).collect();
    let unknown: Vec<&String> = named.iter().filter(|name| !parts.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "docs/features.md names {unknown:?}");
}

/// Every function of the header, and every name that the package makes public.
#[test]
fn every_name_of_the_faces_has_its_line() {
    let named = named("faces.md");
    let header = std::fs::read_to_string(root().join("runtime/c/include/mote.h")).expect("mote.h");
    let functions = header.lines().filter_map(|line| {
        let (head, _) = line.split_once('(')?;
        let name = head.split([' ', '*']).next_back()?;
        (line.starts_with(|c: char| c.is_lowercase()) && name.starts_with("mote_")).then_some(name)
    });
    let package = std::fs::read_to_string(root().join("tools/python/python/mote/__init__.py")).expect("the package");
    let (_, public) = package.split_once("__all__ = [").expect("__all__");
    let public = public.split('"').skip(1).step_by(2);
    let verbs = public.filter(|name| !name.ends_with("Error") && !name.starts_with('_') && *name != "Images");
    let missing: Vec<&str> = functions.chain(verbs).filter(|name| !named.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/faces.md lacks {missing:?}");
}
