//! The example `checksum`, as a process: what it prints, what it says, and how it ends.
//!
//! The limits and the files that this leans on are those of Linux: paths of at most 4096 bytes, names of any bytes,
//! `/proc`.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

const RUNTIMES: [&str; 4] = ["tokio", "tokio-current-thread", "smol", "async-std"];

/// SHA-256 of nothing, and of `abc`: from the standard, not from the crate that the example uses too.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn every_name_is_printed_as_sha256sum_prints_it() {
    // The bytes of the name, and what stands in the line: in the order of the names.
    const NAMES: [(&[u8], &[u8]); 12] = [
        (b" leading", b"  ./ leading"),
        (b"'quoted\"", b"  ./'quoted\""),
        (b"*", b"  ./*"),
        (b"-dash", b"  ./-dash"),
        (b"\\back\\slash", br"  ./\\back\\slash"),
        (b"carriage\rreturn", br"  ./carriage\rreturn"),
        (b"in the middle", b"  ./in the middle"),
        (b"new\nline", br"  ./new\nline"),
        (b"tab\t", b"  ./tab\t"),
        (b"trailing ", b"  ./trailing "),
        ("\u{fc}".as_bytes(), b"  ./\xc3\xbc"),
        (b"\xff\xfe", b"  ./\xff\xfe"),
    ];
    let tree = Tree::new();
    for (name, _) in NAMES {
        tree.file(OsStr::from_bytes(name), b"abc");
    }

    let ended = tree.checksum(["."]).run();

    let mut expected = Vec::new();
    for (name, printed) in NAMES {
        if name.iter().any(|byte| b"\\\n\r".contains(byte)) {
            expected.push(b'\\');
        }
        expected.extend(OF_ABC.as_bytes());
        expected.extend(printed);
        expected.push(b'\n');
    }
    assert_eq!(ended.stdout.escape_ascii().to_string(), expected.escape_ascii().to_string());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    tree.verify(&ended.stdout);
}

#[test]
fn every_runtime_gives_the_same_lines_and_the_digests_are_right() {
    let tree = Tree::new();
    let mut expected = String::new();
    // Around the ends of the chunks that a file is read in, and far beyond one.
    for (n, size) in [0, 1, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 5_000_001].into_iter().enumerate() {
        let bytes: Vec<u8> = (0..size).map(|at: usize| (at.wrapping_mul(2_654_435_761) >> 16) as u8).collect();
        tree.file(format!("{n}/of {size}"), &bytes);
        expected += &format!("{:x}  ./{n}/of {size}\n", Sha256::digest(&bytes));
    }
    for n in 0..300 {
        tree.file(format!("many/{n:03}"), b"");
        expected += &format!("{OF_NOTHING}  ./many/{n:03}\n");
    }

    for runtime in RUNTIMES.into_iter().chain(["all"]) {
        for limit in ["1", "3", "400"] {
            let ended = tree.checksum([".", "--runtime", runtime, "--limit", limit]).run();
            assert_eq!(ended.stdout(), expected, "on {runtime}, {limit} at a time");
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        }
    }
    tree.verify(expected.as_bytes());
}

#[test]
fn the_table_compares_the_runtimes_by_the_digest_of_what_is_printed() {
    let tree = Tree::new();
    tree.file("a", b"abc");
    tree.file("b", b"");

    let ended = tree.checksum(["."]).run();

    let digest = format!("{:x}", Sha256::digest(&ended.stdout));
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2 + RUNTIMES.len(), "a heading, a row each, a verdict, and no progress: {lines:?}");
    for (line, runtime) in lines[1..].iter().zip(RUNTIMES) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((cells[0], cells[1], cells[2], cells[4]), (runtime, "2", "3", &*digest));
    }
    assert!(lines[5].starts_with("all equal"), "{lines:?}");
    assert!(!ended.stderr.contains(['\r', '\u{1b}']), "a progress bar in a pipe: {:?}", ended.stderr);
}

#[test]
fn runtimes_that_differ_are_told_with_the_first_path_and_no_lines() {
    // A regular file, and another one each time that it is read.
    let ended = Tree::new().checksum(["/proc/sys/kernel/random/uuid"]).run();

    assert_eq!((ended.stdout(), ended.code), ("", Some(1)), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("not equal: tokio and tokio-current-thread differ")
            && ended.stderr.contains("/proc/sys/kernel/random/uuid"),
        "{}",
        ended.stderr
    );
}

#[test]
fn links_and_pipes_in_a_tree_are_left_out_and_a_link_as_the_path_is_followed() {
    let tree = Tree::new();
    tree.file("real/a", b"abc");
    symlink(".", tree.path("real/loop")).unwrap();
    symlink("../real", tree.path("real/up")).unwrap();
    symlink("a", tree.path("real/link")).unwrap();
    symlink("nowhere", tree.path("real/dangling")).unwrap();
    tree.pipe("real/pipe");
    symlink("real", tree.path("entrance")).unwrap();

    let ended = tree.checksum(["entrance"]).run();

    assert_eq!((ended.stdout(), ended.code), (&*format!("{OF_ABC}  entrance/a\n"), Some(0)), "{}", ended.stderr);
}

#[test]
fn a_single_file_works_too() {
    let tree = Tree::new();
    tree.file("a", b"abc");
    // `sha256sum -c` would take a bare `-` for its standard input.
    tree.file("-", b"");
    for (path, line) in [("a", format!("{OF_ABC}  a\n")), ("-", format!("{OF_NOTHING}  ./-\n"))] {
        let ended = tree.checksum([path]).run();
        assert_eq!((ended.stdout(), ended.code), (&*line, Some(0)), "{}", ended.stderr);
    }
}

#[test]
fn an_empty_directory_gives_no_lines() {
    let ended = Tree::new().checksum(["."]).run();
    assert_eq!((ended.stdout(), ended.code), ("", Some(0)), "{}", ended.stderr);
}

#[test]
fn only_without_a_path_are_target_and_git_skipped_and_only_at_the_top() {
    let tree = Tree::new();
    for name in [".git/config", "member/target/kept", "src", "target/debug"] {
        tree.file(name, b"abc");
    }
    let names = |stdout: &str| -> Vec<String> { stdout.lines().map(|line| line[66..].to_owned()).collect() };

    let default = tree.checksum::<[&str; 0]>([]).run();
    let explicit = tree.checksum(["."]).run();

    assert_eq!(names(default.stdout()), ["./member/target/kept", "./src"]);
    assert_eq!(names(explicit.stdout()), ["./.git/config", "./member/target/kept", "./src", "./target/debug"]);
}

#[test]
fn what_is_out_of_reach_is_told_once_and_the_rest_goes_on() {
    let tree = Tree::new();
    tree.file("a", b"abc");
    tree.out_of_reach("m-directory", |path| fs::create_dir(path).unwrap());
    tree.out_of_reach("n-file", |path| fs::write(path, "unread").unwrap());
    tree.file("z", b"");

    let ended = tree.checksum(["."]).run();

    assert_eq!((ended.stdout(), ended.code), (&*format!("{OF_ABC}  ./a\n{OF_NOTHING}  ./z\n"), Some(1)));
    for name in ["m-directory", "n-file"] {
        let told: Vec<&str> = ended.stderr.lines().filter(|line| line.contains(name)).collect();
        assert_eq!(told.len(), 1, "{}", ended.stderr);
        assert!(told[0].contains("File name too long"), "{told:?}");
    }
    assert!(ended.stderr.contains("all equal"), "{}", ended.stderr);
}

#[test]
fn what_is_forbidden_is_told_and_the_rest_goes_on() {
    let tree = Tree::new();
    tree.file("a", b"abc");
    tree.file("forbidden-directory/inside", b"");
    tree.file("forbidden-file", b"");
    for name in ["forbidden-directory", "forbidden-file"] {
        fs::set_permissions(tree.path(name), Permissions::from_mode(0o000)).unwrap();
    }

    let mut command = tree.checksum(["."]);
    // To root nothing is forbidden; so somebody else has to try.
    if fs::read_dir(tree.path("forbidden-directory")).is_ok() {
        command.0.uid(65534).gid(65534);
    }
    let ended = match command.try_start() {
        Ok(running) => running.end(),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            eprintln!("not tried: nobody else may run the example where it was built");
            return;
        }
        Err(error) => panic!("{error}"),
    };

    assert_eq!((ended.stdout(), ended.code), (&*format!("{OF_ABC}  ./a\n"), Some(1)), "{}", ended.stderr);
    for name in ["\"./forbidden-directory\": Permission denied", "\"./forbidden-file\": Permission denied"] {
        assert_eq!(ended.stderr.matches(name).count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_file_that_vanishes_after_the_walk_is_told_and_the_rest_goes_on() {
    let tree = Tree::new();
    let endless = tree.endless("a-endless");
    tree.file("b-vanishing", b"");
    tree.file("c", b"abc");
    tree.out_of_reach("z", |path| fs::create_dir(path).unwrap());

    // One at a time: while the first is read, the second hasn't been opened.
    let mut running = tree.checksum([".", "--limit", "1", "--runtime", "smol"]).start();
    // The last of the walk, so that the walk has seen all the rest.
    running.wait_for("File name too long");
    fs::remove_file(tree.path("b-vanishing")).unwrap();
    endless.set_len(0).unwrap();
    let ended = running.end();

    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("\"./b-vanishing\": No such file"), "{}", ended.stderr);
    assert!(ended.stdout().ends_with(&format!("  ./a-endless\n{OF_ABC}  ./c\n")), "{}", ended.stdout());
}

#[test]
fn fail_fast_ends_what_is_under_way() {
    let tree = Tree::new();
    let _endless = tree.endless("a-endless");
    tree.out_of_reach("z", |path| fs::write(path, "unread").unwrap());

    for runtime in RUNTIMES {
        // Were the endless file not given up, this would not end.
        let ended = tree.checksum([".", "--fail-fast", "--limit", "2", "--runtime", runtime]).run();
        assert_eq!((ended.stdout(), ended.code), ("", Some(1)), "on {runtime}: {}", ended.stderr);
        assert!(ended.stderr.contains("File name too long"), "on {runtime}: {}", ended.stderr);
    }
}

#[test]
fn fail_fast_ends_the_walk_too() {
    let tree = Tree::new();
    let _endless = tree.endless("a-endless");
    tree.out_of_reach("b", |path| fs::create_dir(path).unwrap());

    let ended = tree.checksum([".", "--fail-fast"]).run();

    assert_eq!((ended.stdout(), ended.code), ("", Some(1)), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn a_timeout_ends_it_with_124_and_no_lines() {
    let tree = Tree::new();
    tree.file("a", b"abc");
    let _endless = tree.endless("endless");
    for runtime in RUNTIMES {
        for limit in ["1ns", "50ms"] {
            let ended = tree.checksum([".", "--timeout", limit, "--runtime", runtime]).run();
            assert_eq!((ended.stdout(), ended.code), ("", Some(124)), "on {runtime}: {}", ended.stderr);
            assert!(ended.stderr.contains(&format!("timed out on {runtime} after {limit}")), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_timeout_that_is_long_enough_changes_nothing() {
    let tree = Tree::new();
    tree.file("a", b"abc");
    let ended = tree.checksum([".", "--timeout", "2m"]).run();
    assert_eq!((ended.stdout(), ended.code), (&*format!("{OF_ABC}  ./a\n"), Some(0)), "{}", ended.stderr);
}

#[test]
fn ctrl_c_ends_what_is_under_way_with_130_and_no_lines() {
    let tree = Tree::new();
    let _endless = tree.endless("endless");
    tree.out_of_reach("z", |path| fs::create_dir(path).unwrap());

    let started = RUNTIMES.map(|runtime| tree.checksum([".", "--runtime", runtime]).start());
    for (mut running, runtime) in started.into_iter().zip(RUNTIMES) {
        running.wait_for("File name too long");
        running.interrupt();
        let ended = running.end();
        assert_eq!((ended.stdout(), ended.code), ("", Some(130)), "on {runtime}: {}", ended.stderr);
        assert!(ended.stderr.contains("interrupted by Ctrl-C"), "on {runtime}: {}", ended.stderr);
    }
}

#[test]
fn ctrl_c_leaves_a_read_that_never_returns() {
    let tree = Tree::new();
    let started = RUNTIMES.map(|runtime| {
        tree.pipe(runtime);
        tree.checksum([runtime, "--runtime", runtime]).start()
    });
    // A pipe can be opened for writing when it has been opened for reading.
    let writers = RUNTIMES.map(|runtime| open_for_writing(tree.path(runtime)));
    for (running, runtime) in started.into_iter().zip(RUNTIMES) {
        running.interrupt();
        let ended = running.end();
        assert_eq!((ended.stdout(), ended.code), ("", Some(130)), "on {runtime}: {}", ended.stderr);
        assert!(ended.stderr.contains("interrupted by Ctrl-C"), "on {runtime}: {}", ended.stderr);
    }
    drop(writers);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_output_quietly() {
    let tree = Tree::new();
    // More than a pipe takes in before it is read.
    for n in 0..2000 {
        tree.file(format!("{n:04}"), b"abc");
    }
    let mut running = tree.checksum([".", "--runtime", "smol"]).start();

    let mut line = String::new();
    let mut stdout = BufReader::new(running.child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    let ended = running.end();

    assert_eq!(line, format!("{OF_ABC}  ./0000\n"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 3, "the table and nothing else: {}", ended.stderr);
}

#[test]
fn a_full_disk_is_told() {
    let tree = Tree::new();
    tree.file("a", b"abc");
    let mut command = tree.checksum(["."]);
    command.0.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());

    let ended = command.run();

    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("standard output: No space left"), "{}", ended.stderr);
}

#[test]
fn wrong_arguments_are_told_with_2_and_no_lines() {
    let tree = Tree::new();
    tree.file("a", b"abc");
    let wrong: [(&[&str], &str); 8] = [
        (&["--limit", "0"], "--limit"),
        (&["--limit", "many"], "--limit"),
        (&["--runtime", "glommio"], "tokio-current-thread"),
        (&["--timeout", "5"], "unit"),
        (&["--timeout", "soon"], "--timeout"),
        (&["--quick"], "--quick"),
        (&["a", "a"], "unexpected argument"),
        (&["no/such/path"], "\"no/such/path\": No such file"),
    ];
    for (args, message) in wrong {
        let ended = tree.checksum(args).run();
        assert_eq!((ended.stdout(), ended.code), ("", Some(2)), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(message), "{args:?}: {}", ended.stderr);
    }
}

/// A directory to read, gone when this is dropped.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("checksum-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    fn file(&self, name: impl AsRef<Path>, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A file that takes hours to read and no room on the disk.
    fn endless(&self, name: &str) -> File {
        let file = File::create(self.path(name)).unwrap();
        file.set_len(1 << 40).unwrap();
        file
    }

    fn pipe(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }

    /// Makes something so far below `name` that its path is too long to open it by: for root, too.
    fn out_of_reach(&self, name: &str, make: impl FnOnce(&Path)) {
        let long = "x".repeat(200);
        let half = |top: &Path| {
            let bottom = (0..9).fold(top.to_owned(), |path, _| path.join(&long));
            fs::create_dir_all(&bottom).unwrap();
            bottom
        };
        let lower = self.path(&long);
        make(&half(&lower).join(&long));
        let upper = half(&self.path(name).join(&long));
        fs::rename(&lower, upper.join(&long)).unwrap();
    }

    /// The example, to be run in this directory.
    fn checksum<A: IntoIterator<Item: AsRef<OsStr>>>(&self, args: A) -> Checksum {
        let mut command = Command::new(binary());
        command.args(args).current_dir(&self.0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Checksum(command)
    }

    /// Has `sha256sum`, where that is GNU's, check every line.
    fn verify(&self, lines: &[u8]) {
        let version = Command::new("sha256sum").arg("--version").output();
        if !version.is_ok_and(|version| version.stdout.starts_with(b"sha256sum (GNU coreutils)")) {
            eprintln!("not checked by GNU's sha256sum, which isn't here");
            return;
        }
        let mut command = Command::new("sha256sum");
        command.args(["--check", "--strict", "--quiet"]).current_dir(&self.0).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        if !thread::panicking() {
            removed.unwrap();
        }
    }
}

/// Cargo builds the examples of a package with its tests, next to them; but not with a single test that is picked.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join("examples/checksum");
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let built = modified(&binary).expect("the example isn't built: `cargo build --examples` does that");
    for source in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/checksum")).unwrap() {
        let changed = modified(&source.unwrap().path()).unwrap();
        assert!(changed <= built, "the example is older than its source: `cargo build --examples` builds it");
    }
    binary
}

struct Checksum(Command);

impl Checksum {
    fn run(self) -> Ended {
        self.start().end()
    }

    fn start(self) -> Running {
        self.try_start().unwrap()
    }

    fn try_start(mut self) -> std::io::Result<Running> {
        let mut child = self.0.spawn()?;
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let watchdog = watch(&child);
        Ok(Running { child, stderr, said: String::new(), watchdog })
    }
}

/// How long anything may take: far more than it needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kills a process that doesn't end, so that the test fails instead of hanging.
fn watch(child: &Child) -> Sender<()> {
    let pid = child.id();
    let (ended, watched) = mpsc::channel();
    thread::spawn(move || {
        if watched.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            signal("-KILL", pid);
        }
    });
    ended
}

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

fn open_for_writing(pipe: PathBuf) -> File {
    let (sender, opened) = mpsc::channel();
    thread::spawn(move || sender.send(OpenOptions::new().write(true).open(pipe)));
    opened.recv_timeout(PATIENCE).expect("nobody reads the pipe").unwrap()
}

struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
    watchdog: Sender<()>,
}

impl Running {
    /// Reads standard error up to a line with this in it.
    fn wait_for(&mut self, text: &str) {
        while !self.said.contains(text) {
            assert!(self.stderr.read_line(&mut self.said).unwrap() > 0, "it ended without {text:?}: {}", self.said);
        }
    }

    fn interrupt(&self) {
        signal("-INT", self.child.id());
    }

    fn end(self) -> Ended {
        let Self { mut child, mut stderr, mut said, watchdog } = self;
        let rest = thread::spawn(move || {
            stderr.read_to_string(&mut said).unwrap();
            said
        });
        let mut stdout = Vec::new();
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_end(&mut stdout).unwrap();
        }
        let stderr = rest.join().unwrap();
        let code = child.wait().unwrap().code();
        drop(watchdog);
        assert!(!stderr.contains("panicked"), "{stderr}");
        Ended { stdout, stderr, code }
    }
}

struct Ended {
    stdout: Vec<u8>,
    stderr: String,
    /// `None` where a signal ended it.
    code: Option<i32>,
}

impl Ended {
    fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}
