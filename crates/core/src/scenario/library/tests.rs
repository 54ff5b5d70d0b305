use std::collections::BTreeSet;
use std::fs;

use super::*;
use tempfile::TempDir;

/// The folder of scenarios of this repository.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER)
}

/// The files in a folder and below, by their paths from `root`.
fn paths_below(root: &Path, folder: &Path, paths: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            paths_below(root, &path, paths);
        } else {
            let path = path.strip_prefix(root).expect("below the folder");
            paths.insert(path.to_str().expect("a name in UTF-8").to_owned());
        }
    }
}

/// The place that a name leads to if nothing on disk has it.
fn found(kind: Kind, name: &str) -> Option<String> {
    match built_in(kind, &plain(Path::new(name))?)? {
        Place::BuiltIn(built_in) => Some(built_in.path.to_owned()),
        Place::BuiltInFolder(folder) => Some(format!("{folder}/")),
        other => panic!("{other:?} is not built in"),
    }
}

#[test]
fn every_file_in_the_folder_of_scenarios_is_built_in() {
    let mut on_disk = BTreeSet::new();
    paths_below(&folder(), &folder(), &mut on_disk);
    let listed: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
    assert_eq!(listed, on_disk);
    assert_eq!(listed.len(), FILES.len(), "none is listed twice");
}

#[test]
fn every_built_in_file_can_be_read_and_none_is_odd() {
    for file in FILES {
        match file.kind() {
            Kind::Scenario => {
                let loaded =
                    Scenario::parse(file.stem(), file.path, file.text).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(loaded.warnings, [""; 0]);
            }
            Kind::Matrix => drop(crate::scenario::builtin_matrix(file.name()).expect(file.path)),
            // Read by the tests of repro files, which belong to a higher layer.
            Kind::Repro => assert!(file.text.contains("seedbed_repro"), "{}", file.path),
        }
    }
}

#[test]
fn a_name_leads_to_a_built_in_file_with_and_without_its_folder_and_ending() {
    for name in ["crash-3", "crash-3.json", "scenarios/crash-3", "scenarios/crash-3.json"] {
        assert_eq!(found(Kind::Scenario, name).as_deref(), Some("crash-3.json"), "{name}");
    }
    for (kind, name, path) in [
        (Kind::Scenario, "chaos/tour", "chaos/tour.json"),
        (Kind::Scenario, "scenarios", "/"),
        (Kind::Scenario, "scenarios/chaos", "chaos/"),
        (Kind::Scenario, "harsh/", "harsh/"),
        (Kind::Matrix, "isolate-3", "matrices/isolate-3.json"),
        (Kind::Matrix, "matrices/isolate-3.json", "matrices/isolate-3.json"),
        (Kind::Repro, "figure-8", "repros/figure-8.json"),
        (Kind::Repro, "scenarios/repros/figure-8.json", "repros/figure-8.json"),
    ] {
        assert_eq!(found(kind, name).as_deref(), Some(path), "{name}");
    }
    for name in ["./crash-3", "/crash-3", "../crash-3", "tour", "figure-8", "crash", "scenarios/scenarios/crash-3", ""]
    {
        assert_eq!(found(Kind::Scenario, name), None, "{name}");
    }
}

#[test]
fn a_file_on_disk_wins() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("repros")).expect("a folder");
    fs::write(path("crash-3.json"), "mine").expect("a file");
    assert_eq!(find(Kind::Scenario, &path("crash-3")), Some(Place::File(path("crash-3.json"))));
    fs::write(path("crash-3"), "mine").expect("a file");
    assert_eq!(find(Kind::Scenario, &path("crash-3")), Some(Place::File(path("crash-3"))));
    assert_eq!(find(Kind::Scenario, &path("repros")), Some(Place::Folder(path("repros"))));
    assert_eq!(find(Kind::Repro, &path("repros")), None, "a folder is no repro file");
    assert_eq!(find(Kind::Scenario, &path("crash-4")), None, "an absolute path is never built in");
    // Tests run in the repository, which has the folder.
    let scenario = find(Kind::Scenario, Path::new("crash-4"));
    assert_eq!(scenario, Some(Place::File("scenarios/crash-4.json".into())));
    assert_eq!(find(Kind::Scenario, Path::new("chaos")), Some(Place::Folder("scenarios/chaos".into())));
}

#[test]
fn a_folder_without_files_hides_neither_a_file_nor_a_built_in_scenario() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("mine")).expect("a folder");
    assert_eq!(find(Kind::Scenario, &path("mine")), Some(Place::Folder(path("mine"))));
    fs::write(path("mine.json"), "mine").expect("a file");
    assert_eq!(find(Kind::Scenario, &path("mine")), Some(Place::File(path("mine.json"))));
    fs::write(path("mine/first.json"), "another").expect("a file");
    assert_eq!(find(Kind::Scenario, &path("mine")), Some(Place::Folder(path("mine"))));
    std::os::unix::fs::symlink("nowhere", path("link")).expect("a link");
    assert_eq!(find(Kind::Scenario, &path("link")), Some(Place::File(path("link"))));
}

/// The error about a name if nothing on disk has it.
fn refusal(kind: Kind, name: &str) -> String {
    match find(kind, Path::new(name)) {
        // Tests run in the repository, which has the folder.
        Some(Place::File(_) | Place::Folder(_)) => not_found(kind, Path::new(name)).to_string(),
        _ => load(kind, Path::new(name)).unwrap_err().to_string(),
    }
}

#[test]
fn an_unknown_name_is_refused_with_the_one_that_may_be_meant() {
    let list = "(`seedbed scenarios` lists them)";
    for (kind, name, error) in [
        (
            Kind::Scenario,
            "crash-33",
            format!("crash-33: no such file, and no built-in scenario has this name {list}; did you mean `crash-3`?"),
        ),
        (
            Kind::Scenario,
            "scenarios/tour.json",
            format!(
                "scenarios/tour.json: no such file, and no built-in scenario has this name {list}; did you mean \
                 `chaos/tour`?"
            ),
        ),
        (Kind::Scenario, "figure-8", "figure-8: is a repro file, which `seedbed replay` takes".to_owned()),
        (
            Kind::Scenario,
            "scenarios/repros/figure-8.json",
            "scenarios/repros/figure-8.json: is a repro file, which `seedbed replay` takes".to_owned(),
        ),
        (Kind::Repro, "crash-3", "crash-3: is a scenario, which `seedbed run` takes".to_owned()),
        (Kind::Matrix, "crash-3", "crash-3: is a scenario, which `seedbed run` takes".to_owned()),
        (
            Kind::Scenario,
            "matrices",
            "matrices: is a folder without scenarios; `seedbed scenarios` lists its files".to_owned(),
        ),
        (
            Kind::Scenario,
            "nothing-like-it",
            format!("nothing-like-it: no such file, and no built-in scenario has this name {list}"),
        ),
        (
            Kind::Repro,
            "figure-88",
            format!(
                "figure-88: no such file, and no built-in repro file has this name {list}; did you mean \
                 `repros/figure-8`?"
            ),
        ),
        (Kind::Scenario, "./crash-3", "./crash-3: cannot be read: No such file or directory (os error 2)".to_owned()),
    ] {
        assert_eq!(refusal(kind, name), error);
    }
}

#[test]
fn the_courses_scenarios_and_no_others_are_at_the_top() {
    assert_eq!(files_in("").count(), 17);
    assert_eq!(folders(), ["", "chaos", "examples", "field", "harsh", "matrices", "repros"]);
    assert_eq!(Scenario::builtin("crash-3"), Some(Scenario::find(Path::new("crash-3")).unwrap().scenario));
    assert_eq!(Scenario::builtin("chaos/tour").map(|scenario| scenario.name), Some("tour".to_owned()));
    assert_eq!(Scenario::builtin("matrices/seed"), None);
    assert_eq!(Scenario::builtin(""), None);
}

#[test]
fn the_scenarios_of_a_folder_come_in_the_courses_order_and_those_below_it_do_not() {
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir(folder.path().join("deeper.json")).expect("a folder");
    assert!(matches!(scenarios(folder.path()), Err(ScenarioError::EmptyFolder { .. })));
    for name in ["zoo.json", "crash-10.json", "crash-9.json", "simple-1.json", "notes.txt"] {
        fs::write(folder.path().join(name), "{}").expect("a file");
    }
    let names = ["simple-1.json", "crash-9.json", "crash-10.json", "zoo.json"].map(|name| folder.path().join(name));
    assert_eq!(scenarios(folder.path()).expect("scenarios"), names);
    assert_eq!(scenarios(&names[0]).expect("a name"), names[..1]);
    let nowhere = folder.path().join("nowhere");
    assert!(matches!(scenarios_in(&nowhere), Err(ScenarioError::Folder { .. })));
    assert_eq!(scenarios(Path::new("harsh")).expect("it is built in").len(), files_in("harsh").count());
}

#[test]
fn built_in_files_are_written_once_and_replace_others_only_by_force() {
    let folder = TempDir::new().expect("a temporary folder");
    let harsh = [Place::BuiltInFolder("harsh")];
    let count = files_in("harsh").count();
    assert_eq!(write_files(&harsh, folder.path(), false).expect("room"), count);
    assert_eq!(write_files(&harsh, folder.path(), false).expect("room"), 0, "they are there");
    let mine = folder.path().join("harsh/large-21.json");
    fs::write(&mine, "mine").expect("a file");
    fs::remove_file(folder.path().join("harsh/large-101.json")).expect("a file");
    let refused = write_files(&harsh, folder.path(), false).expect_err("one differs");
    assert!(matches!(refused, WriteError::Differs { path } if path == mine));
    assert!(!folder.path().join("harsh/large-101.json").exists(), "nothing is written then");
    assert_eq!(write_files(&harsh, folder.path(), true).expect("room"), 2);
    assert_eq!(write_files(&[], folder.path(), false).expect("room"), FILES.len() - count);
}
