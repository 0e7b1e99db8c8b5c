//! Chromium and its driver, by the W3C's WebDriver protocol.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Chromium without a window, by the W3C's WebDriver protocol.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None` where it is not installed, and that is known.
    pub fn or_skipped() -> Option<Self> {
        let found = Self::start();
        if found.is_none() {
            let line = "the page in a browser: missing chromium and chromedriver (bash .ci/setup installs them)";
            let allowed = std::env::var_os("MOTE_ALLOW_MISSING_BROWSER").is_some_and(|value| value == "1");
            assert!(allowed, "{line}; MOTE_ALLOW_MISSING_BROWSER=1 skips it");
            eprintln!("SKIPPED: {line}");
        }
        found
    }

    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        // It chooses the port itself: one that is looked for here may be another's by then, of a connection too.
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = said.find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let port = port.expect("the driver says its port");
        // What else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || said.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
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

    /// Opens a file.
    pub fn open(&self, page: &Path) {
        self.ask("POST", "url", json!({ "url": format!("file://{}", page.display()) }));
    }

    pub fn ask(&self, method: &str, what: &str, body: Value) -> Value {
        self.send(method, &format!("/session/{}/{what}", self.session), &body)
    }

    /// What a script in the page returns.
    pub fn run(&self, script: &str) -> Value {
        self.execute(script, json!([]))
    }

    /// The same of a script with arguments.
    pub fn execute(&self, script: &str, arguments: Value) -> Value {
        self.ask("POST", "execute/sync", json!({ "script": script, "args": arguments }))
    }

    /// What a command of Chromium's own protocol answers.
    pub fn command(&self, name: &str, parameters: Value) -> Value {
        self.ask("POST", "goog/cdp/execute", json!({ "cmd": name, "params": parameters }))
    }

    pub fn status(&self) -> String {
        let text = self.run("return document.querySelector('[data-part=status]').textContent");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The digest of the finished image.
    pub fn digest(&self) -> String {
        self.until(|browser| {
            let digest = browser.run("return document.documentElement.dataset.moteDigest || null");
            digest.as_str().map(str::to_owned)
        })
    }

    pub fn until<T>(&self, mut found: impl FnMut(&Self) -> Option<T>) -> T {
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
