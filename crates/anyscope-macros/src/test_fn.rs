//! `#[anyscope::test]`.

use crate::attributes::{self, Placed};
use crate::duration;
use crate::function::Function;
use crate::options::{Options, Setting};
use crate::runtime::{Enabled, Runtime, cargo_line, list, not_enabled};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use std::ops::Range;
use std::time::Duration;
use syn::spanned::Spanned as _;
use syn::{Error, LitStr, Path, Result, parse_quote};

const KNOWN: [&str; 6] = ["runtimes", "except", "seeds", "seed", "timeout", "crate"];

/// What stands in the brackets.
struct Asked {
    narrowed: Option<Narrowed>,
    /// The name of the option, and the seeds.
    seeds: Option<(Ident, Range<u64>)>,
    timeout: Option<(LitStr, Duration)>,
    anyscope: Path,
}

/// On what a test is to run, where it says so.
struct Narrowed {
    option: Ident,
    listed: Vec<(Ident, Runtime)>,
}

/// The tests to make.
struct Test {
    runtimes: Vec<Runtime>,
    asked: Asked,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream, enabled: Enabled) -> TokenStream {
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => return [item, error.into_compile_error()].into_iter().collect(),
    };
    let (placed, asked) = match read_all(&function, arguments) {
        Ok(read) => read,
        Err(error) => return [function.remains_of_test(), error.into_compile_error()].into_iter().collect(),
    };
    match choose(&asked, enabled) {
        Ok(runtimes) => Test { runtimes, asked }.of(&function, &placed),
        // Not for a build without tests: a library's runtimes are there for its tests alone.
        Err(error) => {
            let (remains, error) = (function.remains_of_test(), error.into_compile_error());
            let conditions = &placed.conditions;
            quote!(#[cfg(test)] #(#conditions)* #remains #[cfg(test)] #(#conditions)* #error)
        }
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
        let is_absolute =
            self.asked.anyscope.leading_colon.is_some() || self.asked.anyscope.segments[0].ident == "crate";
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
        let anyscope = &self.asked.anyscope;
        // What is returned is named in another module, so not again here; std asks a test for no more than this.
        let returned = function.returns_something().then(|| {
            let span = Span::call_site().located_at(function.signature.output.span());
            quote_spanned!(span=> -> impl ::std::process::Termination)
        });
        let (returned, body) = match runtime {
            Runtime::Sim => (None, self.simulated(&future, placed.should_panic.is_some(), returned.is_some())),
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
    ///
    /// To a timeout, late but done is done; a test that was held up by what can't be interrupted has failed.
    fn future(&self, name: &Ident) -> TokenStream {
        let Some((literal, timeout)) = &self.asked.timeout else { return quote!(super::#name()) };
        let anyscope = &self.asked.anyscope;
        let (seconds, nanoseconds) = (timeout.as_secs(), timeout.subsec_nanos());
        let message = format!("the test `{name}` took longer than {}", literal.value());
        let message = message.replace('{', "{{").replace('}', "}}");
        let span = Span::call_site().located_at(literal.span());
        let too_long = quote_spanned!(span=> ::core::panic!(#message));
        quote! {
            async {
                let limit = ::core::time::Duration::new(#seconds, #nanoseconds);
                let begun = #anyscope::now();
                match #anyscope::timeout(limit, super::#name()).await {
                    ::core::result::Result::Ok(output)
                        if #anyscope::now().saturating_duration_since(begun) <= limit => output,
                    _ => #too_long,
                }
            }
        }
    }

    /// The test on a simulator for each seed. One that returns something fails where that is an error, so that the seed is
    /// known.
    fn simulated(&self, future: &TokenStream, should_panic: bool, returns_something: bool) -> TokenStream {
        let anyscope = &self.asked.anyscope;
        let seeds = match &self.asked.seeds {
            Some((_, Range { start, end })) => quote!(::core::option::Option::Some(#start..#end)),
            None => quote!(::core::option::Option::None),
        };
        let program = if returns_something {
            quote!(|| async { #anyscope::__macros::Returned::new(#future.await).assert_success() })
        } else {
            quote!(|| #future)
        };
        let simulate = if should_panic { quote!(simulate_until_a_panic) } else { quote!(simulate) };
        quote!(#anyscope::__macros::#simulate(#seeds, #program))
    }
}

fn read_all(function: &Function, arguments: TokenStream) -> Result<(Placed, Asked)> {
    function.check("a test")?;
    let placed = attributes::place(&function.attributes)?;
    match placed.should_panic {
        // As std has it, which would tell it of a function that nobody wrote.
        Some(span) if function.returns_something() => Err(Error::new(span, "a test that has to panic returns nothing")),
        _ => Ok((placed, read(arguments)?)),
    }
}

fn read(arguments: TokenStream) -> Result<Asked> {
    let Options(settings) = syn::parse2(arguments)?;
    let mut asked = Asked { narrowed: None, seeds: None, timeout: None, anyscope: parse_quote!(::anyscope) };
    for setting in settings {
        match setting.name.to_string().as_str() {
            "runtimes" | "except" => {
                if let Some(Narrowed { option, .. }) = &asked.narrowed {
                    let message = format!("there is `{option}` already: say what it runs on by one of them");
                    return Err(Error::new(setting.name.span(), message));
                }
                let listed = listed(&setting)?;
                asked.narrowed = Some(Narrowed { option: setting.name, listed });
            }
            "seeds" | "seed" => {
                if let Some((option, _)) = &asked.seeds {
                    let message = format!("there is `{option}` already: `seed = 7` is one seed, `seeds = 7` are seven");
                    return Err(Error::new(setting.name.span(), message));
                }
                let seeds = if setting.name == "seeds" { many(&setting)? } else { one(&setting)? };
                asked.seeds = Some((setting.name, seeds));
            }
            "timeout" => {
                let literal = setting.text("timeout = \"5s\"")?;
                let timeout = duration::parse(&literal)?;
                asked.timeout = Some((literal, timeout));
            }
            "crate" => asked.anyscope = setting.path()?,
            _ => return Err(setting.unknown(&KNOWN)),
        }
    }
    match (&asked.seeds, &asked.narrowed) {
        (Some((seeds, _)), Some(narrowed)) if !narrowed.allows(Runtime::Sim) => {
            let message = format!("`{seeds}` is for the simulator, which `{}` leaves out: remove one", narrowed.option);
            Err(Error::new(seeds.span(), message))
        }
        _ => Ok(asked),
    }
}

fn listed(setting: &Setting) -> Result<Vec<(Ident, Runtime)>> {
    let mut listed: Vec<(Ident, Runtime)> = Vec::new();
    for name in setting.names(&format!("{}(tokio, smol)", setting.name))? {
        let Some(runtime) = Runtime::named(&name.to_string()) else {
            let message = format!("unknown runtime `{name}`: there are {}", list(Runtime::ALL));
            return Err(Error::new(name.span(), message));
        };
        if listed.iter().any(|(_, earlier)| *earlier == runtime) {
            return Err(Error::new(name.span(), format!("`{name}` is listed twice: remove one")));
        }
        listed.push((name.clone(), runtime));
    }
    Ok(listed)
}

impl Narrowed {
    fn allows(&self, runtime: Runtime) -> bool {
        let is_listed = self.listed.iter().any(|(_, listed)| *listed == runtime);
        is_listed == (self.option == "runtimes")
    }
}

/// The runtimes to test on, of those that are compiled in.
///
/// One that is asked for by its name and isn't there is an error: left out, the test would be one that can't fail.
fn choose(asked: &Asked, enabled: Enabled) -> Result<Vec<Runtime>> {
    if enabled.all().next().is_none() {
        let message = format!(
            "no runtime is compiled in, so there is nothing to test on: enable some in Cargo.toml; a library does so below \
             `[dev-dependencies]`, as in `{}`",
            cargo_line(&["tokio", "smol", "async-std", "sim"]),
        );
        return Err(Error::new(Span::call_site(), message));
    }
    let narrowed = asked.narrowed.as_ref();
    let named = narrowed.filter(|narrowed| narrowed.option == "runtimes").map_or(&[][..], |narrowed| &narrowed.listed);
    if let Some((name, runtime)) = named.iter().find(|(_, runtime)| !enabled.has(*runtime)) {
        return Err(Error::new(name.span(), not_enabled(*runtime)));
    }
    let allowed = |runtime: &Runtime| narrowed.is_none_or(|narrowed| narrowed.allows(*runtime));
    let runtimes: Vec<Runtime> = enabled.all().filter(allowed).collect();
    match (&asked.seeds, narrowed) {
        (Some((seeds, _)), _) if !enabled.sim => {
            Err(Error::new(seeds.span(), format!("`{seeds}` is for the simulator; {}", not_enabled(Runtime::Sim))))
        }
        (_, Some(narrowed)) if runtimes.is_empty() => {
            let message = format!("no runtime is left to test on: compiled in are {}", list(enabled.all()));
            Err(Error::new(narrowed.option.span(), message))
        }
        _ => Ok(runtimes),
    }
}

fn many(setting: &Setting) -> Result<Range<u64>> {
    match setting.number("seeds = 100")? {
        (0, number) => Err(Error::new(number.span(), "a test with no seed isn't run: say one at least")),
        (seeds, _) => Ok(0..seeds),
    }
}

fn one(setting: &Setting) -> Result<Range<u64>> {
    let (seed, number) = setting.number("seed = 7")?;
    let after =
        seed.checked_add(1).ok_or_else(|| Error::new(number.span(), "this is the one number that is no seed"))?;
    Ok(seed..after)
}

#[cfg(test)]
mod tests;
