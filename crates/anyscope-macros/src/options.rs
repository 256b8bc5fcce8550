//! What stands in the brackets of an attribute.

use proc_macro2::Span;
use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitInt, LitStr, Path, Result, Token, parenthesized, token};

/// The options of an attribute, each written as `name = value` or `name(a, b)`.
pub(crate) struct Options(pub(crate) Vec<Setting>);

/// One of them.
pub(crate) struct Setting {
    pub(crate) name: Ident,
    value: Value,
}

enum Value {
    None,
    Single(Expr),
    List(Vec<Ident>, Span),
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut settings: Vec<Setting> = Vec::new();
        while !input.is_empty() {
            if !input.peek(Ident::peek_any) {
                return Err(input.error("an option has a name: `name = value`"));
            }
            let setting: Setting = input.parse()?;
            if settings.iter().any(|earlier| earlier.name == setting.name) {
                return Err(Error::new(setting.name.span(), format!("`{}` is there twice: remove one", setting.name)));
            }
            settings.push(setting);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self(settings))
    }
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        // `crate` is among them, which is a keyword.
        let name = input.call(Ident::parse_any)?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Value::Single(input.parse()?)
        } else if input.peek(token::Paren) {
            let content;
            let brackets = parenthesized!(content in input);
            let names = Punctuated::<Ident, Token![,]>::parse_terminated_with(&content, |content| {
                let message = "a name is wanted here, as in `runtimes(tokio, smol)`, without quotes";
                let mut name = content.call(Ident::parse_any).map_err(|error| Error::new(error.span(), message))?;
                // A hyphen does for an underscore, as in quotes.
                while content.peek(Token![-]) {
                    content.parse::<Token![-]>()?;
                    name = format_ident!("{name}_{}", content.call(Ident::parse_any)?, span = name.span());
                }
                Ok(name)
            })?;
            Value::List(names.into_iter().collect(), brackets.span.join())
        } else {
            Value::None
        };
        Ok(Self { name, value })
    }
}

impl Setting {
    /// The value, where it has to be text.
    pub(crate) fn text(&self, example: &str) -> Result<LitStr> {
        match &self.value {
            Value::Single(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => Ok(text.clone()),
            _ => Err(self.wrong("text in quotes", example)),
        }
    }

    /// The value, where it has to be a number.
    pub(crate) fn number(&self, example: &str) -> Result<(u64, LitInt)> {
        match &self.value {
            Value::Single(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => {
                let value = number.base10_parse();
                let value = value.map_err(|_| Error::new(number.span(), "this is no number of 64 bits without a sign"));
                Ok((value?, number.clone()))
            }
            _ => Err(self.wrong("a number", example)),
        }
    }

    /// The value, where it has to be `true` or `false`.
    pub(crate) fn truth(&self, example: &str) -> Result<bool> {
        match &self.value {
            Value::Single(Expr::Lit(ExprLit { lit: Lit::Bool(truth), .. })) => Ok(truth.value),
            _ => Err(self.wrong("`true` or `false`", example)),
        }
    }

    /// The names in the brackets, where it has to be a list.
    pub(crate) fn names(&self, example: &str) -> Result<&[Ident]> {
        match &self.value {
            Value::List(names, _) if !names.is_empty() => Ok(names),
            Value::List(_, brackets) => Err(Error::new(*brackets, format!("nothing is listed: as in `{example}`"))),
            _ => Err(self.wrong("a list in brackets", example)),
        }
    }

    /// The path, where it has to be the one of `anyscope`.
    pub(crate) fn path(&self) -> Result<Path> {
        let text = self.text("crate = \"my_anyscope\"")?;
        let path = text.parse_with(Path::parse_mod_style);
        path.map_err(|_| Error::new(text.span(), "this is no path to `anyscope`: as in `crate = \"my_anyscope\"`"))
    }

    /// An option that isn't known.
    pub(crate) fn unknown(&self, known: &[&str]) -> Error {
        let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        Error::new(self.name.span(), format!("unknown option `{}`: there are {}", self.name, known.join(", ")))
    }

    fn wrong(&self, wanted: &str, example: &str) -> Error {
        let message = format!("`{}` is {wanted}: as in `{example}`", self.name);
        match &self.value {
            Value::None => Error::new(self.name.span(), message),
            Value::Single(value) => Error::new_spanned(value, message),
            Value::List(_, brackets) => Error::new(*brackets, message),
        }
    }
}
