//! Laws 18 to 20: errors and panics.
