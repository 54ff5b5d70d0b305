//! What each world can play.

use super::*;

/// The refusals by the two real worlds of a file with one more key.
fn refusals(changes: &[(&str, &str)]) -> [Option<String>; 2] {
    let scenario = loaded(changes).scenario;
    assert_eq!(scenario.unplayable(World::Virtual), None);
    [World::Live, World::Grpc].map(|world| scenario.unplayable(world).map(|what| what.to_string()))
}

fn in_virtual(what: &str) -> Option<String> {
    Some(format!("`{what}` happens in the virtual world only"))
}

fn in_servers(what: &str) -> Option<String> {
    Some(format!("`{what}` happens in the virtual and the gRPC world only"))
}

fn in_processes(what: &str) -> Option<String> {
    Some(format!("`{what}` happens in the virtual and the live world only"))
}

#[test]
fn faults_of_hosts_are_played_where_processes_can_be_started_and_stopped_and_those_of_clocks_and_disks_are_not() {
    for (name, keys) in
        [("crash", ""), ("restart", ""), ("restart", r#", "wipe": false"#), ("pause", ""), ("resume", "")]
    {
        let event = format!(r#"[{{"type": "{name}", "time": 1, "replica": "leader"{keys}}}]"#);
        assert_eq!(refusals(&[("events", &event)]), [None, None], "{name}");
    }
    for (name, keys) in [
        ("clock", ""),
        ("slow_disk", r#", "times": 2"#),
        ("full_disk", ""),
        ("corrupt_disk", ""),
        ("lying_disk", ""),
        ("mend_disk", ""),
    ] {
        let event = format!(r#"[{{"type": "{name}", "time": 1, "replica": 0{keys}}}]"#);
        assert_eq!(refusals(&[("events", &event)]), [in_virtual(name), in_virtual(name)], "{name}");
    }
    let wipe = r#"[{"type": "restart", "time": 1, "wipe": true}]"#;
    assert_eq!(refusals(&[("events", wipe)]), [in_virtual("wipe"), in_virtual("wipe")]);
    let kills = r#"[{"type": "kill", "time": 1, "replica": 0}, {"type": "kill_leader", "time": 2}, {"type": "heal", "time": 3}]"#;
    assert_eq!(refusals(&[("events", kills)]), [None, None]);
}

#[test]
fn the_lan_in_virtual_time_plays_clocks_delays_and_duplicates_but_no_disks() {
    let refusal = |changes: &[(&str, &str)]| loaded(changes).scenario.unplayable(World::Lan).map(|what| what.what);
    let event = |name: &str, keys: &str| format!(r#"[{{"type": "{name}", "time": 1, "replica": 0{keys}}}]"#);
    for (name, keys) in
        [("crash", ""), ("restart", ""), ("pause", ""), ("resume", ""), ("clock", ""), ("clock", r#", "jump_ms": 9"#)]
    {
        assert_eq!(refusal(&[("events", &event(name, keys))]), None, "{name}");
    }
    for (name, keys) in [
        ("slow_disk", r#", "times": 2"#),
        ("full_disk", ""),
        ("corrupt_disk", ""),
        ("lying_disk", ""),
        ("mend_disk", ""),
    ] {
        assert_eq!(refusal(&[("events", &event(name, keys))]), Some(name));
    }
    assert_eq!(refusal(&[("events", &event("restart", r#", "wipe": true"#))]), Some("wipe"));
    assert_eq!(refusal(&[("disk", r#"{"sync_ms": {"kind": "constant", "ms": 1}}"#)]), Some("disk.sync_ms"));
    assert_eq!(refusal(&[("workload", r#"{"kind": "cas"}"#)]), Some("cas"));
    let slow = r#"{"model": "links", "delay": {"kind": "constant", "ms": 1}, "duplicate": 0.1, "damage": 0.1,
        "links": [{"from": 0, "to": 1, "delay": {"kind": "constant", "ms": 9}}]}"#;
    assert_eq!(refusal(&[("network", slow), ("losses", r#"[{"from": 0, "to": 1, "nth": 2}]"#)]), None);
}

#[test]
fn delays_and_duplicates_are_for_the_virtual_world_and_damage_is_for_the_live_one_too() {
    let links = r#""model": "links", "delay": {"kind": "constant", "ms": 1}"#;
    let slow = format!(r#"{{{links}, "links": [{{"from": 0, "to": 1, "delay": {{"kind": "constant", "ms": 9}}}}]}}"#);
    let twice = format!(r#"{{{links}, "duplicate": 0.1}}"#);
    for (what, changes) in [
        ("links", vec![("network", slow.as_str())]),
        ("duplicate", vec![("network", twice.as_str())]),
        ("duplicate", vec![("events", r#"[{"type": "duplicate", "time": 1, "value": 0.5}]"#)]),
    ] {
        assert_eq!(refusals(&changes), [in_virtual(what), in_virtual(what)]);
    }
    let disk = [("disk", r#"{"sync_ms": {"kind": "constant", "ms": 1}}"#)];
    assert_eq!(refusals(&disk), [in_servers("disk.sync_ms"), None], "servers have real disks");
    for (network, event) in [(r#""model": "course", "damage": 0.1"#, 0.0), (links, 0.1), (links, 0.0)] {
        let events = format!(r#"[{{"type": "damage", "time": 1, "value": {event}}}]"#);
        let changes = [("network", &*format!("{{{network}}}")), ("events", &*events)];
        assert_eq!(refusals(&changes), [None, in_processes("damage")]);
    }
    assert_eq!(refusals(&[("network", &format!("{{{links}}}"))]), [None, None]);
    let instant = Scenario { disk: Some(Delay::Constant(Span::ZERO)), ..loaded(&[]).scenario };
    assert_eq!(instant.unplayable(World::Live), None);
    assert_eq!(refusals(&[("losses", r#"[{"from": 0, "to": 1, "nth": 2}]"#)]), [None, in_processes("losses")]);
}

#[test]
fn updates_are_played_where_replicas_are_servers_and_kinds_without_a_service_in_the_virtual_world_only() {
    let listed = |operation: &str| format!(r#"[{{"time": 0, "client": 0, {operation}}}]"#);
    let (update, dequeue) = (listed(r#""update": "k", "value": "v""#), listed(r#""dequeue": "q""#));
    for (what, changes) in [
        ("cas", vec![("workload", r#"{"kind": "cas"}"#)]),
        ("update", vec![("workload", r#"{"keys": "private", "updates": true}"#)]),
        ("update", vec![("requests", ""), ("operations", &*update)]),
    ] {
        assert_eq!(refusals(&changes), [in_servers(what), None]);
    }
    for (what, changes) in [
        ("lock", vec![("workload", r#"{"kind": "lock"}"#)]),
        ("queue", vec![("requests", ""), ("operations", &*dequeue)]),
    ] {
        assert_eq!(refusals(&changes), [in_virtual(what), in_virtual(what)]);
    }
    let aimed = listed(r#""replica": "leader", "put": "k", "value": "v""#);
    let patient = [("requests", ""), ("operations", &*aimed), ("clients", r#"{"timeout_ms": 9}"#)];
    assert_eq!(refusals(&patient), [None, None]);
}
