//! Every place of a source file where an operator of mutation applies.
//!
//! Left out are tests, `const` contexts (a choice at run time cannot stand there), macros (their arguments need not be
//! Rust), implementations of `Debug` and `Display`, and `&&` between the conditions of a let chain.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Arm, Attribute, BinOp, Block, Expr, ExprBinary, ExprMatch, ExprRepeat, ExprStruct, ExprUnary, ImplItem, Item,
    ItemImpl, Pat, Path, Signature, Stmt, TraitItem, Type, UnOp,
};

use crate::{operators, values};

/// A small fault that one place of a file could have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The function around it, as in `Log::truncate` or `<Log as Drop>::drop`.
    pub function: String,
    /// What is different, as in `replace < with <=`.
    pub change: String,
    /// How many places above it in this function have the same change.
    pub occurrence: usize,
    /// How it is written into the file.
    pub edit: Edit,
}

/// How a fault is written into a file, behind a choice at run time. Ranges count bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The expression `whole` is different: it has `with` at `at`.
    Expression {
        /// The expression.
        whole: Range<usize>,
        /// The part of it that is replaced.
        at: Range<usize>,
        /// What stands there instead.
        with: String,
    },
    /// A function whose statements are `body` returns `with` at once.
    Body {
        /// Its statements.
        body: Range<usize>,
        /// What is returned.
        with: String,
    },
    /// A match arm, whose pattern ends at `at`, is never taken.
    Arm {
        /// The end of the pattern.
        at: usize,
    },
    /// A match guard is always this.
    Guard {
        /// The guard.
        guard: Range<usize>,
        /// Its constant value.
        value: bool,
    },
}

/// The places of a file, in the order of their lines.
///
/// # Errors
/// If it is not Rust.
pub fn places(source: &str) -> syn::Result<Vec<Place>> {
    let file = syn::parse_file(source)?;
    if is_test(&file.attrs) {
        return Ok(Vec::new());
    }
    let mut finder = Finder { recursive: recursive_defaults(&file.items), ..Finder::default() };
    finder.visit_file(&file);
    let mut places = finder.places;
    places.sort_by_key(|place| (place.line, place.edit.start()));
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for place in &mut places {
        let count = seen.entry((place.function.clone(), place.change.clone())).or_default();
        place.occurrence = *count;
        *count += 1;
    }
    Ok(places)
}

impl Edit {
    /// Where it begins.
    pub fn start(&self) -> usize {
        match self {
            Edit::Expression { at: range, .. } | Edit::Guard { guard: range, .. } | Edit::Body { body: range, .. } => {
                range.start
            }
            Edit::Arm { at } => *at,
        }
    }
}

/// Walks through a file.
#[derive(Default)]
struct Finder {
    places: Vec<Place>,
    /// The implementation or trait around here, as it is written before a function's name.
    owner: Option<String>,
    /// The function around here.
    function: String,
    /// Functions that the file's own `default` calls: one that returned `Default::default()` would never end.
    recursive: BTreeSet<String>,
}

impl Finder {
    fn add(&mut self, at: Span, change: String, edit: Edit) {
        let (LineColumn { line, column }, function) = (at.start(), self.function.clone());
        self.places.push(Place { line, column: column + 1, function, change, occurrence: 0, edit });
    }

    /// A function with a body.
    fn function(&mut self, attributes: &[Attribute], signature: &Signature, body: &Block) {
        if is_test(attributes) || signature.constness.is_some() || signature.unsafety.is_some() {
            return;
        }
        let name = signature.ident.to_string();
        let qualified = self.owner.as_ref().map_or_else(|| name.clone(), |owner| format!("{owner}::{name}"));
        let outer = std::mem::replace(&mut self.function, qualified);
        self.bodies(&name, signature, body);
        visit::visit_block(self, body);
        self.function = outer;
    }

    /// A whole body is a constant of its type. Left out is what the body says already, and a default that would call this
    /// function again.
    fn bodies(&mut self, name: &str, signature: &Signature, body: &Block) {
        let (Some(first), Some(last)) = (body.stmts.first(), body.stmts.last()) else { return };
        let range = first.span().byte_range().start..last.span().byte_range().end;
        let is_default = self.owner.as_ref().is_some_and(|owner| owner.ends_with(" as Default>"));
        let is_endless = is_default || self.recursive.contains(name);
        let text = body.span().source_text().unwrap_or_default();
        for value in values::of_return(&signature.output) {
            let is_same = text.trim_matches(['{', '}', ' ', '\n']) == value;
            let calls_itself = is_endless && value.contains("Default::default()");
            if !is_same && !calls_itself {
                let change = format!("replace the body with {value}");
                self.add(signature.span(), change, Edit::Body { body: range.clone(), with: value });
            }
        }
    }

    /// The items of an implementation or a trait.
    fn owned<'t, T>(&mut self, owner: String, items: &'t [T], visit: impl Fn(&mut Finder, &'t T)) {
        let outer = self.owner.replace(owner);
        items.iter().for_each(|item| visit(self, item));
        self.owner = outer;
    }

    /// A match arm before a wildcard is never taken, or a guard is always true or always false. An arm with a guard is
    /// not deleted, because a guard that is always false does the same.
    fn arm(&mut self, arm: &Arm, before_wildcard: bool) {
        let pattern = one_line(&arm.pat);
        match &arm.guard {
            None if before_wildcard && !matches!(arm.pat, Pat::Wild(_)) => {
                let at = arm.pat.span().byte_range().end;
                self.add(arm.pat.span(), format!("delete the match arm {pattern}"), Edit::Arm { at });
            }
            Some((_, guard)) if !has_let(guard) => {
                for value in [true, false] {
                    let edit = Edit::Guard { guard: guard.span().byte_range(), value };
                    let change = format!("replace the match guard {} with {value}", one_line(guard));
                    self.add(guard.span(), change, edit);
                }
            }
            _ => {}
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Fn(item) => self.function(&item.attrs, &item.sig, &item.block),
            Item::Impl(item) if !is_test(&item.attrs) && !only_shows(item) => {
                let owner = owner(item);
                self.owned(owner, &item.items, Visit::visit_impl_item);
            }
            Item::Trait(item) if !is_test(&item.attrs) => {
                self.owned(item.ident.to_string(), &item.items, Visit::visit_trait_item);
            }
            Item::Mod(item) if !is_test(&item.attrs) => visit::visit_item_mod(self, item),
            _ => {}
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if let ImplItem::Fn(item) = item {
            self.function(&item.attrs, &item.sig, &item.block);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if let TraitItem::Fn(item) = item
            && let Some(body) = &item.default
        {
            self.function(&item.attrs, &item.sig, body);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        match statement {
            Stmt::Local(local) if is_test(&local.attrs) => {}
            _ => visit::visit_stmt(self, statement),
        }
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        // The length of an array and what stands in `const { }` are computed by the compiler.
        match expression {
            Expr::Const(_) => {}
            Expr::Repeat(ExprRepeat { expr, .. }) => self.visit_expr(expr),
            _ => visit::visit_expr(self, expression),
        }
    }

    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        let is_chain =
            matches!(binary.op, BinOp::And(_) | BinOp::Or(_)) && (has_let(&binary.left) || has_let(&binary.right));
        let (whole, at) = (binary.span().byte_range(), binary.op.span().byte_range());
        let from = binary.op.span().source_text().unwrap_or_default();
        let instead = if is_chain { &[][..] } else { operators::instead_of(&binary.op) };
        for with in instead {
            let edit = Edit::Expression { whole: whole.clone(), at: at.clone(), with: (*with).to_owned() };
            self.add(binary.op.span(), format!("replace {from} with {with}"), edit);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast ExprUnary) {
        let sign = match unary.op {
            UnOp::Not(_) => "!",
            UnOp::Neg(_) => "-",
            _ => "",
        };
        if !sign.is_empty() {
            let (whole, at) = (unary.span().byte_range(), unary.op.span().byte_range());
            self.add(unary.span(), format!("delete {sign}"), Edit::Expression { whole, at, with: String::new() });
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_struct(&mut self, literal: &'ast ExprStruct) {
        if literal.rest.is_some() {
            for pair in literal.fields.pairs() {
                let field = pair.value();
                let start = field.span().byte_range().start;
                // With the comma after it.
                let end = pair.punct().map_or(field.span().byte_range().end, |comma| comma.span().byte_range().end);
                let edit = Edit::Expression { whole: literal.span().byte_range(), at: start..end, with: String::new() };
                let (field_name, of) = (one_line(&field.member), one_line(&literal.path));
                self.add(field.span(), format!("delete the field {field_name} of {of}"), edit);
            }
        }
        visit::visit_expr_struct(self, literal);
    }

    fn visit_expr_match(&mut self, matched: &'ast ExprMatch) {
        let wildcard = matched.arms.iter().position(|arm| matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none());
        for (place, arm) in matched.arms.iter().enumerate() {
            if !is_test(&arm.attrs) {
                self.arm(arm, wildcard.is_some_and(|wildcard| place < wildcard));
            }
        }
        visit::visit_expr_match(self, matched);
    }

    // Nothing in these is computed at run time.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_path(&mut self, _: &'ast Path) {}
}

/// Whether something is compiled for tests only, or is a test.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let name = attribute.path().segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        let inside = attribute.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default();
        name == "test"
            || (name == "cfg"
                && (inside == "test" || inside.starts_with("all (test") || inside.starts_with("any (test")))
    })
}

/// Whether an implementation is there for people to read values.
fn only_shows(item: &ItemImpl) -> bool {
    let path = item.trait_.as_ref().map(|(_, path, _)| path);
    let last = path.and_then(|path| path.segments.last());
    last.is_some_and(|segment| segment.ident == "Debug" || segment.ident == "Display")
}

/// `Log`, or `<Log as Drop>`.
fn owner(item: &ItemImpl) -> String {
    let own = match &*item.self_ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default(),
        other => one_line(other),
    };
    match &item.trait_ {
        None => own,
        Some((_, path, _)) => {
            let name = path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
            format!("<{own} as {name}>")
        }
    }
}

/// Whether a condition of a let chain is a `let`.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// The functions that implementations of `Default` call.
fn recursive_defaults(items: &[Item]) -> BTreeSet<String> {
    struct Calls(BTreeSet<String>);
    impl<'ast> Visit<'ast> for Calls {
        fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
            if let Expr::Path(path) = &*call.func {
                self.0.extend(path.path.segments.last().map(|segment| segment.ident.to_string()));
            }
            visit::visit_expr_call(self, call);
        }
    }
    let mut calls = Calls(BTreeSet::new());
    for item in items {
        if let Item::Impl(item) = item
            && owner(item).ends_with(" as Default>")
        {
            calls.visit_item_impl(item);
        }
    }
    calls.0
}

/// The source of something, in one line, short enough to read.
fn one_line(spanned: &impl Spanned) -> String {
    let text = spanned.span().source_text().unwrap_or_default();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
