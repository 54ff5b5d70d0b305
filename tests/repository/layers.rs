//! Imports point downwards only, the bans of `clippy.toml` stay in force, and files stay short.
//!
//! The table below is the rule. `docs/ARCHITECTURE.md` shows the same table and explains it.

use super::root;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module imports from lower layers and from itself. In tests, it may use the protocols that come with the testbed. Besides, the two sides never import each other: a protocol knows
/// nothing of the testbed that it runs in, and the testbed knows protocols only by the trait.
const TABLE: &str = "\
| layer | both sides | replicas | testbed |
|---|---|---|---|
| 11 | `cli`, `testing`, `prelude` | | |
| 10 | | | `report` |
| 9 | `subjects` | | `campaign` |
| 8 | | | `lab` |
| 7 | | | `world`, `check` |
| 6 | `node` | | `scenario` |
| 5 | | `replica`, `server`, `broadcast` | `workload`, `client` |
| 4 | `rpc` | `replicated` | `record` |
| 3 | `wire`, `specification` | `raft`, `kv` | `chaos` |
| 2 | `service`, `consensus`, `storage` | | `engine` |
| 1 | `machine`, `rng`, `clock` | | |
| 0 | `time`, `id`, `hash`, `free`, `printable`, `hint`, `files`, `mutation` | | |
";

/// The most lines of a file before its tests.
const LINES_MAX: usize = 600;

#[test]
fn imports_point_downwards_and_never_from_one_side_to_the_other() {
    let table = Table::read(TABLE);
    let mut complaints = Vec::new();
    for SourceFile { path, module } in source_files() {
        let source = fs::read_to_string(&path).expect("a source file");
        let found = table.complaints(&module, &source);
        complaints.extend(found.into_iter().map(|complaint| format!("{}: {complaint}", path.display())));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_module_is_in_the_table_and_the_table_has_no_others() {
    let modules: BTreeSet<String> =
        source_files().into_iter().filter_map(|file| file.module.into_iter().next()).collect();
    let table = Table::read(TABLE);
    assert_eq!(modules, table.modules.into_keys().collect());
}

#[test]
fn the_architecture_shows_this_table() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md");
    assert!(text.contains(TABLE), "docs/ARCHITECTURE.md must have this table:\n\n{TABLE}");
}

#[test]
fn no_code_lifts_the_bans_in_silence() {
    let mut complaints = Vec::new();
    for file in ["src", "crates", "tests", "benches"].iter().flat_map(|folder| rust_files(&root().join(folder))) {
        let source = fs::read_to_string(&file).expect("a source file");
        complaints.extend(lifted_bans(&source).into_iter().map(|lint| format!("{}: {lint}", file.display())));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let bans = fs::read_to_string(root().join("clippy.toml")).expect("clippy.toml");
    for banned in ["HashMap", "HashSet", "RandomState", "DefaultHasher", "time::Instant", "SystemTime", "thread::sleep"]
    {
        assert!(bans.contains(banned), "clippy.toml bans {banned}");
    }
}

#[test]
fn only_the_subject_can_break_the_rules_of_raft() {
    for SourceFile { path, module } in source_files() {
        let may =
            module.first().is_some_and(|module| ["raft", "replica", "server", "subjects"].contains(&module.as_str()));
        let text = fs::read_to_string(&path).expect("a source file");
        assert!(may || !text.contains("with_rules"), "{} must not break rules", path.display());
        assert!(may || !text.contains("raft::Mutant"), "{} must not break rules", path.display());
    }
}

#[test]
fn no_file_is_long() {
    for SourceFile { path, .. } in source_files() {
        let lines = lines_before_tests(&fs::read_to_string(&path).expect("a source file"));
        assert!(lines <= LINES_MAX, "{} has {lines} lines before its tests; allowed is {LINES_MAX}", path.display());
    }
}

#[test]
fn an_import_from_above_or_from_the_other_side_is_found_however_it_is_written() {
    let table = Table::read(TABLE);
    for (module, source, complaint) in [
        ("raft", "use crate::world::simulation::simulate;", "line 1: raft must not import world"),
        ("raft", "use crate::kv;", "line 1: raft must not import kv"),
        ("lab", "use crate::subjects::raft;\n#[cfg(test)]\nmod tests {}", "line 1: lab must not import subjects"),
        ("lab", "use crate::replica::Replica;", "line 1: lab must not import replica"),
        ("raft", "use crate::chaos::Fault;", "line 1: raft must not import chaos"),
        ("replica", "use crate::chaos::Fault;", "line 1: replica must not import chaos"),
        ("world", "use crate::raft::Raft;", "line 1: world must not import raft"),
        (
            "chaos",
            "use crate::{\n    id::ReplicaId,\n    record::{History, Trace},\n};",
            "line 1: chaos must not import record",
        ),
        ("time", "fn f() -> crate::id::Mid { loop {} }", "line 1: time must not import id"),
        ("time", "use super::rng::Stream;", "line 1: time must not import rng"),
        ("time", "use super::{id, rng as dice};", "line 1: time must not import id, rng"),
        ("raft::log", "\nuse super::super::kv::Store;", "line 2: raft::log must not import kv"),
        ("raft", "mod inner { use super::super::{kv::Store}; }", "line 1: raft must not import kv"),
        ("raft", "mod a { mod b { } use super::super::super::x; }", "line 1: raft must not import super of the root"),
        ("raft", "mod inner { mod deep { } } use super::kv::Store;", "line 1: raft must not import kv"),
        ("raft", "macro_rules! m { () => { $crate::kv::Store::new() } }", "line 1: raft must not import kv"),
        ("raft", "use self::super::kv;", "line 1: raft must not import kv"),
        ("raft", "use {crate::id::Mid, crate::kv::Store};", "line 1: raft must not import kv"),
        ("raft", "use seedbed_core::kv::Store;", "line 1: raft must not import kv"),
        ("report::text", "use seedbed_core::raft::Raft;", "line 1: report::text must not import raft"),
        ("report::text", "use seedbed_core::*;", "line 1: report::text must not import the root"),
        ("world", "use seedbed_report::text;", "line 1: world must not import report"),
        ("raft", "use crate::*;", "line 1: raft must not import the root"),
        ("raft", "use crate as all;", "line 1: raft must not import the root"),
        ("raft", "use super::{self as all};", "line 1: raft must not import the root"),
        ("raft", "use crate::NewInTheRoot;", "line 1: raft must not import NewInTheRoot"),
        ("raft", "let quote = '\"'; crate::kv::f(); let other = '\"';", "line 1: raft must not import kv"),
        ("raft", r##"let text = r#" " "#; crate::kv::f();"##, "line 1: raft must not import kv"),
        ("raft", "fn f<'a>(x: &'a str) { crate::kv::f('\\'') }", "line 1: raft must not import kv"),
        ("raft", "#[path = \"../kv/mod.rs\"]\nmod store;", "line 1: raft must not import a file by its path"),
        ("raft", "include!(\"../kv/mod.rs\");", "line 1: raft must not import a file by its path"),
    ] {
        let place: Vec<String> = module.split("::").map(str::to_owned).collect();
        assert_eq!(table.complaints(&place, source), [complaint], "{source}");
    }
}

#[test]
fn imports_from_below_and_words_that_are_no_imports_are_left_alone() {
    let table = Table::read(TABLE);
    for (module, source) in [
        ("raft", "use crate::{id::{ReplicaId, ReplicaSet}, time::Time};\nuse crate::raft::log::Log;"),
        ("raft::log", "use super::{Entry, Index};\npub(crate) fn f() {}\npub(super) fn g() {}"),
        ("raft", "mod tests { use super::*; mod deeper { use super::super::Log; } }"),
        ("raft", "// use crate::kv::Store;\n/* crate::kv /* nested */ crate::world */\n/// [`crate::kv`]"),
        ("raft", "const A: &str = \"use crate::kv::Store;\"; const B: &[u8] = br#\"\"crate::kv\"\"#;"),
        ("raft", "const C: char = '\\''; const D: &str = \"\\\" crate::kv \\\\\";"),
        ("subjects", "use crate::{replica::Replica, lab::Subject};"),
        ("lab::zoo", "use super::Case;\n#[cfg(test)]\nmod tests { use crate::subjects; }"),
        ("campaign::tests", "use crate::subjects;"),
        ("report::rows::facts", "use crate::digest::Digest;\nuse seedbed_core::check::Judgement;\nuse super::Key;"),
        ("cli::run", "use super::error::CliError;\nuse crate::report::text;"),
    ] {
        let place: Vec<String> = module.split("::").map(str::to_owned).collect();
        assert_eq!(table.complaints(&place, source), [""; 0], "{source}");
    }
}

#[test]
fn a_lifted_ban_is_found_unless_it_is_expected_with_a_reason() {
    for source in [
        "#[allow(clippy::disallowed_types)]",
        "#![allow(unused, clippy::disallowed_methods)]",
        "#[allow(\n    clippy::style,\n)]",
        "#[cfg_attr(test, allow(clippy::all))]",
        "#![allow(warnings)]",
        "#[allow(clippy::disallowed_types, reason = \"a reason does not help\")]",
        "#[expect(clippy::disallowed_types)]",
        "#[expect(clippy::disallowed_types, reason = \"\")]",
    ] {
        assert_eq!(lifted_bans(source).len(), 1, "{source}");
    }
    for source in [
        "#[expect(clippy::disallowed_types, reason = \"the live world has a clock\")]",
        "#[allow(dead_code)]",
        "// #[allow(clippy::disallowed_types)]",
        "let a = option.expect(\"clippy::disallowed_types\"); monkey.allow(all);",
    ] {
        assert_eq!(lifted_bans(source), [""; 0], "{source}");
    }
}

#[test]
fn tests_do_not_count_as_lines_of_a_file() {
    assert_eq!(lines_before_tests("a\nb\n"), 2);
    assert_eq!(lines_before_tests("a\n\n#[cfg(test)]\nmod tests {\n}\n"), 2);
}

/// A file of one of the packages.
struct SourceFile {
    path: PathBuf,
    /// The module that it holds, by its path in `seedbed`: the report is a package of its own, and a module there.
    module: Vec<String>,
}

fn source_files() -> Vec<SourceFile> {
    let packages = [("src", ""), ("crates/core/src", ""), ("crates/report/src", "report")];
    let files = packages.iter().flat_map(|&(folder, package)| {
        let folder = root().join(folder);
        rust_files(&folder).into_iter().map(move |path| {
            let place = path.strip_prefix(&folder).expect("below the folder");
            let package = (!package.is_empty()).then(|| package.to_owned());
            SourceFile { module: package.into_iter().chain(module_path(place)).collect(), path }
        })
    });
    files.collect()
}

/// All Rust files below a folder, in order.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The module of its package that a file holds: `raft/log.rs` is `raft::log`. `lib.rs` and the programs, `main.rs` and
/// those below `bin`, are roots, which have no name.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_str().expect("a name in UTF-8").to_owned()).collect();
    if path == ["lib"] || path == ["main"] || path.first().is_some_and(|name| name == "bin") {
        path.clear();
    }
    if path.last().is_some_and(|name| name == "mod") {
        path.pop();
    }
    path
}

fn lines_before_tests(source: &str) -> usize {
    source.lines().take_while(|line| line.trim() != "#[cfg(test)]").count()
}

/// Which module stands where.
struct Table {
    modules: BTreeMap<String, Place>,
}

#[derive(Clone, Copy, PartialEq)]
struct Place {
    layer: usize,
    side: Side,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Both,
    Replicas,
    Testbed,
}

impl Table {
    fn read(text: &str) -> Table {
        let mut modules = BTreeMap::new();
        for line in text.lines().skip(2) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [layer, both, replicas, testbed] = cells[..] else { panic!("four columns: {line}") };
            let layer = layer.parse().expect("a layer is a number");
            for (side, cell) in [(Side::Both, both), (Side::Replicas, replicas), (Side::Testbed, testbed)] {
                for name in cell.split(", ").filter(|name| !name.is_empty()) {
                    let earlier = modules.insert(name.trim_matches('`').to_owned(), Place { layer, side });
                    assert!(earlier.is_none(), "{name} stands in the table once");
                }
            }
        }
        Table { modules }
    }

    /// What a file's imports do against the table.
    fn complaints(&self, path: &[String], source: &str) -> Vec<String> {
        // The root only lists the modules.
        let Some(module) = path.first() else { return Vec::new() };
        let mut complaints = Vec::new();
        let tests_begin = if path.iter().any(|part| part == "tests") { 0 } else { lines_before_tests(source) };
        for (line, imports) in imports(path, source) {
            // What takes any protocol is tested with those that come with it.
            let is_tested = |target: &String| line > tests_begin && target == "subjects";
            let is_bad = |target: &String| !self.allows(module, target) && !is_tested(target);
            let bad: Vec<String> = imports.into_iter().filter(is_bad).collect();
            if !bad.is_empty() {
                complaints.push(format!("line {line}: {} must not import {}", path.join("::"), bad.join(", ")));
            }
        }
        complaints
    }

    fn allows(&self, module: &str, target: &str) -> bool {
        if module == target {
            return true;
        }
        let (Some(from), Some(to)) = (self.modules.get(module), self.modules.get(target)) else { return false };
        let crosses = from.side != Side::Both && to.side != Side::Both && from.side != to.side;
        to.layer < from.layer && !crosses
    }
}

/// What a source file imports from the crate: for each path, its line and the top-level modules that it leads to.
fn imports(path: &[String], source: &str) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(source);
    let text = |place: usize| tokens.get(place).map_or("", |token| token.text);
    let mut module = path.to_vec();
    // Depths of braces at which inline modules began.
    let mut inline = Vec::new();
    let mut depth = 0;
    let mut found = Vec::new();
    for place in 0..tokens.len() {
        match text(place) {
            "{" => {
                if place >= 2 && text(place - 2) == "mod" {
                    module.push(text(place - 1).to_owned());
                    inline.push(depth);
                }
                depth += 1;
            }
            "}" => {
                depth -= 1;
                if inline.last() == Some(&depth) {
                    inline.pop();
                    module.pop();
                }
            }
            "crate" | "super" if text(place + 1) == ")" => {} // pub(crate)
            "super" if place >= 2 && text(place - 1) == "::" && text(place - 2) == "super" => {} // seen with the first
            word @ ("crate" | "super" | "seedbed_core" | "seedbed_report") => {
                let mut targets = Vec::new();
                let report = || vec!["report".to_owned()];
                match word {
                    "super" => follow(&tokens, place, module.clone(), &mut targets),
                    "seedbed_report" => targets = report(),
                    "crate" if path.starts_with(&report()) => targets = report(),
                    _ => follow_after(&tokens, place, Vec::new(), &mut targets),
                }
                found.push((tokens[place].line, targets));
            }
            "path" if text(place + 1) == "=" && text(place.wrapping_sub(1)) == "[" => {
                found.push((tokens[place].line, vec!["a file by its path".to_owned()]));
            }
            "include" if text(place + 1) == "!" => {
                found.push((tokens[place].line, vec!["a file by its path".to_owned()]));
            }
            _ => {}
        }
    }
    found
}

/// Follows a path, from the token at `place` on, which is looked up in the module `base`.
fn follow(tokens: &[Token<'_>], place: usize, mut base: Vec<String>, targets: &mut Vec<String>) {
    let text = |place: usize| tokens.get(place).map_or("", |token| token.text);
    match text(place) {
        "super" => match base.pop() {
            Some(_) => follow_after(tokens, place, base, targets),
            None => targets.push("super of the root".to_owned()),
        },
        "{" => {
            // Each element of the group begins after the brace or a comma that no other brace encloses.
            let mut depth = 0;
            for place in place.. {
                match text(place) {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    "" => break,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                if depth == 1 && ["{", ","].contains(&text(place)) && text(place + 1) != "}" {
                    follow(tokens, place + 1, base.clone(), targets);
                }
            }
        }
        word => targets.push(match base.into_iter().next() {
            Some(module) => module,
            None if ["self", "*"].contains(&word) => "the root".to_owned(),
            None => word.to_owned(),
        }),
    }
}

/// Follows what comes after the token at `place`, which means the module `base`.
fn follow_after(tokens: &[Token<'_>], place: usize, base: Vec<String>, targets: &mut Vec<String>) {
    if tokens.get(place + 1).is_some_and(|token| token.text == "::") {
        follow(tokens, place + 2, base, targets);
    } else {
        targets.push(base.into_iter().next().unwrap_or_else(|| "the root".to_owned()));
    }
}

/// Attributes that lift a ban of `clippy.toml` without a reason, or for good.
fn lifted_bans(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let text = |place: usize| tokens.get(place).map_or("", |token| token.text);
    let mut lifted = Vec::new();
    for (place, &Token { text: level, line }) in tokens.iter().enumerate() {
        if !["allow", "expect"].contains(&level) || text(place + 1) != "(" || text(place.wrapping_sub(1)) == "." {
            continue;
        }
        let list: Vec<&str> = (place + 2..).map(text).take_while(|text| ![")", ""].contains(text)).collect();
        let bans = list.windows(3).any(|window| {
            window[..2] == ["clippy", "::"]
                && (window[2].starts_with("disallowed") || ["style", "all"].contains(&window[2]))
        });
        let reason = list.windows(3).any(|window| window[..2] == ["reason", "="] && window[2].len() > "\"\"".len());
        if (bans || list.contains(&"warnings")) && !(level == "expect" && reason) {
            lifted.push(format!("line {line}: {level}({})", list.concat()));
        }
    }
    lifted
}

/// A word, a literal, `::` or another single character of a source file.
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// The tokens of a source file, without comments.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let length = match comment(rest).or_else(|| literal(rest)) {
            Some(length) => length,
            None if rest.starts_with("::") => 2,
            None if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            None => first.len_utf8(),
        };
        let text = &rest[..length];
        if comment(rest).is_none() && !first.is_whitespace() {
            tokens.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the comment that a text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(text.len())
}

/// The length of the string or character that a text begins with.
fn literal(text: &str) -> Option<usize> {
    // b"", c"", r"" and the like.
    let prefix = text.find(|c| !['b', 'c', 'r'].contains(&c)).filter(|&prefix| prefix <= 2)?;
    let body = &text[prefix..];
    if text[..prefix].ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        body[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let start = prefix + hashes + 1;
        return Some(text[start..].find(&end).map_or(text.len(), |length| start + length + end.len()));
    }
    let quote = body.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    let mut characters = body.char_indices().skip(1);
    let is_lifetime = || {
        let mut next = body.chars().skip(1);
        next.next() != Some('\\') && next.next() != Some('\'')
    };
    if quote == '\'' && is_lifetime() {
        return None;
    }
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => drop(characters.next()),
            _ if c == quote => return Some(prefix + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}
