//! Folders: created, opened again, refused. Records: kept, numbered, replaced by checkpoints.

use std::fs;
use std::path::Path;

use super::*;

fn refused(folder: &Path, owner: &Owner) -> String {
    Storage::<Line>::open(folder, owner, Sync::Always).expect_err("this folder must be refused").to_string()
}

#[test]
fn records_are_read_back_in_order_and_their_numbers_continue_over_restarts() {
    let outer = folder();
    let path = outer.path().join("data");
    let mut all = Vec::new();
    for start in 0..4 {
        let (mut storage, recovered) = open(&path).expect("a folder");
        assert_eq!(intact(recovered), all);
        for commit in 0..3 {
            let new = lines(all.len() as u64, &".".repeat(1 + commit * 40 + start));
            storage.write(&new).expect("room");
            all.extend(new);
        }
        storage.write(&[]).expect("no work");
        assert_eq!(storage.usage().records, all.len() as u64);
        assert!(storage.usage().syncs >= 3 && storage.usage().bytes_written > 0);
        let file_bytes = storage.usage().file_bytes;
        drop(storage);
        let names = fs::read_dir(&path).expect("a folder").count();
        assert_eq!(names, 2, "the records and the number of those that are synced");
        assert!(fs::metadata(path.join("seedbed.redb")).expect("a file").len() <= file_bytes);
    }
}

#[test]
fn what_a_kill_leaves_at_any_commit_around_a_checkpoint_is_what_counts_then() {
    for script in
        ["....|..|]|...|..", "....|.[|..|.]|...|", "..|[.|[.|.]|.|", "[..].|.[.].|", "..|[|]|]|[.", "[..|.|.|.].]|.."]
    {
        let original = folder();
        let (mut storage, _) = open(original.path()).expect("a folder");
        let mut all: Vec<Line> = Vec::new();
        for commit in script.split('|') {
            all.extend(lines(all.len() as u64, commit));
            storage.write(&all[all.len() - commit.len()..]).expect("room");
            let left = copy(original.path());
            let expected = numbers(&all[first_of(&all) as usize..]);
            assert_eq!(numbers(&read_back(left.path()).expect("a kill does no harm")), expected, "{script}");
            assert_eq!(storage.usage().records, expected.len() as u64, "{script}");
            // And once more after a clean end.
            assert_eq!(numbers(&read_back(left.path()).expect("a folder")), expected, "{script}");
        }
    }
}

#[test]
fn starts_are_counted_however_the_one_before_ended() {
    let folder = folder();
    for before in 0..4 {
        let (storage, _) = open(folder.path()).expect("a folder");
        assert_eq!(storage.starts(), before);
        // A kill at this moment would be counted, too.
        let left = copy(folder.path());
        assert_eq!(open(left.path()).expect("a kill does no harm").0.starts(), before + 1);
    }
}

#[test]
fn a_checkpoint_that_was_under_way_at_a_restart_is_never_ended() {
    let folder = folder();
    let (mut storage, _) = open(folder.path()).expect("a folder");
    storage.write(&lines(0, "..[.")).expect("room");
    drop(storage);
    let (mut storage, _) = open(folder.path()).expect("a folder");
    storage.write(&lines(4, ".]")).expect("room");
    drop(storage);
    assert_eq!(numbers(&read_back(folder.path()).expect("a folder")), [5]);
}

#[test]
fn replaced_records_are_removed_little_by_little_and_their_room_is_used_again() {
    let folder = folder();
    let (mut storage, _) = open(folder.path()).expect("a folder");
    let values = 3 * REMOVED_VALUES_MAX as u64;
    let mut number = 0;
    let mut sizes = Vec::new();
    for _ in 0..12 {
        for _ in 0..values {
            storage.write(&lines(number, ".")).expect("room");
            number += 1;
        }
        storage.write(&lines(number, "]")).expect("room");
        number += 1;
        assert!(storage.has_replaced, "one commit does not remove all");
        let mut commits = 1;
        while storage.tidy().expect("room") {
            commits += 1;
        }
        assert!((2..=4).contains(&commits), "{commits}");
        assert!(!storage.tidy().expect("no work"));
        sizes.push(storage.usage().file_bytes);
    }
    assert_eq!(sizes[2], sizes[11], "{sizes:?}");
    drop(storage);
    assert_eq!(numbers(&read_back(folder.path()).expect("a folder")), [number - 1]);
}

#[test]
fn records_that_a_checkpoint_has_replaced_are_removed_after_a_restart_too() {
    let folder = folder();
    let (mut storage, _) = open(folder.path()).expect("a folder");
    for number in 0..200 {
        storage.write(&lines(number, ".")).expect("room");
    }
    storage.write(&lines(200, "]")).expect("room");
    drop(storage);
    let (mut storage, recovered) = open(folder.path()).expect("a folder");
    assert_eq!(numbers(&intact(recovered)), [200]);
    assert!(storage.has_replaced);
    for number in 201..205 {
        storage.write(&lines(number, ".")).expect("room");
    }
    assert!(!storage.has_replaced, "later commits remove them");
}

#[test]
fn a_folder_is_open_in_one_place_at_a_time() {
    let folder = folder();
    let (storage, _) = open(folder.path()).expect("a folder");
    let message = refused(folder.path(), &owner());
    assert_eq!(
        message,
        format!(
            "the folder {} is in use; stop the server that uses it, or name another folder",
            folder.path().display()
        )
    );
    drop(storage);
    read_back(folder.path()).expect("it is free again");
}

#[test]
fn a_folder_of_another_owner_is_refused_and_both_are_named() {
    let folder = folder();
    read_back(folder.path()).expect("a folder");
    for other in [
        Owner { program: "other".to_owned(), ..owner() },
        Owner { cluster: "green".to_owned(), ..owner() },
        Owner { replica: ReplicaId(3), ..owner() },
        Owner { replicas: 7, ..owner() },
    ] {
        let message = refused(folder.path(), &other);
        let expected = format!("belongs to {} and not to {other}; name another folder", owner());
        assert!(message.ends_with(&expected), "{message}");
    }
    assert_eq!(owner().to_string(), "server 2 of the 5 of cluster \"blue\" (test)");
    read_back(folder.path()).expect("it was not touched");
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    let folder = folder();
    let (storage, _) = open(folder.path()).expect("a folder");
    let transaction = storage.database.begin_write().expect("the only one");
    let mut meta = transaction.open_table(META).expect("a table");
    meta.insert(KEY_FORMAT, 7_u32.to_le_bytes().as_slice()).expect("room");
    drop(meta);
    transaction.commit().expect("room");
    drop(storage);
    let message = refused(folder.path(), &owner());
    assert!(message.contains("has format 7, and this program knows formats up to 1"), "{message}");
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_what_to_do() {
    let outer = folder();
    let missing = outer.path().join("missing/data");
    let message = refused(&missing, &owner());
    assert!(message.contains("cannot create the folder") && message.contains("must exist"), "{message}");
    let file = outer.path().join("file");
    fs::write(&file, "text").expect("room");
    let message = refused(&file, &owner());
    assert!(message.contains("is not a folder"), "{message}");
    // The system lets not even root create anything here.
    let message = refused(Path::new("/proc/seedbed"), &owner());
    assert!(message.contains("cannot create the folder /proc/seedbed"), "{message}");
    let message = refused(Path::new("/proc/self"), &owner());
    assert!(message.contains("cannot create /proc/self/seedbed.redb.unfinished"), "{message}");
    let folder = outer.path().join("occupied");
    fs::create_dir_all(folder.join("seedbed.redb")).expect("room");
    let message = refused(&folder, &owner());
    assert!(message.contains("cannot open") && message.contains("must be readable and writable"), "{message}");
}

#[test]
fn a_file_without_write_permission_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    read_back(folder.path()).expect("a folder");
    let file = folder.path().join("seedbed.redb");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("it is ours");
    // Root may write all the same.
    if fs::File::options().write(true).open(&file).is_err() {
        assert!(refused(folder.path(), &owner()).contains("cannot open"));
    }
}

#[test]
fn a_creation_that_was_interrupted_is_begun_anew() {
    let folder = folder();
    for rest in [&b""[..], &b"rubbish"[..]] {
        fs::write(folder.path().join("seedbed.redb.unfinished"), rest).expect("room");
        assert_eq!(read_back(folder.path()).expect("nothing was promised"), []);
        fs::remove_file(folder.path().join("seedbed.redb")).expect("a file");
        fs::remove_file(folder.path().join("synced")).expect("a file");
    }
}

#[test]
fn without_syncs_nothing_is_synced_or_claimed_and_a_later_start_with_syncs_claims_again() {
    let folder = folder();
    let synced = folder.path().join("synced");
    let open_with = |sync| Storage::<Line>::open(folder.path(), &owner(), sync).expect("a folder");
    let (mut storage, _) = open_with(Sync::Always);
    storage.write(&lines(0, "..")).expect("room");
    assert!(synced.exists());
    drop(storage);
    let (mut storage, recovered) = open_with(Sync::Never);
    assert_eq!(numbers(&intact(recovered)), [0, 1]);
    storage.write(&lines(2, "..")).expect("room");
    assert_eq!(storage.usage().syncs, 0);
    assert!(!synced.exists());
    let killed = copy(folder.path());
    assert_eq!(numbers(&read_back(killed.path()).expect("a kill does no harm")), [0, 1, 2, 3]);
    drop(storage);
    let (_storage, recovered) = open_with(Sync::Always);
    assert_eq!(numbers(&intact(recovered)), [0, 1, 2, 3]);
    assert!(synced.exists());
}

#[test]
fn whether_to_sync_is_read_as_it_is_shown() {
    for sync in [Sync::Always, Sync::Never] {
        assert_eq!(sync.to_string().parse(), Ok(sync));
    }
    assert_eq!("sometimes".parse::<Sync>().expect_err("no such choice").to_string(), "allowed is always or never");
}
