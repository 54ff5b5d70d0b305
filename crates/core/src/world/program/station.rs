//! A replica that is a program.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::rc::{Rc, Weak};

use seedbed_intercept::{Host, Interleaving, Kernel, Launch, Setting, StartError, State, TimeModel};

use super::{Program, Scratch};
use crate::id::ReplicaId;
use crate::machine::{Exit, Identity, Input, Machine, Outbox};
use crate::rng::Stream;
use crate::scenario::ProcessModel;
use crate::time::{Span, Time};
use crate::world::lan::{Station, command_line};

/// The port of the LAN's router, as programs see it.
const ROUTER: u16 = 37_000;

/// The number of a replica's first process; those of the next replica begin so much later.
const FIRST_ID: i32 = 1_000;

/// Programs start within this time, so that those that seed their random numbers from the clock differ.
const STAGGER: Span = Span::from_millis(3);

/// What the folder of every run is called in what is told of programs.
const SHOWN: &str = "/tmp/seedbed/000";

/// How many of its last lines a program's end is told with.
const LAST_LINES: usize = 5;

/// What the programs of one run share: the tracer, and the copy of their files.
#[derive(Debug)]
pub struct Premises {
    kernel: Rc<Kernel>,
    scratch: Scratch,
    model: ProcessModel,
    seed: u64,
}

thread_local! {
    /// The tracer of the runs that this thread plays. There may be two at a time, in lockstep.
    static KERNEL: RefCell<Weak<Kernel>> = const { RefCell::new(Weak::new()) };
}

fn kernel() -> Result<Rc<Kernel>, StartError> {
    KERNEL.with_borrow_mut(|shared| {
        if let Some(kernel) = shared.upgrade() {
            return Ok(kernel);
        }
        let kernel = Rc::new(Kernel::new()?);
        *shared = Rc::downgrade(&kernel);
        Ok(kernel)
    })
}

impl Premises {
    /// The premises of a run of this program.
    ///
    /// # Errors
    /// Says why it cannot be simulated here.
    pub fn new(program: &Program, model: ProcessModel, seed: u64) -> Result<Premises, String> {
        let kernel = kernel().map_err(|error| error.to_string())?;
        let copied = Scratch::new(program.files());
        let scratch = copied.map_err(|error| {
            format!("its files cannot be copied to /tmp/seedbed: {error}; `seedbed doctor` says more")
        })?;
        Ok(Premises { kernel, scratch, model, seed })
    }

    fn launch(&self, program: &Program, identity: Identity) -> Launch {
        let own = self.scratch.root().join(program.files().program());
        let folder = own.parent().unwrap_or(&own).to_owned();
        let file = Path::new(".").join(own.file_name().unwrap_or_default());
        let line = command_line(self.seed, identity.id, identity.replicas, ROUTER);
        let arguments = [file.clone().into_os_string()].into_iter().chain(line.into_iter().map(Into::into)).collect();
        Launch {
            program: file,
            arguments,
            environment: program.environment(&self.scratch.temporary()),
            folder,
            writable: self.scratch.folder().to_owned(),
        }
    }

    fn setting(&self, program: &Program, identity: Identity, incarnation: u32) -> Setting {
        let mut stream = Stream::link(self.seed, "program", u64::from(identity.id.0), u64::from(incarnation));
        let ProcessModel { wake, send, receive, poll, clock_read, call, drawn_turns } = self.model;
        let model = TimeModel {
            wake: (wake.0.nanos(), wake.1.nanos()),
            send: send.nanos(),
            receive: receive.nanos(),
            poll: poll.nanos(),
            clock: clock_read.nanos(),
            call: call.nanos(),
        };
        Setting {
            seed: stream.next_u64(),
            first_id: FIRST_ID * (1 + i32::from(identity.id.0)),
            model,
            interleaving: if drawn_turns { Interleaving::Drawn } else { Interleaving::Fifo },
            unsupported: program.unsupported(),
        }
    }
}

/// A replica that is a program, whose processes run for real and whose time is virtual.
#[derive(Debug)]
pub struct ProgramStation {
    /// None once its power has failed.
    host: Option<Host>,
    obstacle: Option<String>,
    /// The folder of its run.
    place: String,
    /// How many lost lines were told.
    told_lost: u64,
    /// How many calls that could not be simulated were told.
    told_unsupported: usize,
    /// The port of the socket that its first datagram came from: the router sends everything there.
    home: Option<u16>,
    /// Whether it was told that a datagram went nowhere.
    strayed: bool,
    /// How many of the files that it wrote outside its folder were told.
    told_outside: usize,
    /// Lines of this machine's own, about the program.
    remarks: Vec<String>,
    last_lines: VecDeque<String>,
    has_exited: bool,
    /// Whether it has handled an input.
    has_begun: bool,
}

impl ProgramStation {
    /// Starts the program. If that fails, it is an obstacle.
    pub fn start(
        program: &Program,
        premises: &Premises,
        identity: Identity,
        incarnation: u32,
        now: Time,
    ) -> ProgramStation {
        let id = u64::from(identity.id.0);
        let delay = Stream::link(premises.seed, "program start", id, u64::from(incarnation)).below(STAGGER.nanos());
        let setting = premises.setting(program, identity, incarnation);
        let launch = premises.launch(program, identity);
        let started = Host::start(&premises.kernel, &launch, &setting, now.nanos() + delay);
        let (host, obstacle) = match started {
            Ok(mut host) => {
                if program.tells_calls {
                    host.keep_journal(premises.scratch.folder(), Path::new(SHOWN));
                }
                (Some(host), None)
            }
            Err(error) => (None, Some(format!("cannot be started: {error}"))),
        };
        ProgramStation {
            place: premises.scratch.folder().display().to_string(),
            ..ProgramStation::around(host, obstacle)
        }
    }

    /// A replica that cannot be started.
    pub fn unable(why: String) -> ProgramStation {
        ProgramStation::around(None, Some(why))
    }

    fn around(host: Option<Host>, obstacle: Option<String>) -> ProgramStation {
        ProgramStation {
            host,
            obstacle,
            place: String::new(),
            home: None,
            strayed: false,
            told_outside: 0,
            told_unsupported: 0,
            told_lost: 0,
            remarks: Vec::new(),
            last_lines: VecDeque::new(),
            has_exited: false,
            has_begun: false,
        }
    }

    /// Its host, while it has power.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// What has come of a run of its programs.
    fn look(&mut self, out: &mut Outbox<ProgramStation>, own: ReplicaId) {
        let Some(host) = &mut self.host else { return };
        while let Some(datagram) = host.take_sent() {
            if datagram.to == ROUTER {
                self.home.get_or_insert(datagram.from);
                out.send(own, datagram.bytes.into());
            } else if !std::mem::replace(&mut self.strayed, true) {
                self.remarks.push(format!("sends a datagram to port {}, where no socket is", datagram.to));
            }
        }
        for path in &host.written_outside()[self.told_outside..] {
            self.remarks.push(format!("writes to {}, outside its folder: later runs may find that", path.display()));
            self.told_outside += 1;
        }
        match host.state() {
            State::Running => {}
            State::Stuck(obstacle) => self.obstacle = Some(obstacle.to_string()),
            &State::Ended(ending) if !std::mem::replace(&mut self.has_exited, true) => {
                self.note_last_lines();
                let lines: Vec<&str> = self.last_lines.iter().map(String::as_str).collect();
                let words =
                    if lines.is_empty() { String::new() } else { format!("; last words: {}", lines.join(" | ")) };
                out.exit(Exit(format!("{ending}{words}").into()));
            }
            State::Ended(_) => {}
        }
    }

    /// Takes what it has printed. The last lines are kept, for its end.
    fn note_last_lines(&mut self) {
        let Some(host) = &mut self.host else { return };
        while let Some(line) = host.printer().take() {
            let line = without_slot(&String::from_utf8_lossy(&line.bytes), &self.place).into_owned();
            if self.last_lines.len() == LAST_LINES {
                self.last_lines.pop_front();
            }
            self.last_lines.push_back(line.clone());
            self.remarks.push(line);
        }
        let lost = host.printer().lost();
        if lost > self.told_lost {
            self.remarks.push(format!("prints faster than it can be kept: {} lines are lost", lost - self.told_lost));
            self.told_lost = lost;
        }
    }
}

/// A text that may name the folder of a run. Runs at the same time have different ones, and their texts should be the
/// same.
fn without_slot<'t>(text: &'t str, place: &str) -> Cow<'t, str> {
    if place.is_empty() || !text.contains(place) { text.into() } else { text.replace(place, SHOWN).into() }
}

impl Machine for ProgramStation {
    type Message = Box<[u8]>;
    type Request = Infallible;
    type Response = Infallible;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<ProgramStation>, out: &mut Outbox<ProgramStation>) {
        self.has_begun = true;
        let Some(host) = &mut self.host else { return };
        match input {
            Input::Timeout | Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
            Input::Peer { message, .. } => {
                if let Some(home) = self.home {
                    host.deliver(home, ROUTER, &message);
                }
            }
            Input::Client { request, .. } => match request {},
        }
        host.run(now.nanos());
        // Whom a station sends to does not matter.
        self.look(out, ReplicaId(0));
    }

    fn poll_timeout(&self) -> Time {
        if !self.has_begun {
            // So that the run learns at once of a program that cannot be started.
            return Time::ZERO;
        }
        self.host.as_ref().and_then(Host::next_wake).map_or(Time::NEVER, Time)
    }
}

impl Station for ProgramStation {
    fn printed(&mut self, line: &mut dyn FnMut(&str)) {
        self.note_last_lines();
        self.remarks.drain(..).for_each(|text| line(&text));
    }

    fn called(&mut self, line: &mut dyn FnMut(&str)) {
        while let Some(call) = self.host.as_mut().and_then(Host::take_call) {
            line(&call.text);
        }
    }

    fn unfaithful(&mut self, tell: &mut dyn FnMut(&str)) {
        let Some(host) = &self.host else { return };
        for obstacle in &host.unsupported()[self.told_unsupported..] {
            tell(&obstacle.to_string());
            self.told_unsupported += 1;
        }
    }

    fn obstacle(&self) -> Option<String> {
        self.obstacle.clone()
    }

    fn power_off(&mut self) {
        self.host = None;
    }
}
