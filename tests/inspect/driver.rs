//! A browser behind its driver: HTTP with JSON, no more of it than is needed here.

use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// After this it hangs.
const HUNG: Duration = Duration::from_secs(60);

/// A session of a browser of its own, with a page open. Both end with it.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    pub(crate) fn open(url: &str) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let driver = Command::new("chromedriver").arg(format!("--port={port}")).stdout(Stdio::null()).spawn()?;
        let mut browser = Self { driver, port, session: String::new() };
        browser.until("the driver listens", || Ok(TcpStream::connect(("127.0.0.1", port)).is_ok()))?;
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--window-size=1440,900",
            "--hide-scrollbars=false",
            "--enable-precise-memory-info",
        ];
        let options = json!({ "args": args });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let session = browser.call("POST", "", &json!({ "capabilities": { "alwaysMatch": wanted } }))?;
        browser.session = format!("/{}", session["sessionId"].as_str().ok_or("no session")?);
        browser.call("POST", "/url", &json!({ "url": url }))?;
        Ok(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(HUNG))?;
        write!(
            stream,
            "{method} /session{}{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.session,
            self.port,
            body.len()
        )?;
        // It keeps the connection, whatever it is asked for.
        let mut answer = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while answer.read_line(&mut head)? > 2 {
            let line = head.lines().last().unwrap_or_default().to_ascii_lowercase();
            if let Some(said) = line.strip_prefix("content-length:") {
                length = said.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body)?;
        let body = String::from_utf8(body)?;
        let answer: Value = serde_json::from_str(&body)?;
        if head.starts_with("HTTP/1.1 200") {
            Ok(answer["value"].clone())
        } else {
            Err(format!("{path}: {body}").into())
        }
    }

    /// Runs a function's body in the page, and returns what it returns.
    pub(crate) fn run(&self, script: &str, arguments: Value) -> Result<Value> {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    fn find(&self, selector: &str) -> Result<String> {
        let found = self.call("POST", "/element", &json!({ "using": "css selector", "value": selector }))?;
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        Ok(id.ok_or("no element")?.to_owned())
    }

    pub(crate) fn click(&self, selector: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.call("POST", &format!("/element/{element}/click"), &json!({})).map(drop)
    }

    /// Puts a text into a field, instead of what is there.
    pub(crate) fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.call("POST", &format!("/element/{element}/clear"), &json!({}))?;
        self.call("POST", &format!("/element/{element}/value"), &json!({ "text": text })).map(drop)
    }

    /// Presses a key, wherever the focus is.
    pub(crate) fn key(&self, key: &str) -> Result<()> {
        let key = match key {
            "Escape" => "\u{e00c}",
            "Enter" => "\u{e007}",
            "Home" => "\u{e011}",
            "End" => "\u{e010}",
            "ArrowLeft" => "\u{e012}",
            "ArrowRight" => "\u{e014}",
            "ArrowDown" => "\u{e015}",
            plain => plain,
        };
        let press = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let keys = json!({ "actions": [{ "type": "key", "id": "keys", "actions": press }] });
        self.call("POST", "/actions", &keys).map(drop)
    }

    /// Waits for something to be so, which a page that works comes to.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !is_so()? {
            if begun.elapsed() > HUNG {
                return Err(format!("it never came to this: {what}").into());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Has the page drawn in `light` or in `dark`.
    pub(crate) fn prefer(&self, scheme: &str) -> Result<()> {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call(
            "POST",
            "/goog/cdp/execute",
            &json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": feature } }),
        )
        .map(drop)
    }

    /// Leaves a picture of the page.
    pub(crate) fn shot(&self, file: &Path) -> Result<()> {
        let picture = self.call("GET", "/screenshot", &Value::Null)?;
        Ok(fs::write(file, decoded(picture.as_str().ok_or("no picture")?))?)
    }

    /// Asks whether every text that is on the screen has a contrast of 4.5 to what is behind it.
    pub(crate) fn contrast(&self, scheme: &str) -> Result<()> {
        self.prefer(scheme)?;
        let low = self.run(include_str!("contrast.js"), json!([]))?;
        self.prefer("light")?;
        if low == json!([]) { Ok(()) } else { Err(format!("too little contrast in {scheme}: {low:#}").into()) }
    }

    /// Asks the browser's console: a script or a style that the page's policy forbids, and what was thrown, stands there.
    pub(crate) fn has_no_complaints(&self) -> Result<()> {
        let said = self.call("POST", "/se/log", &json!({ "type": "browser" }))?;
        if said == json!([]) { Ok(()) } else { Err(format!("the browser complains: {said:#}").into()) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.call("DELETE", "", &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Base64.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes
}
