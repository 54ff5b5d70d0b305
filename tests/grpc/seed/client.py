"""A client that knows of the cluster only what the seed document says: its two .proto files, and stock tools.

usage: client.py FOLDER HOST:PORT...    FOLDER takes the generated code

It prints what it was answered, a line for each call.
"""

import pathlib
import sys

import grpc
from grpc_tools import protoc

here, out = pathlib.Path(__file__).parent, sys.argv[1]
for name in ("kvstore", "chaosmonkey"):
    arguments = ["protoc", f"-I{here}", f"--python_out={out}", f"--grpc_python_out={out}", str(here / f"{name}.proto")]
    assert protoc.main(arguments) == 0, name
sys.path.insert(0, out)

import chaosmonkey_pb2 as chaos
import chaosmonkey_pb2_grpc as chaos_grpc
import kvstore_pb2 as kv
import kvstore_pb2_grpc as kv_grpc

channels = [grpc.insecure_channel(address) for address in sys.argv[2:]]
stores = [kv_grpc.KeyValueStoreStub(channel) for channel in channels]
monkeys = [chaos_grpc.ChaosMonkeyStub(channel) for channel in channels]

for n, store in enumerate(stores):
    answer = store.Put(kv.PutRequest(key="name", value=f"Ada {n}"), timeout=5)
    print("put", kv.ReturnCode.Name(answer.ret))
    for other in stores:
        answer = other.Get(kv.GetRequest(key="name"), timeout=5)
        print("get", kv.ReturnCode.Name(answer.ret), answer.value)
print("get missing", stores[0].Get(kv.GetRequest(key="missing"), timeout=5).ret != kv.SUCCESS)

size = len(channels)
row = chaos.ConnMatrix.MatRow
matrix = chaos.ConnMatrix(rows=[row(vals=[0.0] * size) for _ in range(size)])
ragged = chaos.ConnMatrix(rows=[row(vals=[0.0] * size)])
for monkey in monkeys:
    print("upload", chaos.StatusCode.Name(monkey.UploadMatrix(matrix, timeout=5).ret))
    print("upload ragged", chaos.StatusCode.Name(monkey.UploadMatrix(ragged, timeout=5).ret))
    print("update", chaos.StatusCode.Name(monkey.UpdateValue(chaos.MatValue(row=0, col=1, val=0.25), timeout=5).ret))
    for wrong in (
        chaos.MatValue(row=0, col=1, val=1.5),
        chaos.MatValue(row=0, col=1, val=float("nan")),
        chaos.MatValue(row=-1, col=1, val=0.5),
        chaos.MatValue(row=0, col=size, val=0.5),
    ):
        print("update wrong", chaos.StatusCode.Name(monkey.UpdateValue(wrong, timeout=5).ret))
