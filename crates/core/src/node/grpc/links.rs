//! The streams between servers.
//!
//! Each pair has one stream for both directions. The server with the lower number opens it, and opens it again after a
//! failure, with growing, randomised pauses. The other one waits. Once it is open, both sides do the same (`converse`).
//!
//! A slow stream never blocks its server. Outgoing messages wait in a queue that is bounded in number and in bytes.
//! Messages that find no room there are lost, as messages may be. A server that hangs is detected because it does not
//! answer the pings of HTTP/2.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream as FrameStream, StreamExt};
use tonic::transport::ClientTlsConfig;
use tonic::{Status, Streaming};

use super::convert;
use super::introduction::Unwelcome;
use super::{Event, Shared};
use crate::id::ReplicaId;
use crate::rng::Stream;
use crate::rpc::proto::raft::frame::Content;
use crate::rpc::proto::raft::raft_client::RaftClient;
use crate::rpc::proto::raft::{Batch, Frame, Hello, Message, Refusal, Welcome};
use crate::rpc::{self, CONNECT_TIMEOUT};
use crate::server::Message as PeerMessage;

/// How many batches wait for a stream. Raft bounds how many appends are in flight; this bounds everything else.
const QUEUED_BATCHES_MAX: usize = 256;

/// How many bytes of batches wait for a stream, about. With large values the number alone would allow too much.
const QUEUED_BYTES_MAX: usize = 64 << 20;

/// The unit in which bytes of the queue are counted.
const ROOM_UNIT_BYTES: usize = 1 << 10;

/// The most bytes of one frame, so that a server never refuses a frame of another one. A frame may exceed it by one
/// message of the largest size.
const FRAME_BYTES_MAX: usize = FRAME_BYTES_LIMIT / 4;

/// The most bytes of a frame that is read at all.
pub(super) const FRAME_BYTES_LIMIT: usize = 16 << 20;

/// How long a server waits before it connects again: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long the other side may take to send its hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends messages to another server.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The open streams, the newest last; mostly there is one. An older stream may be dead without notice. But if the
    /// newest ends first, it arrived late, and the other side listens on the older one.
    streams: Mutex<Vec<Sender>>,
}

/// A stream's end.
#[derive(Clone, Debug)]
struct Sender {
    frames: Frames,
    /// The other side has confirmed that it listens.
    welcome: bool,
}

/// A stream's queue of frames, bounded in number and in bytes.
#[derive(Clone, Debug)]
struct Frames {
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
}

/// A frame in the queue, and the room that it takes there.
type Queued = (Frame, Option<OwnedSemaphorePermit>);

impl Frames {
    fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    fn is(&self, other: &Frames) -> bool {
        self.queue.same_channel(&other.queue)
    }

    /// Puts a frame into the queue if there is room. Returns whether there was room.
    fn offer(&self, batch: Batch) -> bool {
        let units =
            prost::Message::encoded_len(&batch).div_ceil(ROOM_UNIT_BYTES).min(QUEUED_BYTES_MAX / ROOM_UNIT_BYTES);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(units as u32) else { return false };
        self.queue.try_send((Frame { content: Some(Content::Batch(batch)) }, Some(room))).is_ok()
    }

    /// Waits for a place in the queue.
    async fn send(&self, content: Content) {
        // If the other end is gone, the next read fails.
        let _ = self.queue.send((Frame { content: Some(content) }, None)).await;
    }
}

/// The outgoing half of a stream.
pub(super) type Outgoing = Pin<Box<dyn FrameStream<Item = Result<Frame, Status>> + Send>>;

/// Why a stream has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The other side has ended it, or could not be reached.
    #[error("{}", rpc::describe(.0))]
    Broken(#[from] Status),
    /// There was no connection.
    #[error("{}", rpc::describe_transport(.0))]
    Unreachable(#[from] tonic::transport::Error),
    /// The other side violates the protocol.
    #[error("{0}")]
    Nonsense(&'static str),
    /// This server rejects the other one.
    #[error("{0}")]
    Unwelcome(Unwelcome),
    /// The other one rejects this server.
    #[error("refused by the other side: {}", crate::printable::printable(.0))]
    Refused(String),
    /// The program ends.
    #[error("this server ends")]
    Over,
}

impl Link {
    fn streams(&self) -> MutexGuard<'_, Vec<Sender>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest stream on which the other side listens.
    fn newest(&self) -> Option<Frames> {
        let streams = self.streams();
        let listens = |sender: &&Sender| sender.welcome && !sender.frames.is_closed();
        streams.iter().rev().find(listens).map(|sender| sender.frames.clone())
    }

    /// Whether there is a stream and the other side listens.
    pub fn is_up(&self) -> bool {
        self.newest().is_some()
    }

    /// There is a new stream. The other side does not listen yet.
    fn open(&self, frames: &Frames) {
        self.streams().push(Sender { frames: frames.clone(), welcome: false });
    }

    /// The other side listens on a stream.
    fn welcome(&self, frames: &Frames) {
        if let Some(sender) = self.streams().iter_mut().find(|sender| sender.frames.is(frames)) {
            sender.welcome = true;
        }
    }

    /// A stream has ended.
    fn close(&self, frames: &Frames) {
        self.streams().retain(|sender| !sender.frames.is(frames));
    }

    /// Sends messages, if there is a stream and room in its queue. Returns how many are lost.
    pub fn send(&self, messages: &mut Vec<PeerMessage>) -> usize {
        let Some(frames) = self.newest() else {
            return messages.drain(..).count();
        };
        let mut lost = 0;
        for batch in batches(messages) {
            let count = batch.messages.len();
            if !frames.offer(batch) {
                lost += count;
            }
        }
        lost
    }
}

/// Packs messages into frames that are not too large.
fn batches(messages: &mut Vec<PeerMessage>) -> impl Iterator<Item = Batch> + '_ {
    let mut messages = messages.drain(..).map(|message| Message::from(&message)).peekable();
    std::iter::from_fn(move || {
        let mut batch = vec![messages.next()?];
        let mut bytes = prost::Message::encoded_len(&batch[0]);
        while let Some(message) = messages.next_if(|message| {
            bytes += prost::Message::encoded_len(message);
            bytes <= FRAME_BYTES_MAX
        }) {
            batch.push(message);
        }
        Some(Batch { messages: batch })
    })
}

/// A new stream's outgoing half, and the queue of frames for it.
fn outgoing() -> (Frames, impl FrameStream<Item = Frame> + Send + 'static) {
    let (queue, receiver) = mpsc::channel(QUEUED_BATCHES_MAX);
    let room = Arc::new(Semaphore::new(QUEUED_BYTES_MAX / ROOM_UNIT_BYTES));
    // The room in the queue is freed with its frame.
    (Frames { queue, room }, ReceiverStream::new(receiver).map(|(frame, _)| frame))
}

/// Keeps a stream to another server open as long as this server runs.
pub(super) async fn keep_connected(shared: Arc<Shared>, to: ReplicaId, tls: Option<ClientTlsConfig>, seed: u64) {
    let mut random = Stream::link(seed, "reconnects", u64::from(shared.id.0), u64::from(to.0));
    let mut pause = PAUSE_MIN;
    let mut told = String::new();
    while !shared.is_ending() {
        let began = shared.clock.now();
        let ended = connect(&shared, to, tls.as_ref()).await;
        if shared.is_ending() {
            return;
        }
        // A stream that lasted this long counts as a success.
        if shared.clock.now().since(began).as_secs_f64() > PAUSE_MAX.as_secs_f64() {
            pause = PAUSE_MIN;
            told.clear();
        }
        // Reported once for each reason, not for each attempt.
        let reason = ended.to_string();
        if reason != told {
            tracing::warn!(peer = to.0, address = %shared.members[to.index()], "no connection: {reason}");
            told = reason;
        }
        let jitter = random.between(0, pause.as_millis() as u64 / 2);
        shared.unless_ending(sleep(pause + Duration::from_millis(jitter))).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Opens a stream and uses it until it ends.
async fn connect(shared: &Arc<Shared>, to: ReplicaId, tls: Option<&ClientTlsConfig>) -> Ended {
    let attempt = async {
        let channel = rpc::endpoint(&shared.members[to.index()], tls)?.connect().await?;
        let mut client = RaftClient::new(channel)
            .max_decoding_message_size(FRAME_BYTES_LIMIT)
            .max_encoding_message_size(FRAME_BYTES_LIMIT);
        let (sender, outgoing) = outgoing();
        let hello = shared.introduction.hello(to);
        sender.send(Content::Hello(hello)).await;
        let incoming = client.exchange(outgoing).await?.into_inner();
        Ok::<_, Ended>((sender, incoming))
    };
    let (sender, mut incoming) = match timeout(CONNECT_TIMEOUT + HELLO_TIMEOUT, attempt).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(ended)) => return ended,
        Err(_) => return Ended::Nonsense("it takes too long"),
    };
    let hello = match first_hello(&mut incoming).await {
        Ok(hello) => hello,
        Err(ended) => return ended,
    };
    converse(shared, hello, sender, incoming).await
}

/// Takes a stream that another server has opened. Returns the outgoing half.
pub(super) fn accept(shared: Arc<Shared>, mut incoming: Streaming<Frame>) -> Outgoing {
    let (sender, outgoing) = outgoing();
    tokio::spawn(async move {
        let ended = match first_hello(&mut incoming).await {
            Ok(hello) => {
                if let Some(from) = shared.member(hello.from) {
                    let own = shared.introduction.hello(from);
                    sender.send(Content::Hello(own)).await;
                }
                converse(&shared, hello, sender, incoming).await
            }
            Err(ended) => ended,
        };
        tracing::debug!("a stream of another server has ended: {ended}");
    });
    Box::pin(outgoing.map(Ok))
}

/// Waits for the hello of the other side.
async fn first_hello(incoming: &mut Streaming<Frame>) -> Result<Hello, Ended> {
    let frame = timeout(HELLO_TIMEOUT, incoming.message()).await.map_err(|_| Ended::Nonsense("it says no hello"))??;
    match frame.and_then(|frame| frame.content) {
        Some(Content::Hello(hello)) => Ok(hello),
        Some(Content::Refusal(refusal)) => Err(Ended::Refused(refusal.message)),
        _ => Err(Ended::Nonsense("it says no hello")),
    }
}

/// Both sides run this once the other has sent its hello: they welcome or refuse it, and then take its messages.
async fn converse(shared: &Arc<Shared>, hello: Hello, sender: Frames, mut incoming: Streaming<Frame>) -> Ended {
    let judged = shared.introduction.judge(&hello);
    let from = match judged {
        Ok(from) => from,
        Err(unwelcome) => {
            tracing::warn!("not welcome: {unwelcome}");
            sender.send(Content::Refusal(Refusal::from(unwelcome.clone()))).await;
            drop(sender);
            // If the side that opened the stream left now, the refusal could be lost. The other side ends the stream
            // when it has read the refusal.
            let read = async { while let Ok(Some(_)) = incoming.message().await {} };
            let _ = timeout(HELLO_TIMEOUT, read).await;
            return Ended::Unwelcome(unwelcome);
        }
    };
    sender.send(Content::Welcome(Welcome {})).await;
    let link = &shared.links[from.index()];
    link.open(&sender);
    let ended = loop {
        let frame = tokio::select! {
            frame = incoming.message() => frame,
            () = shared.ending() => break Ended::Over,
        };
        let frame = match frame {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ended::Nonsense("it has ended the stream"),
            Err(status) => break Ended::Broken(status),
        };
        match frame.content {
            Some(Content::Batch(batch)) => {
                for message in batch.messages {
                    receive(shared, from, message).await;
                }
            }
            Some(Content::Welcome(_)) => {
                link.welcome(&sender);
                tracing::info!(peer = from.0, "connected");
            }
            Some(Content::Refusal(refusal)) => break Ended::Refused(refusal.message),
            Some(Content::Hello(_)) | None => shared.ignore(from, 1),
        }
    };
    link.close(&sender);
    tracing::info!(peer = from.0, still = link.is_up(), "a stream has ended: {ended}");
    ended
}

/// The receiver's handler: here the chaos monkey drops messages.
async fn receive(shared: &Arc<Shared>, from: ReplicaId, message: Message) {
    match convert::read(message) {
        Some(message) => {
            if shared.admits(from, convert::kind(&message)) {
                shared.tell(Event::Peer { from, message }).await;
            }
        }
        None => shared.ignore(from, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Operation;

    /// A queue with room for this many batches, and its end.
    fn queue(batches: usize) -> (Frames, mpsc::Receiver<Queued>) {
        let (queue, end) = mpsc::channel(batches);
        (Frames { queue, room: Arc::new(Semaphore::new(QUEUED_BYTES_MAX / ROOM_UNIT_BYTES)) }, end)
    }

    fn forward(token: u64, bytes: usize) -> PeerMessage {
        PeerMessage::Forward {
            token,
            operation: Operation::Get { key: "k".repeat(bytes).into() },
            relay: false,
            patience: crate::time::Span::from_secs(1),
        }
    }

    #[test]
    fn messages_share_a_frame_up_to_its_size_and_keep_their_order() {
        let mut messages: Vec<PeerMessage> = (0..10).map(|token| forward(token, FRAME_BYTES_MAX / 4)).collect();
        let frames: Vec<Batch> = batches(&mut messages).collect();
        assert!(messages.is_empty());
        let counts: Vec<usize> = frames.iter().map(|frame| frame.messages.len()).collect();
        assert_eq!(counts, [3, 3, 3, 1]);
        let tokens = frames.into_iter().flat_map(|frame| frame.messages).map(|message| match message.content {
            Some(crate::rpc::proto::raft::message::Content::Forward(forward)) => forward.token,
            other => panic!("{other:?}"),
        });
        assert_eq!(tokens.collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_larger_than_a_frame_travels_alone() {
        let mut messages = vec![forward(0, 1), forward(1, FRAME_BYTES_MAX), forward(2, 1), forward(3, 1)];
        let counts: Vec<usize> = batches(&mut messages).map(|frame| frame.messages.len()).collect();
        assert_eq!(counts, [1, 1, 2]);
    }

    #[test]
    fn messages_that_find_no_stream_or_no_room_are_lost_and_counted() {
        let link = Link::default();
        assert_eq!((link.send(&mut vec![forward(0, 1), forward(1, 1)]), link.is_up()), (2, false));
        let (frames, mut queue) = queue(2);
        link.open(&frames);
        assert_eq!(link.send(&mut vec![forward(0, 1)]), 1, "nobody listens yet");
        link.welcome(&frames);
        assert!(link.is_up());
        assert_eq!((0..5).map(|token| link.send(&mut vec![forward(token, 1)])).sum::<usize>(), 3);
        assert!(queue.try_recv().is_ok() && queue.try_recv().is_ok() && queue.try_recv().is_err());
        drop(queue);
        assert!(!link.is_up());
    }

    #[test]
    fn when_a_late_stream_ends_the_one_before_is_used_again() {
        let link = Link::default();
        let ((one, mut one_end), (other, mut other_end)) = (queue(9), queue(9));
        link.open(&one);
        link.welcome(&one);
        link.open(&other);
        assert_eq!(link.send(&mut vec![forward(0, 1)]), 0);
        assert!(one_end.try_recv().is_ok(), "nobody listens on the newer one yet");
        link.welcome(&other);
        assert_eq!(link.send(&mut vec![forward(0, 1)]), 0);
        assert!(one_end.try_recv().is_err() && other_end.try_recv().is_ok());
        link.close(&other);
        assert_eq!(link.send(&mut vec![forward(0, 1)]), 0);
        assert!(one_end.try_recv().is_ok() && other_end.try_recv().is_err());
        link.close(&one);
        assert!(!link.is_up() && link.streams().is_empty());
    }

    #[test]
    fn the_queue_of_a_stream_is_bounded_in_bytes_too_and_sent_frames_free_their_room() {
        let link = Link::default();
        let (frames, mut end) = queue(1_000);
        link.open(&frames);
        link.welcome(&frames);
        let large = || vec![forward(0, QUEUED_BYTES_MAX / 8)];
        assert_eq!((0..10).map(|_| link.send(&mut large())).sum::<usize>(), 3, "seven and what is around them fit");
        drop(end.try_recv().expect("a frame"));
        assert_eq!(link.send(&mut large()) + link.send(&mut large()), 1);
    }
}
