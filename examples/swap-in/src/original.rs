//! As it was written.

use ::{tokio, tokio_util};

/// Runs each of the application's tests by tokio's own attribute.
#[cfg(test)]
macro_rules! tests {
    ($($test:ident,)*) => {$(
        mod $test {
            use super::tokio;

            #[tokio::test]
            async fn original() {
                super::$test().await;
            }
        }
    )*};
}

#[path = "app.rs"]
pub(crate) mod app;
