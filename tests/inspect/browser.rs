//! The page of `anyscope::inspect` in a browser: what it shows, what the keys and the search do, what it costs.
//!
//! `.ci/inspect` runs this, and installs Chromium with its driver. With a folder as the argument it leaves screenshots there.

#![forbid(unsafe_code)]

mod driver;
mod scenes;

use anyscope::inspect::Inspector;
use anyscope::tokio::Tokio;
use anyscope::{TaskGroup, unblock};
use driver::{Browser, Result};
use scenes::Small;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const MALICE: &str = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";

fn main() -> Result<()> {
    let pictures = std::env::args_os().nth(1).map(PathBuf::from);
    // Two more than tasks are stuck in a poll.
    let runtime = ::tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    anyscope::run(Tokio::from(runtime), async {
        let folder = pictures.clone();
        let small = TaskGroup::builder().name("shop");
        small
            .run(async |g| {
                let server = Inspector::builder().title("shop").bind(any())?;
                let address = server.address();
                g.task("inspect").spawn_service(server.serve());
                let scene = Small::open(g);
                let looked = unblock(move || look(address, &scene, folder.as_deref())).await;
                g.cancel();
                looked
            })
            .await?;
        let large = TaskGroup::builder().name("large");
        large
            .run(async |g| {
                let server = Inspector::builder().title("large").bind(any())?;
                let address = server.address();
                g.task("inspect").spawn_service(server.serve());
                scenes::large(g);
                let measured = unblock(move || measure(address, pictures.as_deref())).await;
                g.cancel();
                measured
            })
            .await
    })
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Returns the text of what a selector finds, or null.
const TEXT: &str = "const found = document.querySelector(arguments[0]); return found && found.innerText;";
/// Returns what is said of the line of a task, by its name.
const LINE: &str = "const line = [...document.querySelectorAll('#rows .row:not([hidden])')]
    .find((row) => row.querySelector('.called').textContent === arguments[0]);
    return line ? { key: line.dataset.key, state: line.querySelector('.word').textContent, waits: line.querySelector('.waits').textContent,
        badge: line.querySelector('.badge').hidden ? '' : line.querySelector('.badge').textContent, at: line.classList.contains('at'),
        aside: line.classList.contains('aside'), level: line.getAttribute('aria-level'), row: line.getAttribute('aria-rowindex'), id: line.id } : null;";

fn line(page: &Browser, name: &str) -> Result<Value> {
    page.run(LINE, json!([name]))
}

fn look(address: SocketAddr, scene: &Small, pictures: Option<&Path>) -> Result<()> {
    let page = Browser::open(&format!("http://{address}/"))?;
    let said = |name: &str, what: &str, is: &str| {
        page.until(&format!("`{name}`: {what} is `{is}`"), || Ok(line(&page, name)?[what].as_str() == Some(is)))
    };

    step("the tree is shown");
    said("waiter", "state", "idle")?;
    said("ticker", "state", "idle")?;
    said("digest", "state", "blocking job")?;
    check(text(&page, "#title")? == "shop", "the title")?;
    page.until("it is live", || Ok(text(&page, "#link-text")? == "live"))?;
    let waiter = line(&page, "waiter")?;
    let waits = waiter["waits"].as_str().unwrap_or_default();
    check(
        waits.starts_with("held by holder · semaphore of scenes.rs:"),
        &format!("what it waits for, and who holds it: {waits}"),
    )?;
    check(waiter["level"] == "3", "it is two deep: in the run, and the group")?;

    step("a name is text, whatever it says");
    check(line(&page, MALICE)?.is_object(), "the name is there, as it is")?;
    check(page.run("return document.title", json!([]))? == "shop tasks", "nothing of it was run")?;
    let inside = page.run("return document.querySelectorAll('#tree script, #tree img').length", json!([]))?;
    check(inside == 0, "nothing of it is an element")?;

    step("what is cancelled or stuck is marked");
    said("order 1", "badge", "cancelled")?;
    said("busy", "badge", "stuck")?;
    check(
        line(&page, "busy")?["waits"].as_str().unwrap_or_default().starts_with("in one poll for"),
        "why it is stuck",
    )?;
    said("waiter", "badge", "")?;
    // On a busy machine something else may be late for a while.
    page.until("nothing else is, and so says the count", || Ok(text(&page, "[data-show=stuck] b")? == "1"))?;

    step("the tree goes on");
    scene.spawn("newcomer");
    said("newcomer", "state", "idle")?;
    scene.end("newcomer");
    page.until("`newcomer` is gone", || Ok(line(&page, "newcomer")?.is_null()))?;

    if let Some(folder) = pictures {
        page.run("document.querySelector('#tree').blur()", json!([]))?;
        open(&page, "waiter")?;
        for scheme in ["light", "dark"] {
            page.prefer(scheme)?;
            page.shot(&folder.join(format!("inspect-{scheme}.png")))?;
        }
        page.prefer("light")?;
        page.key("Escape")?;
        open(&page, "order 1")?;
        page.shot(&folder.join("inspect-cancelled.png"))?;
        page.key("Escape")?;
    }

    step("a click opens the story, with links, and Escape closes it");
    open(&page, "waiter")?;
    let story = text(&page, "#story")?;
    for part in ["Waits for", "held by holder", "spawned at", "scenes.rs:", "It is in", "shop", "Since this page looks"]
    {
        check(story.contains(part), &format!("the story tells `{part}`: {story}"))?;
    }
    page.click("#story li button.to")?;
    page.until("the story is the holder's", || Ok(text(&page, "#story h2")? == "holder"))?;
    check(text(&page, "#story")?.contains("Waited for by"), "who waits for it")?;
    page.key("Escape")?;
    page.until("the story is closed", || {
        Ok(page.run("return document.querySelector('#story').hidden", json!([]))? == true)
    })?;
    open(&page, "order 1")?;
    let story = text(&page, "#story")?;
    for part in ["Cancelled: somebody asked for it", "“the client left”", "caused at", "scenes.rs:"] {
        check(story.contains(part), &format!("the story tells `{part}`: {story}"))?;
    }
    page.key("Escape")?;

    step("a story goes on, and is kept when its task has ended");
    scene.spawn("short");
    said("short", "state", "idle")?;
    open(&page, "short")?;
    scene.end("short");
    page.until("the story tells of the end", || Ok(text(&page, "#story")?.contains("has ended")))?;
    page.key("Escape")?;

    step("the search, by each of its fields");
    page.key("/")?;
    check(page.run("return document.activeElement.id", json!([]))? == "search", "`/` leads to the search")?;
    for (query, shows, hides) in [
        ("semaphore", "waiter", "ticker"),
        ("state:cancelled", "order 1", "waiter"),
        ("stuck", "busy", "waiter"),
        ("waits:holder", "waiter", "holder"),
        ("name:TICK", "ticker", "waiter"),
        ("at:scenes.rs name:wait", "waiter", "ticker"),
        ("\"order 1\"", "order 1", "waiter"),
        ("name:\"order 1\" state:cancelled", "order 1", "waiter"),
        ("name:\"order", "order 1", "waiter"),
        ("name:ticker waits:", "ticker", "waiter"),
        ("<script>", MALICE, "waiter"),
    ] {
        page.fill("#search", query)?;
        page.until(&format!("`{query}` finds `{shows}` and not `{hides}`"), || {
            let (shown, hidden) = (line(&page, shows)?, line(&page, hides)?);
            Ok(shown["aside"] == false && (hidden.is_null() || hidden["aside"] == true))
        })?;
    }
    let id = line(&page, MALICE)?["key"].as_str().unwrap_or_default().replace('t', "#");
    page.fill("#search", &id)?;
    page.until(&format!("`{id}` finds it"), || Ok(line(&page, MALICE)?["aside"] == false))?;
    check(line(&page, "shop")?["aside"] == true, "what is around a hit stands aside")?;
    for query in ["nothing of that name", "constructor:ticker"] {
        page.fill("#search", query)?;
        page.until(&format!("`{query}` finds nothing"), || Ok(text(&page, "#empty")? == "Nothing is like that."))?;
    }
    page.key("Escape")?;
    page.until("Escape clears the search", || Ok(line(&page, "ticker")?.is_object()))?;
    page.key("Escape")?;

    step("the filters");
    page.click("[data-show=stuck]")?;
    page.until("what is stuck, alone", || Ok(line(&page, "ticker")?.is_null() && line(&page, "busy")?.is_object()))?;
    page.click("[data-show=all]")?;
    said("ticker", "state", "idle")?;

    step("the keys");
    page.run("document.querySelector('#tree').focus()", json!([]))?;
    page.key("Home")?;
    let at =
        "const at = document.getElementById(document.querySelector('#tree').getAttribute('aria-activedescendant'));
        return at && at.querySelector('.called').textContent";
    let is_at = |name: &str| page.until(&format!("the keys are at `{name}`"), || Ok(page.run(at, json!([]))? == name));
    is_at("run on tokio")?;
    page.key("ArrowDown")?;
    is_at("shop")?;
    page.key("ArrowLeft")?; // closes it
    page.until("`shop` is closed", || Ok(line(&page, "ticker")?.is_null()))?;
    page.key("ArrowRight")?; // opens it
    said("ticker", "state", "idle")?;
    page.key("ArrowRight")?; // the first inside
    is_at("inspect")?;
    page.key("ArrowLeft")?;
    page.key("ArrowLeft")?;
    is_at("shop")?;
    page.key("End")?;
    page.key("Enter")?;
    page.until("Enter opens the story", || {
        Ok(page.run("return document.querySelector('#story').hidden", json!([]))? == false)
    })?;
    page.key("Escape")?;
    page.key("n")?;
    page.until(
        "`n` leads to what is marked",
        || Ok(["busy", "order 1"].contains(&text(&page, "#story h2")?.as_str())),
    )?;
    page.key("Escape")?;
    page.key("-")?;
    page.until("`-` closes all", || Ok(line(&page, "ticker")?.is_null()))?;
    page.key("*")?;
    said("ticker", "state", "idle")?;
    page.key("p")?;
    page.until("`p` pauses", || Ok(text(&page, "#link-text")?.starts_with("paused")))?;
    page.key("p")?;
    page.until("and goes on", || Ok(text(&page, "#link-text")? == "live"))?;

    step("a reader is told what it is");
    let roles = "return [...new Set([...document.querySelectorAll('#tree, #tree [role]')].map((one) => one.getAttribute('role')))].sort().join()";
    check(page.run(roles, json!([]))? == "columnheader,gridcell,presentation,row,treegrid", "the roles")?;
    let unnamed = "return [...document.querySelectorAll('button, input, select')].filter((one) => !one.textContent.trim() && !one.getAttribute('aria-label') && !one.closest('label')).length";
    check(page.run(unnamed, json!([]))? == 0, "every control has a name")?;
    page.contrast("light")?;
    page.contrast("dark")?;

    step("the browser had nothing to say of scripts, styles or errors");
    page.has_no_complaints()
}

/// Opens the story of a task by a click on its name.
fn open(page: &Browser, name: &str) -> Result<()> {
    let id = line(page, name)?["id"].as_str().map(str::to_owned).ok_or_else(|| format!("no line of `{name}`"))?;
    page.click(&format!("[id='{id}'] .called"))?;
    page.until(&format!("the story of `{name}` is open"), || Ok(text(page, "#story h2")? == name))
}

fn text(page: &Browser, selector: &str) -> Result<String> {
    Ok(page.run(TEXT, json!([selector]))?.as_str().unwrap_or_default().to_owned())
}

/// What an update of ten thousand tasks costs. How long it takes is printed, for people: a machine may be busy.
fn measure(address: SocketAddr, pictures: Option<&Path>) -> Result<()> {
    step("ten thousand tasks");
    let page = Browser::open(&format!("http://{address}/"))?;
    let data = |key: &str| -> Result<f64> {
        let value = page.run("return document.documentElement.dataset[arguments[0]]", json!([key]))?;
        Ok(value.as_str().unwrap_or("0").parse()?)
    };
    let mut took = Vec::new();
    for update in 1..=12 {
        page.until("another update", || Ok(data("updates")? >= f64::from(update)))?;
        took.push(data("updateMs")?);
    }
    took.sort_by(f64::total_cmp);
    println!(
        "   {} bytes; script for an update: median {} ms, longest {} ms; {} KiB of heap",
        data("updateBytes")?,
        took[took.len() / 2],
        took[took.len() - 1],
        page.run("return Math.round(performance.memory.usedJSHeapSize / 1024)", json!([]))?,
    );
    let count = page
        .run("return Number(document.querySelector('[data-show=all] b').textContent.replaceAll(',', ''))", json!([]))?;
    check(count.as_u64().is_some_and(|count| count > 10_000), &format!("all of them are counted: {count}"))?;
    let drawn = page.run("return document.querySelectorAll('#rows .row').length", json!([]))?;
    check(drawn.as_u64().is_some_and(|drawn| drawn < 100), &format!("only what is on the screen is drawn: {drawn}"))?;
    page.key("End")?;
    page.until("the last is there", || {
        Ok(line(&page, "request 999")?.is_object() || line(&page, "part 8 of 999")?.is_object())
    })?;
    page.key("/")?;
    // As one: each of the words for itself stands in the numbers and the times of others as well.
    page.fill("#search", "\"part 7 of 512\"")?;
    page.until("one in ten thousand is found", || Ok(line(&page, "part 7 of 512")?["aside"] == false))?;
    check(text(&page, "#count")?.starts_with("1 of "), "and no other is")?;
    page.until("the search costs no more", || Ok(data("updates")? > 16.0))?;
    println!("   with a search: {} ms", data("updateMs")?);
    page.key("Escape")?;
    page.key("Escape")?;
    page.key("Home")?;
    if let Some(folder) = pictures {
        page.run("document.querySelector('#tree').scrollTop = 28 * 4000", json!([]))?;
        for scheme in ["light", "dark"] {
            page.prefer(scheme)?;
            page.shot(&folder.join(format!("inspect-10000-{scheme}.png")))?;
        }
    }
    page.has_no_complaints()
}

fn step(what: &str) {
    println!("-- {what}");
}

fn check(is_so: bool, what: &str) -> Result<()> {
    if is_so { Ok(()) } else { Err(format!("not so: {what}").into()) }
}
