package org.ftcluster.worker.collective.nccl;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.util.List;
import java.util.Optional;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.tensor.NativeFunction;
import org.ftcluster.worker.tensor.NativeLibraries;
import org.ftcluster.worker.tensor.NativeLibrary;

/** NCCL's functions: one method a symbol, results checked. */
final class NcclLibrary {
  /** System property that names {@code libnccl.so.2}; the environment's variable does as well. */
  static final String PROPERTY = "ftcluster.nccl.library";

  static final String VARIABLE = "FTCLUSTER_NCCL_LIBRARY";
  static final String MISSING = "there is no libnccl.so.2; " + VARIABLE + " can name one";

  /** The first whose configuration has all fields that are set. */
  private static final int OLDEST_VERSION = 21800;

  /** A call that goes on in the background. */
  static final int IN_PROGRESS = 7;

  private static final int SUCCESS = 0;
  static final int ID_BYTES = 128;
  private static final int INT8 = 0;
  private static final StructLayout UNIQUE_ID =
      MemoryLayout.structLayout(MemoryLayout.sequenceLayout(ID_BYTES, JAVA_BYTE));

  private final NativeFunction getVersion;
  private final NativeFunction getErrorString;
  private final NativeFunction getLastError;
  private final NativeFunction getUniqueId;
  private final NativeFunction commInitRankConfig;
  private final NativeFunction commGetAsyncError;
  private final NativeFunction commAbort;
  private final NativeFunction allReduce;
  private final NativeFunction reduce;
  private final NativeFunction reduceScatter;
  private final NativeFunction allGather;
  private final NativeFunction broadcast;
  private final NativeFunction send;
  private final NativeFunction recv;

  private NcclLibrary(NativeLibrary library) {
    getVersion = library.function("ncclGetVersion", ADDRESS);
    getErrorString =
        library.function("ncclGetErrorString", FunctionDescriptor.of(ADDRESS, JAVA_INT));
    getLastError = library.function("ncclGetLastError", FunctionDescriptor.of(ADDRESS, ADDRESS));
    getUniqueId = library.function("ncclGetUniqueId", ADDRESS);
    commInitRankConfig =
        library.function("ncclCommInitRankConfig", ADDRESS, JAVA_INT, UNIQUE_ID, JAVA_INT, ADDRESS);
    commGetAsyncError = library.function("ncclCommGetAsyncError", ADDRESS, ADDRESS);
    commAbort = library.function("ncclCommAbort", ADDRESS);
    MemoryLayout[] reduction = {ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS};
    allReduce = library.function("ncclAllReduce", reduction);
    reduce =
        library.function(
            "ncclReduce",
            ADDRESS,
            ADDRESS,
            JAVA_LONG,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            ADDRESS,
            ADDRESS);
    reduceScatter = library.function("ncclReduceScatter", reduction);
    allGather =
        library.function("ncclAllGather", ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, ADDRESS, ADDRESS);
    broadcast =
        library.function(
            "ncclBroadcast", ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
    MemoryLayout[] message = {ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS};
    send = library.function("ncclSend", message);
    recv = library.function("ncclRecv", message);
  }

  /**
   * Opens it: where a setting says, beside libtorch, or in the system; nothing where it is nowhere.
   *
   * @throws CollectiveException when it is too old
   * @throws org.ftcluster.worker.tensor.NativeException when a setting is wrong
   */
  static Optional<NcclLibrary> open() {
    return new NativeLibraries(List.of("libnccl.so.2"), PROPERTY, VARIABLE)
        .open()
        .map(
            symbols -> {
              NcclLibrary library = new NcclLibrary(symbols);
              int version = library.version();
              if (version < OLDEST_VERSION) {
                throw new CollectiveException(
                    "NCCL is %s, but must be 2.18 or newer".formatted(text(version)));
              }
              return library;
            });
  }

  /** As {@code 2.26.2}. */
  static String text(int version) {
    return "%d.%d.%d".formatted(version / 10000, version / 100 % 100, version % 100);
  }

  /** 22602 for 2.26.2. */
  int version() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment version = arena.allocate(JAVA_INT);
      call(getVersion, version);
      return version.get(JAVA_INT, 0);
    }
  }

  /** What one rank makes and all others need to come together; 128 bytes. */
  byte[] uniqueId() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment id = arena.allocate(UNIQUE_ID);
      call(getUniqueId, id);
      return id.toArray(JAVA_BYTE);
    }
  }

  /**
   * Begins to connect the ranks, from the device that the calling thread uses; {@link #state} says
   * when they are.
   */
  MemorySegment begin(byte[] uniqueId, int rank, int ranks) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment id = arena.allocate(UNIQUE_ID);
      id.copyFrom(MemorySegment.ofArray(uniqueId));
      MemorySegment out = arena.allocate(ADDRESS);
      MemorySegment config = NcclConfig.nonBlocking(arena, version());
      call(commInitRankConfig, out, ranks, id, rank, config);
      return out.get(ADDRESS, 0);
    }
  }

  /**
   * Whether what was called is done: {@link #IN_PROGRESS} or 0.
   *
   * @throws CollectiveException when it failed
   */
  int state(MemorySegment comm) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = arena.allocate(JAVA_INT);
      call(commGetAsyncError, comm, state);
      int result = state.get(JAVA_INT, 0);
      check("an operation of NCCL", result);
      return result;
    }
  }

  /** Ends everything under way, and waits for nobody; the communicator is gone. */
  void abort(MemorySegment comm) {
    call(commAbort, comm);
  }

  void allReduce(
      MemorySegment buffer,
      ElementType type,
      ReduceOp op,
      MemorySegment comm,
      MemorySegment stream) {
    long count = buffer.byteSize() / type.bytes();
    call(allReduce, buffer, buffer, count, code(type), code(op), comm, stream);
  }

  void reduce(
      MemorySegment buffer,
      ElementType type,
      ReduceOp op,
      int root,
      MemorySegment comm,
      MemorySegment stream) {
    long count = buffer.byteSize() / type.bytes();
    call(reduce, buffer, buffer, count, code(type), code(op), root, comm, stream);
  }

  void reduceScatter(
      MemorySegment input,
      MemorySegment output,
      ElementType type,
      ReduceOp op,
      MemorySegment comm,
      MemorySegment stream) {
    long count = output.byteSize() / type.bytes();
    call(reduceScatter, input, output, count, code(type), code(op), comm, stream);
  }

  void allGather(
      MemorySegment input, MemorySegment output, MemorySegment comm, MemorySegment stream) {
    call(allGather, input, output, input.byteSize(), INT8, comm, stream);
  }

  void broadcast(MemorySegment buffer, int root, MemorySegment comm, MemorySegment stream) {
    call(broadcast, buffer, buffer, buffer.byteSize(), INT8, root, comm, stream);
  }

  void send(MemorySegment buffer, int peer, MemorySegment comm, MemorySegment stream) {
    call(send, buffer, buffer.byteSize(), INT8, peer, comm, stream);
  }

  void recv(MemorySegment buffer, int peer, MemorySegment comm, MemorySegment stream) {
    call(recv, buffer, buffer.byteSize(), INT8, peer, comm, stream);
  }

  static int code(ElementType type) {
    return switch (type) {
      case INT64 -> 4;
      case FLOAT32 -> 7;
      case FLOAT64 -> 8;
      case BFLOAT16 -> 9;
    };
  }

  static int code(ReduceOp op) {
    return switch (op) {
      case SUM -> 0;
      case MAX -> 2;
    };
  }

  /** What NCCL calls a result. */
  String describe(int result) {
    return getErrorString.text(result);
  }

  private void call(NativeFunction function, Object... arguments) {
    check(function.name(), function.call(arguments));
  }

  private void check(String function, int result) {
    if (result != SUCCESS && result != IN_PROGRESS) {
      String detail = getLastError.text(MemorySegment.NULL).strip();
      throw new CollectiveException(
          "%s failed: %s (%d)%s"
              .formatted(
                  function, describe(result), result, detail.isEmpty() ? "" : ": " + detail));
    }
  }
}
