//! Laws 15 to 17: deadlines and sleeps.
