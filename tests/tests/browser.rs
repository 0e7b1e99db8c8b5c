//! The page that samples: the WebAssembly in it is of this source, and gives the runtime's digests in a browser.
//!
//! The browser is Chromium with its driver (`.ci/setup` installs them). Without them this fails, unless `MOTE_ALLOW_MISSING_BROWSER=1` says
//! that it is known.

use mote_tools::report::assemble::{self, of_conversion};
use mote_tools::{Checkpoint, Conversion, Request, RunOptions, Scheme};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn the_module_is_of_this_source() {
    let mut files = Vec::new();
    for folder in ["runtime/src", "runtime/c/src"] {
        sources(&root(folder), folder, &mut files);
    }
    files.sort();
    let mut hash = Sha256::new();
    for (_, path) in files {
        hash.update(std::fs::read(path).unwrap());
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let said = std::fs::read_to_string(root("tools/assets/browser/source")).unwrap();
    assert_eq!(said.trim(), hash, "run runtime/c/wasm/build");
}

/// Names and paths of the Rust files in a folder and below.
fn sources(folder: &Path, name: &str, to: &mut Vec<(String, PathBuf)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            sources(&path, &name, to);
        } else if name.ends_with(".rs") {
            to.push((name, path));
        }
    }
}

#[test]
fn the_page_gives_the_runtimes_digests() {
    let Some(browser) = Browser::start() else {
        let line = "the page in a browser: missing chromium and chromedriver (bash .ci/setup installs them)";
        let allowed = std::env::var_os("MOTE_ALLOW_MISSING_BROWSER").is_some_and(|value| value == "1");
        assert!(allowed, "{line}; MOTE_ALLOW_MISSING_BROWSER=1 skips it");
        eprintln!("SKIPPED: {line}");
        return;
    };
    let checkpoint = Checkpoint::bundled().unwrap();
    let converted = Conversion::new(Scheme::W8A8).convert(&checkpoint).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    std::fs::write(&page, of_conversion(&converted, &checkpoint, "").unwrap()).unwrap();
    browser.ask("POST", "url", json!({ "url": format!("file://{}", page.display()) }));

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

/// Chromium without a window, by the W3C's WebDriver protocol.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        browser.until(|browser| TcpStream::connect(("127.0.0.1", browser.port)).ok());
        let mut arguments: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", browser._profile.path().display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL" }, "goog:chromeOptions": { "args": arguments },
        } } });
        let session = browser.send("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str()?.to_owned();
        Some(browser)
    }

    fn ask(&self, method: &str, what: &str, body: Value) -> Value {
        self.send(method, &format!("/session/{}/{what}", self.session), &body)
    }

    /// What a script in the page returns.
    fn run(&self, script: &str) -> Value {
        self.ask("POST", "execute/sync", json!({ "script": script, "args": [] }))
    }

    fn status(&self) -> String {
        let text = self.run("return document.querySelector('[data-part=status]').textContent");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The digest of the finished image.
    fn digest(&self) -> String {
        self.until(|browser| {
            let digest = browser.run("return document.documentElement.dataset.moteDigest || null");
            digest.as_str().map(str::to_owned)
        })
    }

    fn until<T>(&self, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(value) = found(self) {
                return value;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(120),
                "the page does not get there"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The value of an answer.
    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        // The driver keeps the connection open: the header says how much comes.
        let content = loop {
            let count = stream.read(&mut buffer).expect("the driver answers");
            answer.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((header, content)) = text.split_once("\r\n\r\n") {
                let length = header
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
                let length: usize = length
                    .and_then(|text| text.trim().parse().ok())
                    .expect("an answer has a length");
                if content.len() >= length {
                    break content.to_owned();
                }
            }
            assert!(count > 0, "the answer is cut: {text}");
        };
        let value: Value = serde_json::from_str(&content).unwrap_or_else(|error| panic!("{error}: {content}"));
        assert!(value["value"]["error"].is_null(), "{path}: {value}");
        value["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
