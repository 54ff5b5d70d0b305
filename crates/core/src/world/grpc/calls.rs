//! Operations of clients as calls of the store's service, and their answers.
//!
//! The answers are read with care, because the history is judged by them. A server answers `NOT_LEADER` to an update, too,
//! that it has proposed before it was deposed. So only a get is redirected; an update has failed, which says that it may
//! still take effect. A call that breaks has no answer at all.

use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::rpc::KEY_BYTES_MAX;
use crate::rpc::proto::kvstore::key_value_store_client::KeyValueStoreClient;
use crate::rpc::proto::kvstore::{
    CompareAndSwapRequest, DeleteRequest, GetRequest, PutRequest, RequestId as Name, ReturnCode,
};
use crate::service::{Operation, RequestId, Response, Text, Update};

/// How long clients wait for an answer. Servers answer in half this time, with or without success.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// No server carries out an update whose client has the number 0, since that is the default of a forgotten field. Scenarios
/// may use it; the numbers that clients draw are below this bit.
const CLIENT_BIT: u64 = 1 << 63;

/// What a server has said.
struct Said {
    code: ReturnCode,
    /// The value read, or found in place of the expected one.
    value: String,
    leader: String,
    message: String,
}

/// What came of a call.
pub(super) enum Answer {
    /// The server's answer, and the address of the leader that it names.
    Response(Response, String),
    /// The server says that such a request makes no sense.
    Refused(String),
    /// The call broke, or took too long: it may or may not be done.
    None,
}

/// Calls a server, and waits for the answer.
pub(super) async fn call(channel: Channel, operation: &Operation) -> Answer {
    match send(KeyValueStoreClient::new(channel), operation).await {
        Ok(said) => read(operation, said),
        Err(_) => Answer::None,
    }
}

async fn send(mut store: KeyValueStoreClient<Channel>, operation: &Operation) -> Result<Said, Status> {
    let key = operation.key().to_string();
    match operation {
        Operation::Get { .. } => {
            let answer = store.get(in_time(GetRequest { key, stale: false })).await?.into_inner();
            Ok(Said { code: answer.ret(), value: answer.value, leader: answer.leader, message: answer.message })
        }
        Operation::Update(update) => change(store, key, update).await,
        operation => {
            let value = operation.value().map(ToString::to_string).unwrap_or_default();
            let answer = store.put(in_time(PutRequest { key, value, id: None })).await?.into_inner();
            Ok(Said { code: answer.ret(), value: String::new(), leader: answer.leader, message: answer.message })
        }
    }
}

/// An update, by the call that is meant for it.
async fn change(mut store: KeyValueStoreClient<Channel>, key: String, update: &Update) -> Result<Said, Status> {
    let (value, id) = (update.value.to_string(), update.request.map(name));
    if let Some(expected) = &update.expected {
        let request = CompareAndSwapRequest { key, expected: expected.to_string(), value, id };
        let answer = store.compare_and_swap(in_time(request)).await?.into_inner();
        return Ok(Said { code: answer.ret(), value: answer.found, leader: answer.leader, message: answer.message });
    }
    let answer = match value.is_empty() {
        true => store.delete(in_time(DeleteRequest { key, id })).await?,
        false => store.put(in_time(PutRequest { key, value, id })).await?,
    };
    let answer = answer.into_inner();
    Ok(Said { code: answer.ret(), value: String::new(), leader: answer.leader, message: answer.message })
}

fn name(RequestId { client, number }: RequestId) -> Name {
    Name { client: client ^ CLIENT_BIT, number }
}

fn in_time<T>(request: T) -> Request<T> {
    let mut call = Request::new(request);
    call.set_timeout(CLIENT_TIMEOUT);
    call
}

/// What an answer says in the terms of all worlds.
fn read(operation: &Operation, Said { code, value, leader, message }: Said) -> Answer {
    let is_named = matches!(operation, Operation::Update(update) if update.request.is_some());
    let is_sound = (1..=KEY_BYTES_MAX).contains(&operation.key().len());
    let text = || Some(Text::from(value.as_str()));
    let response = match code {
        ReturnCode::Success | ReturnCode::NotFound if operation.is_get() => Response::Ok { value: text() },
        ReturnCode::Success => Response::Ok { value: None },
        ReturnCode::Mismatch => Response::Ok { value: text() },
        ReturnCode::NotLeader if operation.is_get() => Response::Redirect,
        ReturnCode::Invalid if is_named && is_sound => Response::Outdated,
        ReturnCode::Invalid => return Answer::Refused(message),
        ReturnCode::NotLeader
        | ReturnCode::NotFound
        | ReturnCode::Failure
        | ReturnCode::Timeout
        | ReturnCode::Unavailable => Response::Fail,
    };
    Answer::Response(response, leader)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(operation: &Operation, code: ReturnCode, value: &str) -> Option<Response> {
        let said = Said { code, value: value.to_owned(), leader: "a:1".to_owned(), message: "no".to_owned() };
        match read(operation, said) {
            Answer::Response(response, _) => Some(response),
            Answer::Refused(_) | Answer::None => None,
        }
    }

    fn update(expected: Option<&str>, request: Option<RequestId>) -> Operation {
        let update = Update { key: "k".into(), value: "v".into(), expected: expected.map(Into::into), request };
        Operation::Update(update.into())
    }

    const CODES: [ReturnCode; 8] = [
        ReturnCode::Success,
        ReturnCode::Failure,
        ReturnCode::NotLeader,
        ReturnCode::Timeout,
        ReturnCode::Unavailable,
        ReturnCode::Invalid,
        ReturnCode::NotFound,
        ReturnCode::Mismatch,
    ];

    #[test]
    fn no_answer_says_that_an_update_never_takes_effect() {
        let put = Operation::Put { key: "k".into(), value: "v".into() };
        let named = update(None, Some(RequestId { client: 1, number: 1 }));
        for operation in [put, named, update(Some("x"), None)] {
            for code in CODES {
                assert_ne!(response(&operation, code, ""), Some(Response::Redirect), "{operation:?}, {code:?}");
            }
        }
    }

    #[test]
    fn a_get_returns_a_value_also_if_there_is_none() {
        let get = Operation::Get { key: "k".into() };
        let value = |value: &str| Some(Response::Ok { value: Some(value.into()) });
        assert_eq!(response(&get, ReturnCode::Success, "v"), value("v"));
        assert_eq!(response(&get, ReturnCode::NotFound, ""), value(""));
        assert_eq!(response(&get, ReturnCode::NotLeader, ""), Some(Response::Redirect));
        assert_eq!(response(&get, ReturnCode::Unavailable, ""), Some(Response::Fail));
    }

    #[test]
    fn a_swap_that_finds_another_value_is_done_and_says_which() {
        let swap = update(Some("x"), None);
        assert_eq!(response(&swap, ReturnCode::Success, ""), Some(Response::Ok { value: None }));
        assert_eq!(response(&swap, ReturnCode::Mismatch, ""), Some(Response::Ok { value: Some("".into()) }));
        assert_eq!(response(&swap, ReturnCode::Timeout, ""), Some(Response::Fail), "it may still be done");
    }

    #[test]
    fn only_an_update_with_a_name_can_be_outdated() {
        let named = update(None, Some(RequestId { client: 1, number: 1 }));
        assert_eq!(response(&named, ReturnCode::Invalid, ""), Some(Response::Outdated));
        assert_eq!(response(&update(None, None), ReturnCode::Invalid, ""), None);
    }

    #[test]
    fn no_client_has_the_number_that_servers_refuse() {
        assert_ne!(name(RequestId { client: 0, number: 1 }).client, 0);
        assert_ne!(name(RequestId { client: 1, number: 1 }).client, name(RequestId { client: 0, number: 1 }).client);
    }
}
