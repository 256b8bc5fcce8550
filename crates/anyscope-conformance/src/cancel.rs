//! Laws 7 to 13: requests, reasons and who reports.
