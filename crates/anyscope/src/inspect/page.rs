//! The document: a head, a style and a script, put together once.

use std::fmt::Write as _;
use std::time::Duration;

/// What the browser lets the page do: run its own script and style, and ask its own server. The two sums are of the files
/// beside this; a test tells when they aren't.
pub(super) const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-x3kMY4tE6GTy4mMtYt2gwIs2yCkWqe7TVjXHSAkjlVs='; \
    style-src 'sha256-b3YyDvkfCVL3J+JvjNIY0Eu68rJidoKFDtDYsNW+gVo='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// From when on a task is marked as stuck.
#[derive(Clone, Debug)]
pub(super) struct Stuck {
    pub(super) in_poll: Duration,
    pub(super) ready: Duration,
    pub(super) cancelling: Duration,
}

/// The whole document.
pub(super) fn page(title: &str, stuck: &Stuck) -> String {
    let mut page = String::with_capacity(TEMPLATE.len() + STYLE.len() + SCRIPT.len() + title.len());
    // One pass, so that nothing that is put in is taken for a place.
    let mut parts = TEMPLATE.split("%%");
    page.extend(parts.next());
    while let (Some(place), Some(text)) = (parts.next(), parts.next()) {
        match place {
            "title" => page.push_str(&escaped(title)),
            "in-poll" => seconds(&mut page, stuck.in_poll),
            "ready" => seconds(&mut page, stuck.ready),
            "cancelling" => seconds(&mut page, stuck.cancelling),
            "style" => page.push_str(STYLE),
            "script" => page.push_str(SCRIPT),
            other => unreachable!("`{other}` is no place of the template"),
        }
        page.push_str(text);
    }
    page
}

fn seconds(page: &mut String, duration: Duration) {
    let _ = write!(page, "{}", duration.as_secs_f64());
}

/// A text as it stands in an element or an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
