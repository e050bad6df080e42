package org.ftcluster.worker.safetensors;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * One {@code .safetensors} file: eight bytes with the header's length, the header in JSON, then the
 * tensors' data.
 */
public final class SafetensorsFile implements TensorSource {
  private static final ValueLayout.OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path path;
  private final Arena arena;
  private final Map<String, TensorView> tensors;
  private final Map<String, String> metadata;

  private SafetensorsFile(
      Path path, Arena arena, Map<String, TensorView> tensors, Map<String, String> metadata) {
    this.path = path;
    this.arena = arena;
    this.tensors = tensors;
    this.metadata = metadata;
  }

  /**
   * Maps a file and checks its header.
   *
   * @throws SafetensorsException when it is missing, cut off, or contradicts itself
   */
  public static SafetensorsFile open(Path path) {
    Arena arena = Arena.ofShared();
    try {
      return map(path, arena);
    } catch (NoSuchFileException e) {
      arena.close();
      throw new SafetensorsException("%s: there is no such file.".formatted(path), e);
    } catch (IOException e) {
      arena.close();
      throw new SafetensorsException("%s: can't be read: %s.".formatted(path, e.getMessage()), e);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  private static SafetensorsFile map(Path path, Arena arena) throws IOException {
    MemorySegment file;
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      file = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
    }
    if (file.byteSize() < LENGTH.byteSize()) {
      throw new SafetensorsException(
          "%s: holds %d bytes, too few for a safetensors file.".formatted(path, file.byteSize()));
    }
    long headerBytes = file.get(LENGTH, 0);
    if (headerBytes < 0 || headerBytes > SafetensorsHeader.MAX_BYTES) {
      throw new SafetensorsException(
          "%s: claims a header of %s bytes, above the limit of %d: it is no safetensors file."
              .formatted(path, Long.toUnsignedString(headerBytes), SafetensorsHeader.MAX_BYTES));
    }
    long dataBegin = LENGTH.byteSize() + headerBytes;
    if (dataBegin > file.byteSize()) {
      throw new SafetensorsException(
          "%s: was cut off: its header ends at byte %d, but the file at %d."
              .formatted(path, dataBegin, file.byteSize()));
    }
    byte[] json = file.asSlice(LENGTH.byteSize(), headerBytes).toArray(ValueLayout.JAVA_BYTE);
    SafetensorsHeader header = SafetensorsHeader.parse(path, json, file.byteSize() - dataBegin);
    Map<String, TensorView> tensors = new LinkedHashMap<>();
    for (SafetensorsHeader.Entry entry : header.tensors()) {
      MemorySegment data = file.asSlice(dataBegin + entry.begin(), entry.end() - entry.begin());
      tensors.put(entry.name(), new TensorView(entry.name(), entry.dtype(), entry.shape(), data));
    }
    return new SafetensorsFile(path, arena, tensors, Map.copyOf(header.metadata()));
  }

  public Path path() {
    return path;
  }

  /** The strings under {@code __metadata__}; Hugging Face writes {@code format: pt}. */
  public Map<String, String> metadata() {
    return metadata;
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(tensors.keySet());
  }

  @Override
  public TensorView get(String name) {
    TensorView tensor = tensors.get(name);
    if (tensor == null) {
      throw new SafetensorsException("%s: has no tensor %s.".formatted(path, name));
    }
    return tensor;
  }

  @Override
  public void close() {
    arena.close();
  }
}
