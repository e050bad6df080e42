package org.ftcluster.worker.model;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.tensor.DryRun;
import org.jspecify.annotations.Nullable;

/**
 * Layers that lie in a file, which has no name, so that it is gone with the process whatever ends
 * that. A thread of its own reads.
 */
final class FiledLayers implements LayerStore {
  /** What weights begin at a multiple of, in bytes. */
  private static final long ALIGNMENT = 64;

  /** Bytes that are written or read at once. */
  private static final long PIECE = 64 << 20;

  /** For a read that is under way at the end. */
  private static final Duration PATIENCE = Duration.ofMinutes(1);

  private static final Set<String> IN_MEMORY = Set.of("tmpfs", "ramfs");

  private final Path folder;
  private final List<Long> starts = new ArrayList<>();
  private final ExecutorService reader =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name("layers").factory());
  private @Nullable FileChannel file;
  private long end;

  /**
   * @param folder on a disk with room for the weights
   */
  FiledLayers(Path folder) {
    this.folder = folder;
  }

  /** Whether a file there isn't in memory itself. */
  static boolean isOnDisk(Path folder) throws IOException {
    return !IN_MEMORY.contains(Files.getFileStore(folder).type());
  }

  @Override
  public Kept keep(int layer, MemorySegment elements) {
    long room = Math.ceilDiv(elements.byteSize(), ALIGNMENT) * ALIGNMENT;
    if (layer == starts.size()) {
      starts.add(end);
    }
    if (!DryRun.isOn()) {
      write(elements);
    }
    end += room;
    return new Kept(room, 0);
  }

  private void write(MemorySegment elements) {
    try {
      FileChannel channel = file;
      if (channel == null) {
        channel = open();
        file = channel;
      }
      for (long from = 0; from < elements.byteSize(); from += PIECE) {
        long length = Math.min(PIECE, elements.byteSize() - from);
        ByteBuffer piece = elements.asSlice(from, length).asByteBuffer();
        while (piece.hasRemaining()) {
          channel.write(piece, end + from + piece.position());
        }
      }
    } catch (IOException e) {
      throw new BadJobException(
          "offload.path: weights can't be written to %s: %s".formatted(folder, e.getMessage()), e);
    }
  }

  private FileChannel open() throws IOException {
    Files.createDirectories(folder);
    if (!isOnDisk(folder)) {
      throw new BadJobException(
          "offload.path: %s is in memory itself; give a folder on a disk".formatted(folder));
    }
    Path name = Files.createTempFile(folder, "ftcluster-", ".weights");
    FileChannel channel = FileChannel.open(name, StandardOpenOption.READ, StandardOpenOption.WRITE);
    Files.delete(name);
    return channel;
  }

  @Override
  public Arrival fetch(int layer, MemorySegment memory) {
    FileChannel channel = file;
    if (channel == null) {
      throw new IllegalStateException("no layer was put away");
    }
    Future<?> reading = reader.submit(() -> read(channel, starts.get(layer), memory));
    return timeout -> await(reading, timeout);
  }

  private static void read(FileChannel channel, long start, MemorySegment memory) {
    try {
      for (long from = 0; from < memory.byteSize(); from += PIECE) {
        ByteBuffer piece =
            memory.asSlice(from, Math.min(PIECE, memory.byteSize() - from)).asByteBuffer();
        while (piece.hasRemaining()) {
          // The room after the last weight is past the end of the file.
          if (channel.read(piece, start + from + piece.position()) < 0) {
            return;
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void await(Future<?> reading, Duration timeout) {
    try {
      reading.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while a layer was read", e);
    } catch (ExecutionException e) {
      throw new IllegalStateException(
          "a layer can't be read back from %s: %s".formatted(folder, e.getCause()), e);
    } catch (TimeoutException e) {
      throw new IllegalStateException(
          "a layer was not read back from %s within %d s".formatted(folder, timeout.toSeconds()),
          e);
    }
  }

  @Override
  public void close() {
    reader.shutdown();
    try {
      // What it reads into is freed next.
      if (!reader.awaitTermination(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
        throw new IllegalStateException(
            "a layer is still being read from %s after %d s"
                .formatted(folder, PATIENCE.toSeconds()));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while a layer was read", e);
    }
    try {
      if (file != null) {
        file.close();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
