//! The runtimes that an attribute can name, and which of them are compiled in.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Path;

/// What a test or a program can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Tokio,
    TokioCurrentThread,
    Smol,
    AsyncStd,
    Sim,
}

impl Runtime {
    /// All of them, in the order in which they are listed to users.
    pub(crate) const ALL: [Self; 5] = [Self::Tokio, Self::TokioCurrentThread, Self::Smol, Self::AsyncStd, Self::Sim];

    /// The name in an attribute, and of the test.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::TokioCurrentThread => "tokio_current_thread",
            Self::Smol => "smol",
            Self::AsyncStd => "async_std",
            Self::Sim => "sim",
        }
    }

    /// Finds a runtime by its name. Who writes `async-std` as its feature and its package are written is understood.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.into_iter().find(|runtime| runtime.name() == name)
    }

    /// The feature of `anyscope` that adds it.
    pub(crate) fn feature(self) -> &'static str {
        match self {
            Self::Tokio | Self::TokioCurrentThread => "tokio",
            Self::Smol => "smol",
            Self::AsyncStd => "async-std",
            Self::Sim => "sim",
        }
    }

    /// The expression that makes one.
    pub(crate) fn value(self, anyscope: &Path) -> TokenStream {
        match self {
            Self::Tokio => quote!(#anyscope::tokio::Tokio::new()),
            Self::TokioCurrentThread => quote!(#anyscope::tokio::Tokio::current_thread()),
            Self::Smol => quote!(#anyscope::smol::Smol::new()),
            Self::AsyncStd => quote!(#anyscope::async_std::AsyncStd::new()),
            Self::Sim => quote!(#anyscope::sim::Sim::new()),
        }
    }
}

/// The runtimes that are compiled into `anyscope`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Enabled {
    pub(crate) tokio: bool,
    pub(crate) smol: bool,
    pub(crate) async_std: bool,
    pub(crate) sim: bool,
}

impl Enabled {
    /// Those of this build.
    pub(crate) const HERE: Self = Self {
        tokio: cfg!(feature = "tokio"),
        smol: cfg!(feature = "smol"),
        async_std: cfg!(feature = "async-std"),
        sim: cfg!(feature = "sim"),
    };

    pub(crate) fn has(self, runtime: Runtime) -> bool {
        match runtime {
            Runtime::Tokio | Runtime::TokioCurrentThread => self.tokio,
            Runtime::Smol => self.smol,
            Runtime::AsyncStd => self.async_std,
            Runtime::Sim => self.sim,
        }
    }

    pub(crate) fn all(self) -> impl Iterator<Item = Runtime> {
        Runtime::ALL.into_iter().filter(move |runtime| self.has(*runtime))
    }
}

/// The line of a Cargo.toml that enables these features.
pub(crate) fn cargo_line(features: &[&str]) -> String {
    let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    format!("anyscope = {{ version = \"{version}\", features = {features:?} }}")
}

/// Says that a runtime isn't compiled in, and what to do about it.
pub(crate) fn not_enabled(runtime: Runtime) -> String {
    format!(
        "`{}` isn't compiled in: enable the feature `{}` of `anyscope` in Cargo.toml, as in `{}`",
        runtime.name(),
        runtime.feature(),
        cargo_line(&[runtime.feature()]),
    )
}

/// Names, as a list in a message.
pub(crate) fn list(runtimes: impl IntoIterator<Item = Runtime>) -> String {
    let names: Vec<String> = runtimes.into_iter().map(|runtime| format!("`{}`", runtime.name())).collect();
    names.join(", ")
}
