//! Runs a program in virtual time, and shows what it prints and sends.

use std::path::PathBuf;
use std::rc::Rc;

use seedbed_intercept::{Host, Interleaving, Kernel, Launch, Setting, State, TimeModel, Unsupported};

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let launch = Launch {
        program: PathBuf::from(&arguments[0]),
        arguments,
        environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        folder: PathBuf::from("."),
        writable: PathBuf::from("."),
    };
    let kernel = Rc::new(Kernel::new().expect("a kernel"));
    let setting = Setting {
        seed: 1,
        first_id: 100,
        model: TimeModel::default(),
        interleaving: Interleaving::Fifo,
        unsupported: Unsupported::Ends,
    };
    let mut host = Host::start(&kernel, &launch, &setting, 0).unwrap_or_else(|error| panic!("{error}"));
    while *host.state() == State::Running
        && let Some(now) = host.next_wake()
    {
        host.run(now);
        while let Some(line) = host.printer().take() {
            println!("{:>14} {:?} {}", line.time, line.output, String::from_utf8_lossy(&line.bytes));
        }
        while let Some(datagram) = host.take_sent() {
            println!("{now:>14} sent {:?}", datagram);
        }
    }
    println!("{:?} {:?}", host.state(), host.counts());
}
