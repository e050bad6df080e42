package org.ftcluster.worker.collective.nccl;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.tensor.NativeFunction;
import org.ftcluster.worker.tensor.NativeLibraries;
import org.ftcluster.worker.tensor.NativeLibrary;

/** Streams and events of the CUDA runtime. Every thread that calls has to {@link #use} a device. */
final class CudaRuntime {
  static final String PROPERTY = "ftcluster.cudart.library";
  static final String VARIABLE = "FTCLUSTER_CUDART_LIBRARY";
  static final String MISSING = "there is no libcudart.so; " + VARIABLE + " can name one";

  /** {@code cudaErrorNotReady}. */
  private static final int NOT_READY = 600;

  /** {@code cudaStreamNonBlocking}. */
  private static final int NON_BLOCKING = 1;

  /** {@code cudaEventDisableTiming}. */
  private static final int WITHOUT_TIMING = 2;

  private final NativeFunction setDevice;
  private final NativeFunction streamCreate;
  private final NativeFunction streamDestroy;
  private final NativeFunction streamWaitEvent;
  private final NativeFunction eventCreate;
  private final NativeFunction eventRecord;
  private final NativeFunction eventQuery;
  private final NativeFunction eventDestroy;
  private final NativeFunction errorString;

  private CudaRuntime(NativeLibrary library) {
    setDevice = library.function("cudaSetDevice", JAVA_INT);
    streamCreate = library.function("cudaStreamCreateWithFlags", ADDRESS, JAVA_INT);
    streamDestroy = library.function("cudaStreamDestroy", ADDRESS);
    streamWaitEvent = library.function("cudaStreamWaitEvent", ADDRESS, ADDRESS, JAVA_INT);
    eventCreate = library.function("cudaEventCreateWithFlags", ADDRESS, JAVA_INT);
    eventRecord = library.function("cudaEventRecord", ADDRESS, ADDRESS);
    eventQuery = library.function("cudaEventQuery", ADDRESS);
    eventDestroy = library.function("cudaEventDestroy", ADDRESS);
    errorString = library.function("cudaGetErrorString", FunctionDescriptor.of(ADDRESS, JAVA_INT));
  }

  /** Opens it; nothing where it is nowhere. */
  static Optional<CudaRuntime> open() {
    return new NativeLibraries(List.of("libcudart.so.12", "libcudart.so.13"), PROPERTY, VARIABLE)
        .open()
        .map(CudaRuntime::new);
  }

  /** Binds the calling thread to a device. */
  void use(int device) {
    call(setDevice, device);
  }

  MemorySegment newStream() {
    return created(streamCreate, NON_BLOCKING);
  }

  void destroyStream(MemorySegment stream) {
    call(streamDestroy, stream);
  }

  MemorySegment newEvent() {
    return created(eventCreate, WITHOUT_TIMING);
  }

  void destroyEvent(MemorySegment event) {
    call(eventDestroy, event);
  }

  /** The event happens when all that the stream was given so far is done. */
  void record(MemorySegment event, MemorySegment stream) {
    call(eventRecord, event, stream);
  }

  /** What the stream is given from now on waits for the event. */
  void await(MemorySegment stream, MemorySegment event) {
    call(streamWaitEvent, stream, event, 0);
  }

  boolean hasHappened(MemorySegment event) {
    int result = eventQuery.call(event);
    if (result == NOT_READY) {
      return false;
    }
    check(eventQuery, result);
    return true;
  }

  private MemorySegment created(NativeFunction function, Object argument) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      call(function, out, argument);
      return out.get(ADDRESS, 0);
    }
  }

  private void call(NativeFunction function, Object... arguments) {
    check(function, function.call(arguments));
  }

  private void check(NativeFunction function, int result) {
    if (result != 0) {
      throw new CollectiveException(
          "%s failed: %s (%d)".formatted(function.name(), errorString.text(result), result));
    }
  }
}
