//! Laws 27 and 28: work that blocks a thread.
