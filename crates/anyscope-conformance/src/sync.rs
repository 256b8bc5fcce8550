//! Laws 24 to 26: permits.
