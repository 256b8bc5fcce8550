//! Laws 21 to 23: gathers and races.
