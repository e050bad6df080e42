package org.ftcluster.worker.safetensors;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.ftcluster.protocol.file.DurableFiles;

/** Writes {@code .safetensors} files: the same tensors and metadata give the same bytes. */
public final class SafetensorsWriter {
  private static final JsonMapper JSON = new JsonMapper();

  /** A ByteBuffer holds no more than an int counts; a multiple of any page. */
  private static final long CHUNK_BYTES = 1L << 28;

  private SafetensorsWriter() {}

  /**
   * Replaces {@code target} durably, see {@link DurableFiles}.
   *
   * @param tensors in any order, with different names
   * @throws IOException when they can't be written: {@code target} is then what it was
   */
  public static void write(
      Path target, List<? extends OutgoingTensor> tensors, Map<String, String> metadata)
      throws IOException {
    // Wide elements first, as the reference implementation does: so each tensor is aligned.
    List<OutgoingTensor> ordered = new ArrayList<>(tensors);
    ordered.sort(Comparator.comparing(OutgoingTensor::dtype).thenComparing(OutgoingTensor::name));
    byte[] header = header(ordered, new TreeMap<>(metadata));
    DurableFiles.write(
        target,
        channel -> {
          DurableFiles.writeFully(channel, header);
          for (OutgoingTensor tensor : ordered) {
            write(channel, tensor);
          }
        });
  }

  /** The header's length and the header, padded with spaces to a multiple of eight bytes. */
  private static byte[] header(List<OutgoingTensor> tensors, Map<String, String> metadata)
      throws JsonProcessingException {
    ObjectNode root = JSON.createObjectNode();
    if (!metadata.isEmpty()) {
      ObjectNode strings = root.putObject(SafetensorsHeader.METADATA);
      metadata.forEach(strings::put);
    }
    long offset = 0;
    for (OutgoingTensor tensor : tensors) {
      if (root.has(tensor.name())) {
        throw new IllegalArgumentException("two tensors are called " + tensor.name());
      }
      ObjectNode entry = root.putObject(tensor.name()).put("dtype", tensor.dtype().name());
      var shape = entry.putArray("shape");
      for (long dimension : tensor.shape()) {
        shape.add(dimension);
      }
      long end = offset + bytes(tensor);
      entry.putArray("data_offsets").add(offset).add(end);
      offset = end;
    }
    byte[] json = JSON.writeValueAsString(root).getBytes(StandardCharsets.UTF_8);
    int length = Math.ceilDiv(json.length, Long.BYTES) * Long.BYTES;
    ByteBuffer header =
        ByteBuffer.allocate(Long.BYTES + length).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
    header.put(json);
    while (header.hasRemaining()) {
      header.put((byte) ' ');
    }
    return header.array();
  }

  private static long bytes(OutgoingTensor tensor) {
    return tensor.dtype().byteSize(tensor.shape());
  }

  private static void write(FileChannel channel, OutgoingTensor tensor) throws IOException {
    long start = channel.position();
    tensor.writeTo(piece -> write(channel, piece));
    long written = channel.position() - start;
    if (written != bytes(tensor)) {
      throw new IllegalStateException(
          "tensor %s takes %d bytes, not %d".formatted(tensor.name(), bytes(tensor), written));
    }
  }

  private static void write(FileChannel channel, MemorySegment data) throws IOException {
    for (long begin = 0; begin < data.byteSize(); begin += CHUNK_BYTES) {
      long bytes = Math.min(CHUNK_BYTES, data.byteSize() - begin);
      DurableFiles.writeFully(channel, data.asSlice(begin, bytes).asByteBuffer());
    }
  }
}
