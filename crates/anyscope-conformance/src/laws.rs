//! The laws' numbers and short names.

/// Every law: its number, which is for ever, and the name under which `docs/laws.md` tells what it promises.
///
/// # Examples
///
/// ```
/// let (number, name) = anyscope_conformance::LAWS[0];
/// assert_eq!((number, name), (1, "Join"));
/// ```
pub const LAWS: &[(u8, &str)] = &[
    (1, "Join"),
    (2, "Drop means it"),
    (3, "Adoption"),
    (4, "Forget"),
    (5, "Late spawns"),
    (6, "Never inside `spawn`"),
    (7, "Requests"),
    (8, "Reach"),
    (9, "No further poll"),
    (10, "Nothing finished is lost"),
    (11, "Who reports"),
    (12, "Shield"),
    (13, "Reasons"),
    (14, "The group's part"),
    (15, "Timeouts"),
    (16, "Deadlines"),
    (17, "Sleeps"),
    (18, "First error"),
    (19, "Panics"),
    (20, "Clean-up"),
    (21, "Order and bounds"),
    (22, "Never snooze"),
    (23, "Wakes"),
    (24, "FIFO"),
    (25, "Conservation"),
    (26, "Told at once"),
    (27, "Accepted jobs"),
    (28, "Inside a job"),
    (29, "The same everywhere"),
    (30, "A runtime that goes away"),
    (31, "A good guest"),
    (32, "The simulator"),
];
