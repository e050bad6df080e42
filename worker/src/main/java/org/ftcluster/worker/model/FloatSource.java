package org.ftcluster.worker.model;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.ftcluster.worker.safetensors.DType;
import org.ftcluster.worker.safetensors.PieceSink;
import org.ftcluster.worker.safetensors.StreamedTensor;
import org.ftcluster.worker.tensor.FiledMemory;

/**
 * A float32 number for each parameter, in the order of a {@link ParameterBuffer}, wherever these
 * are: in memory, in files, on other ranks. What is read comes in pieces, so that nobody needs
 * memory for all of them.
 */
@FunctionalInterface
public interface FloatSource {
  /** The most parameters that a piece has. */
  long PIECE = 1 << 20;

  /**
   * Hands over those of some neighbouring parameters, in their order.
   *
   * @param from the first parameter's place
   * @param to behind the last one's
   * @param sink gets pieces of whole numbers, at most {@link #PIECE} of them
   * @throws IOException when {@code sink} does
   */
  void read(long from, long to, PieceSink sink) throws IOException;

  /**
   * The same, to memory.
   *
   * @param target as long as what is read
   */
  default void copy(long from, MemorySegment target) {
    long[] at = {0};
    try {
      read(
          from,
          from + target.byteSize() / Float.BYTES,
          piece -> {
            MemorySegment place = target.asSlice(at[0], piece.byteSize());
            place.copyFrom(piece);
            FiledMemory.letGo(place);
            at[0] += piece.byteSize();
          });
    } catch (IOException e) {
      throw new UncheckedIOException(e); // memory throws none
    }
  }

  /** A tensor of them, which is read while it is written. */
  default StreamedTensor tensor(ParameterBuffer.Slice tensor) {
    return new StreamedTensor(
        tensor.name(),
        DType.F32,
        tensor.shape(),
        sink -> read(tensor.offset(), tensor.offset() + tensor.size(), sink));
  }

  /** All of them in one buffer, of memory or of a file. */
  static FloatSource of(MemorySegment all) {
    return (from, to, sink) -> {
      for (long at = from; at < to; at += PIECE) {
        long count = Math.min(PIECE, to - at);
        MemorySegment piece = all.asSlice(at * Float.BYTES, count * Float.BYTES);
        sink.take(piece);
        FiledMemory.letGo(piece);
      }
    };
  }

  /** Zeros, however many are asked for. */
  static FloatSource zeros() {
    return (from, to, sink) -> zeros(to - from, sink);
  }

  /** Reads elements of one tensor. */
  @FunctionalInterface
  interface TensorReader {
    /** As {@link FloatSource#read}, by places in the tensor. */
    void read(ParameterBuffer.Slice tensor, long from, long to, PieceSink sink) throws IOException;
  }

  /**
   * Tensor by tensor, with zeros between them.
   *
   * @param tensors in the order of their places
   */
  static FloatSource of(List<ParameterBuffer.Slice> tensors, TensorReader reader) {
    return (from, to, sink) -> {
      long at = from;
      for (ParameterBuffer.Slice tensor : tensors) {
        long start = Math.max(from, tensor.offset());
        long end = Math.min(to, tensor.offset() + tensor.size());
        if (start < end) {
          zeros(start - at, sink);
          reader.read(tensor, start - tensor.offset(), end - tensor.offset(), sink);
          at = end;
        }
      }
      zeros(to - at, sink);
    };
  }

  private static void zeros(long count, PieceSink sink) throws IOException {
    if (count == 0) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment piece = arena.allocate(Math.min(count, PIECE) * Float.BYTES);
      for (long at = 0; at < count; at += PIECE) {
        sink.take(piece.asSlice(0, Math.min(count - at, PIECE) * Float.BYTES));
      }
    }
  }
}
