"""ML Metadata's own C++ store behind gRPC, as the backend's metadata server; run by .rig's Python.

Prints its port, then serves until it is stopped. Names no message: requests and answers pass as
the bytes they are, and clients get the types from the file given as the first argument.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as store
from ml_metadata.proto import metadata_store_pb2 as types
from ml_metadata.proto import metadata_store_service_pb2 as service

CODES = {code.value[0]: code for code in grpc.StatusCode}


def answer(database, method, request, context):
    response, message, code = method(database, request)
    if code:
        context.abort(CODES[code], message.decode() if isinstance(message, bytes) else message)
    return response


class Methods(grpc.GenericRpcHandler):
    def __init__(self, database):
        self.database = database

    def service(self, call):
        method = getattr(store, call.method.rpartition("/")[2], None)
        answers = partial(answer, self.database, method)
        return grpc.unary_unary_rpc_method_handler(answers) if method else None


def with_imports(file):
    return [*(found for each in file.dependencies for found in with_imports(each)), file]


def main(types_to):
    files = FileDescriptorSet()
    for file in dict.fromkeys(with_imports(service.DESCRIPTOR)):
        file.CopyToProto(files.file.add())
    Path(types_to).write_bytes(files.SerializeToString())
    kind = types.ConnectionConfig(fake_database=types.FakeDatabaseConfig())  # SQLite in memory
    options = types.MigrationOptions().SerializeToString()
    database = store.CreateMetadataStore(kind.SerializeToString(), options)
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([Methods(database)])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


main(sys.argv[1])
