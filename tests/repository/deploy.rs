//! The files in deploy/ and the commands of docs/clusters.md do what they are for: the parts that they make are put
//! together to the file of the undivided sweep. What they are made for is not there, so stand-ins are (tests/deploy/).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use super::root;
use crate::common::processes;
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

/// The sweep of all examples.
const SWEEP: &str = "all --drops 0,0.1 --seeds 0..1000";

/// What these tests do in its place.
const SMALL: &str = "scenarios/crash-3.json --drops 0:0.3:0.1 --seeds 0..5";

/// The same with runs that fail.
const FAILING: &str = "scenarios/unreliable-1.json --drops 0:0.3:0.1 --seeds 0..5 --protocol broadcast";

/// What keeps the clients' random choices from failing a run by themselves.
const WITHOUT_CHANCE: &str = "--set tests.maximum_get_generation_fail_fraction=1";

/// How many parts all examples have.
const PARTS: u64 = 8;

#[test]
fn slurm_tasks_do_parts_that_make_the_whole() {
    let site = Site::new();
    let task = |sweep: &str, task: u64| {
        let variables = [
            ("SLURM_ARRAY_TASK_ID", task.to_string()),
            ("SLURM_ARRAY_TASK_MIN", "1".to_owned()),
            ("SLURM_ARRAY_TASK_COUNT", PARTS.to_string()),
            ("SLURM_CPUS_PER_TASK", "1".to_owned()),
        ];
        site.bash(&format!("exec deploy/slurm.sh {sweep}"), &variables)
    };
    for index in 1..=PARTS {
        assert_success(&task(SMALL, index));
    }
    // One of them is interrupted, another one's file is lost, and the array is handed in again.
    let parts = site.path("parts");
    interrupt(&parts.join("part-2.csv"));
    fs::remove_file(parts.join("part-5.csv")).expect("a part");
    for index in 1..=PARTS {
        assert_success(&task(SMALL, index));
    }
    assert_eq!(site.merged("parts/part-*.csv"), site.whole(SMALL));

    // A part with failed runs is whole. One of another sweep is left alone.
    assert_eq!(task(FAILING, 1).status.code(), Some(1));
    fs::remove_dir_all(&parts).expect("a folder of parts");
    for index in 1..=PARTS {
        assert_success(&task(FAILING, index));
    }
    assert_eq!(site.merged("parts/part-*.csv"), site.whole(FAILING));
    assert!(parts.join("repros").is_dir());
    assert_eq!(task("no-such-file.json", 1).status.code(), Some(1));
}

#[test]
fn kubernetes_pods_do_parts_that_make_the_whole() {
    let documents = yaml("deploy/kubernetes.yaml");
    let [claim, job] = &documents[..] else { panic!("a claim and a job") };
    let merge = &yaml("deploy/kubernetes-merge.yaml")[0];
    for job in [job, merge] {
        let (pod, container) = (&job["spec"]["template"]["spec"], container(job));
        let volume = &pod["volumes"][0];
        assert_eq!(text(&volume["persistentVolumeClaim"]["claimName"]), text(&claim["metadata"]["name"]));
        assert_eq!(text(&container["volumeMounts"][0]["name"]), text(&volume["name"]));
        assert_eq!(text(&container["volumeMounts"][0]["mountPath"]), text(&container["workingDir"]));
    }
    let spec = &job["spec"];
    assert_eq!(text(&spec["completionMode"]), "Indexed");
    assert_eq!((spec["completions"].as_i64(), PARTS), (Some(8), 8));
    let variable = &container(job)["env"][0];
    assert_eq!((text(&variable["name"]), text(&variable["value"])), ("SWEEP", SWEEP));

    for sweep in [SMALL, FAILING] {
        let site = Site::new();
        symlink(env!("CARGO_BIN_EXE_seedbed"), site.path("seedbed")).expect("the program on the volume");
        let pod = |index: u64| {
            let index = ("JOB_COMPLETION_INDEX", index.to_string());
            site.command(&words(&container(job)["command"]), &[("SWEEP", sweep.to_owned()), index])
        };
        for index in 0..PARTS {
            assert_success(&pod(index));
        }
        interrupt(&site.path("parts/part-0.csv"));
        assert_success(&pod(0));
        let merged = site.command(&words(&container(merge)["command"]), &[]);
        assert_eq!(merged.status.code(), Some(if sweep == SMALL { 0 } else { 1 }), "{merged:?}");
        assert_eq!(site.read("rows.csv"), site.whole(sweep));
        assert!(["cells.csv", "sweep.svg", "junit.xml"].iter().all(|name| site.path(name).exists()));
    }
    // What cannot be done is handed on, so that the job ends instead of trying again.
    let site = Site::new();
    let pod = |sweep: &str| {
        let variables = [("SWEEP", sweep.to_owned()), ("JOB_COMPLETION_INDEX", "0".to_owned())];
        site.command(&words(&container(job)["command"]), &variables).status.code()
    };
    assert_eq!(pod(SMALL), Some(127), "there is no program");
    symlink(env!("CARGO_BIN_EXE_seedbed"), site.path("seedbed")).expect("the program on the volume");
    assert_eq!(pod("all --drops 2"), Some(2));
    assert_eq!(spec["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"][0].as_i64(), Some(2));
}

#[test]
fn github_jobs_build_once_and_do_parts_that_make_the_whole() {
    let workflow = &yaml("deploy/github-actions.yml")[0];
    assert_eq!(text(&workflow["env"]["SWEEP"]), format!("{SWEEP} {WITHOUT_CHANCE}"));
    assert_needs_no_permission(workflow);
    let jobs = &workflow["jobs"];
    let (build, part, whole) = (&jobs["build"], &jobs["part"], &jobs["whole"]);
    assert_eq!((text(&part["needs"]), text(&whole["needs"])), ("build", "part"));
    let matrix = part["strategy"]["matrix"]["part"].as_vec().expect("a list of parts");
    assert_eq!(matrix.len() as u64, PARTS);
    for (sweep, passes) in [(SMALL, true), (FAILING, false)] {
        let artifacts = TempDir::new().expect("a temporary folder");
        assert!(github_job(build, &[], sweep, artifacts.path()));
        for number in matrix {
            let number = number.as_i64().expect("a number").to_string();
            let of_matrix = [("${{ matrix.part }}", number), ("${{ strategy.job-total }}", matrix.len().to_string())];
            assert_eq!(github_job(part, &of_matrix, sweep, artifacts.path()), passes || part_passes(sweep, &of_matrix));
        }
        assert_eq!(github_job(whole, &[], sweep, artifacts.path()), passes);
        let result = artifacts.path().join("sweep");
        assert_eq!(fs::read_to_string(result.join("rows.csv")).expect("rows"), Site::new().whole(sweep));
        for name in ["cells.csv", "sweep.svg", "junit.xml"] {
            assert!(result.join(name).exists(), "{name}");
        }
        assert_eq!(artifacts.path().join("repros-1").exists(), !passes);
    }
}

#[test]
fn a_github_job_sweeps_each_pull_request_and_shows_what_failed() {
    let workflow = &yaml("deploy/github-pull-request.yml")[0];
    let sweep = text(&workflow["env"]["SWEEP"]);
    assert!(sweep.starts_with("all --drops 0,0.1 --seeds 0..20 ") && sweep.ends_with(WITHOUT_CHANCE), "{sweep}");
    assert_needs_no_permission(workflow);
    assert_eq!(text(&workflow["on"]), "pull_request");
    for (sweep, passes) in [(SMALL, true), (FAILING, false)] {
        let artifacts = TempDir::new().expect("a temporary folder");
        assert_eq!(github_job(&workflow["jobs"]["sweep"], &[], sweep, artifacts.path()), passes);
        let rows = artifacts.path().join("pull-request/rows.csv");
        assert_eq!(fs::read_to_string(rows).expect("rows"), Site::new().whole(sweep));
        assert!(artifacts.path().join("pull-request/junit.xml").exists());
        assert_eq!(artifacts.path().join("repros").exists(), !passes);
    }
}

/// A token that may only read is all that pull requests from forks have. Actions of third parties are not needed either.
fn assert_needs_no_permission(workflow: &Yaml) {
    let permissions = workflow["permissions"].as_hash().expect("permissions");
    let permissions: Vec<_> = permissions.iter().map(|(name, value)| (text(name), text(value))).collect();
    assert_eq!(permissions, [("contents", "read")]);
    assert_eq!(text(&workflow["defaults"]["run"]["shell"]), "bash");
    for job in workflow["jobs"].as_hash().expect("jobs").values() {
        assert!(job["permissions"].is_badvalue());
        for step in job["steps"].as_vec().expect("a list of steps") {
            assert!(step["uses"].as_str().is_none_or(|name| name.starts_with("actions/")), "{step:?}");
        }
    }
}

#[test]
fn the_commands_of_the_document_make_the_whole() {
    let document = fs::read_to_string(root().join("docs/clusters.md")).expect("docs/clusters.md");
    let blocks: Vec<&str> =
        document.split("```bash\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert!(blocks.len() >= 4, "{blocks:?}");
    let mut wholes = 0;
    for block in blocks {
        let site = Site::new();
        for machine in 1..=PARTS {
            let folder = site.path(&format!("machines/node{machine}/sweep"));
            fs::create_dir_all(&folder).expect("a folder");
            symlink(root().join("scenarios"), folder.join("scenarios")).expect("a link");
        }
        let machines = ("MACHINES", site.path("machines").display().to_string());
        let output = site.bash(&block.replace(SWEEP, SMALL), &[machines]);
        assert_success(&output);
        if block.contains("-o rows.csv") {
            assert_eq!(site.read("rows.csv"), site.whole(SMALL), "{block}");
            wholes += 1;
        }
    }
    assert!(wholes >= 3, "{wholes}");
}

/// Whether no run of this part fails. Of a sweep in which runs fail, not all parts have one.
fn part_passes(sweep: &str, of_matrix: &[(&str, String)]) -> bool {
    let site = Site::new();
    let output = site.bash(&format!("seedbed sweep {sweep} --shard {}/{}", of_matrix[0].1, of_matrix[1].1), &[]);
    output.status.success()
}

/// Does the steps of a job on a new machine, and says whether all of them succeeded.
fn github_job(job: &Yaml, of_matrix: &[(&str, String)], sweep: &str, artifacts: &Path) -> bool {
    let site = Site::new();
    // A new machine has no seedbed.
    fs::remove_file(site.path("bin/seedbed")).expect("the program");
    let added = site.path("added-to-path");
    let fill = |text: &str| of_matrix.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let summary = site.path("summary.md");
    let shown = |path: &Path| path.to_str().expect("a path").to_owned();
    let mut variables =
        vec![("SWEEP", sweep.to_owned()), ("GITHUB_STEP_SUMMARY", shown(&summary)), ("GITHUB_PATH", shown(&added))];
    if let Some(own) = job["env"].as_hash() {
        variables.extend(own.iter().map(|(name, value)| (text(name), fill(text(value)))));
    }
    let mut succeeded = true;
    for step in job["steps"].as_vec().expect("a list of steps") {
        let always = step["if"].as_str().is_some_and(|condition| condition == "${{ !cancelled() }}");
        assert!(always || step["if"].is_badvalue(), "{step:?}");
        if !always && !succeeded {
            continue;
        }
        let with = |name: &str| fill(text(&step["with"][name]));
        match (step["run"].as_str(), step["uses"].as_str().map(|uses| uses.split('@').next().unwrap_or_default())) {
            // It is built already.
            (Some("cargo build --release --locked"), None) => {
                fs::create_dir_all(site.path("target/release")).expect("a folder");
                fs::copy(env!("CARGO_BIN_EXE_seedbed"), site.path("target/release/seedbed")).expect("the program");
            }
            (Some(command), None) => {
                let folders = fs::read_to_string(&added).unwrap_or_default();
                let path: String = folders.lines().map(|folder| format!("PATH={folder}:$PATH\n")).collect();
                succeeded &= site.bash(&(path + &fill(command)), &variables).status.success();
            }
            (None, Some("actions/checkout" | "actions/cache")) => {}
            (None, Some("actions/upload-artifact")) => {
                let paths: Vec<PathBuf> = with("path").split_whitespace().map(|path| site.path(path)).collect();
                let there: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
                let optional = step["with"]["if-no-files-found"].as_str() == Some("ignore");
                assert!(optional || there.len() == paths.len(), "{paths:?}");
                let folder = artifacts.join(with("name"));
                for path in there {
                    fs::create_dir_all(&folder).expect("a folder");
                    copy(path, &folder);
                }
                // Permissions are not kept.
                for file in fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()) {
                    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("permissions");
                }
            }
            (None, Some("actions/download-artifact")) => {
                let to = site.path(&with("path"));
                fs::create_dir_all(&to).expect("a folder");
                if let Some(name) = step["with"]["name"].as_str() {
                    copy(&artifacts.join(name), &to);
                    continue;
                }
                let pattern = with("pattern");
                let start = pattern.strip_suffix('*').expect("a pattern");
                assert_eq!(step["with"]["merge-multiple"].as_bool(), Some(true));
                for artifact in fs::read_dir(artifacts).expect("a folder").map(|entry| entry.expect("an entry")) {
                    if artifact.file_name().to_string_lossy().starts_with(start) {
                        copy(&artifact.path(), &to);
                    }
                }
            }
            _ => panic!("what does this step do? {step:?}"),
        }
    }
    if summary.exists() {
        let shown = fs::read_to_string(&summary).expect("a summary");
        assert!(shown.lines().all(|line| line.starts_with("    ")) && shown.contains("runs passed"), "{shown}");
    }
    succeeded
}

/// Copies a file into a folder, or all files of one folder into another.
fn copy(from: &Path, to: &Path) {
    let files = if from.is_dir() {
        fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    } else {
        vec![from.to_owned()]
    };
    for file in files {
        fs::copy(&file, to.join(file.file_name().expect("a file has a name"))).expect("a copy");
    }
}

/// Leaves of a part what an interrupted attempt leaves: its first half, torn within a line, under another name.
fn interrupt(part: &Path) {
    let text = fs::read(part).expect("a part");
    fs::remove_file(part).expect("a part");
    fs::write(part.with_extension("csv.part"), &text[..text.len() / 2]).expect("the half of a part");
}

/// A folder with what there is where sweeps are done: the scenarios, deploy/ and programs.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Site {
        let site = Site { folder: TempDir::new().expect("a temporary folder") };
        fs::create_dir(site.path("bin")).expect("a folder for programs");
        symlink(env!("CARGO_BIN_EXE_seedbed"), site.path("bin/seedbed")).expect("a link to the program");
        for name in ["scenarios", "deploy"] {
            symlink(root().join(name), site.path(name)).expect("a link");
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a script as GitHub's runners do.
    fn bash(&self, script: &str, variables: &[(&str, String)]) -> Output {
        let stand_ins = root().join("tests/deploy");
        let path = format!("PATH={}:{}:$PATH\n", self.path("bin").display(), stand_ins.display());
        let words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"].map(str::to_owned);
        self.command(&[&words[..], &[path + script]].concat(), variables)
    }

    fn command(&self, words: &[String], variables: &[(&str, String)]) -> Output {
        let mut command = processes::program(&words[0]);
        command.args(&words[1..]).current_dir(self.folder.path());
        ["PARTS", "BASH_ENV", "ENV"].iter().for_each(|name| _ = command.env_remove(name));
        command.envs(variables.iter().map(|(name, value)| (name, value))).output().expect("a command")
    }

    /// What the undivided sweep writes.
    fn whole(&self, sweep: &str) -> String {
        self.bash(&format!("rm -f whole.csv; seedbed sweep {sweep} --csv whole.csv || [ $? -eq 1 ]"), &[]);
        self.read("whole.csv")
    }

    fn merged(&self, parts: &str) -> String {
        self.bash(&format!("seedbed merge {parts} -o merged.csv || [ $? -eq 1 ]"), &[]);
        self.read("merged.csv")
    }
}

fn yaml(name: &str) -> Vec<Yaml> {
    let text = fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn container(job: &Yaml) -> &Yaml {
    &job["spec"]["template"]["spec"]["containers"][0]
}

fn text(yaml: &Yaml) -> &str {
    yaml.as_str().unwrap_or_else(|| panic!("{yaml:?} is no text"))
}

fn words(yaml: &Yaml) -> Vec<String> {
    yaml.as_vec().expect("a list").iter().map(|word| text(word).to_owned()).collect()
}

fn assert_success(output: &Output) {
    let told = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    assert!(output.status.success(), "{:?}: {told}", output.status.code());
}
