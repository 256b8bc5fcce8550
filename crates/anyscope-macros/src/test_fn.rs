//! `#[anyscope::test]`.

use crate::attributes::{self, Placed};
use crate::duration;
use crate::function::Function;
use crate::options::{Options, Setting};
use crate::runtime::{Enabled, Runtime, cargo_line, list, not_enabled};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use std::time::Duration;
use syn::spanned::Spanned as _;
use syn::{Error, LitStr, Path, Result, parse_quote};

const KNOWN: [&str; 6] = ["runtimes", "except", "seeds", "seed", "timeout", "crate"];

/// What a test was asked to be.
struct Test {
    runtimes: Vec<Runtime>,
    seeds: Option<(u64, u64)>,
    timeout: Option<(LitStr, Duration)>,
    anyscope: Path,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream, enabled: Enabled) -> TokenStream {
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => return [item, error.into_compile_error()].into_iter().collect(),
    };
    let test = function.check("a test").and_then(|()| {
        let placed = attributes::place(&function.attributes)?;
        Ok((placed, read(arguments, enabled)?))
    });
    match test {
        Ok((placed, test)) => test.of(&function, &placed),
        Err(error) => [function.remains_of_test(), error.into_compile_error()].into_iter().collect(),
    }
}

impl Test {
    /// The function where it was, and a module of its name with a test for each runtime: the two don't collide, since
    /// functions and modules have names of their own kinds.
    fn of(&self, function: &Function, placed: &Placed) -> TokenStream {
        let Function { visibility, signature, .. } = function;
        let (name, bare) = (&signature.ident, function.bare());
        let Placed { on_function, on_module, .. } = placed;
        // A path may start from where the attribute stands, and not only from a crate.
        let is_absolute = self.anyscope.leading_colon.is_some() || self.anyscope.segments[0].ident == "crate";
        let around = (!is_absolute).then(|| {
            quote!(
                #[allow(unused_imports)]
                use super::*;
            )
        });
        let tests = self.runtimes.iter().map(|runtime| self.on(*runtime, function, placed));
        quote! {
            #[cfg(test)]
            #(#on_function)*
            #[allow(clippy::unused_async)]
            #visibility #bare

            #[cfg(test)]
            #(#on_module)*
            mod #name {
                #around
                #(#tests)*
            }
        }
    }

    fn on(&self, runtime: Runtime, function: &Function, placed: &Placed) -> TokenStream {
        let name = &function.signature.ident;
        let test = Ident::new(runtime.name(), Span::call_site().located_at(name.span()));
        let on_tests = &placed.on_tests;
        let future = self.future(name);
        let anyscope = &self.anyscope;
        // What is returned is named in another module, so not again here; std asks a test for no more than this.
        let returned = function.returns_something().then(|| {
            let span = Span::call_site().located_at(function.signature.output.span());
            quote_spanned!(span=> -> impl ::std::process::Termination)
        });
        let (returned, body) = match runtime {
            Runtime::Sim => (None, self.simulated(&future, placed.should_panic, returned.is_some())),
            _ => {
                let value = runtime.value(anyscope);
                (returned, quote!(#anyscope::run(#value, #future)))
            }
        };
        quote! {
            #[::core::prelude::v1::test]
            #(#on_tests)*
            fn #test() #returned {
                #body
            }
        }
    }

    /// The test as a future, which panics at the line of its timeout when that has passed.
    fn future(&self, name: &Ident) -> TokenStream {
        let Some((literal, timeout)) = &self.timeout else { return quote!(super::#name()) };
        let anyscope = &self.anyscope;
        let (seconds, nanoseconds) = (timeout.as_secs(), timeout.subsec_nanos());
        let message = format!("the test `{name}` took longer than {}", literal.value());
        let message = message.replace('{', "{{").replace('}', "}}");
        let span = Span::call_site().located_at(literal.span());
        let too_long = quote_spanned!(span=> ::core::panic!(#message));
        quote! {
            async {
                match #anyscope::timeout(::core::time::Duration::new(#seconds, #nanoseconds), super::#name()).await {
                    ::core::result::Result::Ok(output) => output,
                    ::core::result::Result::Err(_) => #too_long,
                }
            }
        }
    }

    /// The test on a simulator for each seed. One that returns something fails where that is an error, so that the seed is
    /// known.
    fn simulated(&self, future: &TokenStream, should_panic: bool, returns_something: bool) -> TokenStream {
        let anyscope = &self.anyscope;
        let seeds = match self.seeds {
            Some((first, after)) => quote!(::core::option::Option::Some(#first..#after)),
            None => quote!(::core::option::Option::None),
        };
        let program = if returns_something {
            quote! {
                || async {
                    #[allow(unused_imports)]
                    use #anyscope::__macros::AssertSuccess as _;
                    #anyscope::__macros::Returned(#future.await).assert_success()
                }
            }
        } else {
            quote!(|| #future)
        };
        let simulate = if should_panic { quote!(simulate_until_a_panic) } else { quote!(simulate) };
        quote!(#anyscope::__macros::#simulate(#seeds, #program))
    }
}

fn read(arguments: TokenStream, enabled: Enabled) -> Result<Test> {
    let Options(settings) = syn::parse2(arguments)?;
    let mut test = Test { runtimes: Vec::new(), seeds: None, timeout: None, anyscope: parse_quote!(::anyscope) };
    let (mut narrowed, mut seeded) = (None::<Ident>, None::<Ident>);
    for setting in settings {
        match setting.name.to_string().as_str() {
            "runtimes" | "except" => {
                if let Some(other) = &narrowed {
                    let message = format!("there is `{other}` already: say what it runs on by one of them");
                    return Err(Error::new(setting.name.span(), message));
                }
                test.runtimes =
                    if setting.name == "runtimes" { only(&setting, enabled)? } else { but(&setting, enabled)? };
                narrowed = Some(setting.name);
            }
            "seeds" | "seed" => {
                if let Some(other) = &seeded {
                    let message = format!("there is `{other}` already: `seed = 7` is one seed, `seeds = 7` are seven");
                    return Err(Error::new(setting.name.span(), message));
                }
                test.seeds = Some(if setting.name == "seeds" { many(&setting)? } else { one(&setting)? });
                seeded = Some(setting.name);
            }
            "timeout" => {
                let literal = setting.text("timeout = \"5s\"")?;
                test.timeout = Some((literal.clone(), duration::parse(&literal)?));
            }
            "crate" => test.anyscope = setting.path()?,
            _ => return Err(setting.unknown(&KNOWN)),
        }
    }
    if narrowed.is_none() {
        test.runtimes = enabled.all().collect();
    }
    if test.runtimes.is_empty() {
        let message = format!(
            "no runtime is compiled in, so there is nothing to test on: enable some in Cargo.toml; a library does so below \
             `[dev-dependencies]`, as in `{}`",
            cargo_line(&["tokio", "smol", "async-std", "sim"]),
        );
        return Err(Error::new(narrowed.map_or_else(Span::call_site, |narrowed| narrowed.span()), message));
    }
    match seeded {
        Some(seeded) if !test.runtimes.contains(&Runtime::Sim) => {
            let message = if enabled.sim {
                format!("`{seeded}` is for the simulator, which this test doesn't run on: remove it, or let in `sim`")
            } else {
                format!("`{seeded}` is for the simulator; {}", not_enabled(Runtime::Sim))
            };
            Err(Error::new(seeded.span(), message))
        }
        _ => Ok(test),
    }
}

/// The runtimes that are listed, and no other.
fn only(setting: &Setting, enabled: Enabled) -> Result<Vec<Runtime>> {
    let mut runtimes = Vec::new();
    for name in setting.names("runtimes(tokio, smol)")? {
        let runtime = known(name)?;
        if runtimes.contains(&runtime) {
            return Err(Error::new(name.span(), format!("`{name}` is listed twice: remove one")));
        }
        if !enabled.has(runtime) {
            return Err(Error::new(name.span(), not_enabled(runtime)));
        }
        runtimes.push(runtime);
    }
    Ok(runtimes)
}

/// The runtimes that are compiled in, but for those listed.
fn but(setting: &Setting, enabled: Enabled) -> Result<Vec<Runtime>> {
    let mut runtimes: Vec<Runtime> = enabled.all().collect();
    for name in setting.names("except(sim)")? {
        let runtime = known(name)?;
        runtimes.retain(|other| *other != runtime);
    }
    if runtimes.is_empty() && enabled.all().next().is_some() {
        let message = format!("no runtime is left to test on: there are {}", list(enabled.all()));
        return Err(Error::new(setting.name.span(), message));
    }
    Ok(runtimes)
}

fn known(name: &Ident) -> Result<Runtime> {
    let unknown = || Error::new(name.span(), format!("unknown runtime `{name}`: there are {}", list(Runtime::ALL)));
    Runtime::named(&name.to_string()).ok_or_else(unknown)
}

fn many(setting: &Setting) -> Result<(u64, u64)> {
    match setting.number("seeds = 100")? {
        (0, number) => Err(Error::new(number.span(), "a test with no seed isn't run: say one at least")),
        (seeds, _) => Ok((0, seeds)),
    }
}

fn one(setting: &Setting) -> Result<(u64, u64)> {
    let (seed, number) = setting.number("seed = 7")?;
    let after =
        seed.checked_add(1).ok_or_else(|| Error::new(number.span(), "this is the one number that is no seed"))?;
    Ok((seed, after))
}
