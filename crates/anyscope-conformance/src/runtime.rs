//! Laws 29 to 31: runtimes, and what they have in common.
