package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.ScratchFile;
import org.jspecify.annotations.Nullable;

/** Layers that lie in a file. A thread of its own reads. */
final class FiledLayers implements LayerStore {
  /** What weights begin at a multiple of, in bytes. */
  private static final long ALIGNMENT = 64;

  /** For a read that is under way at the end. */
  private static final Duration PATIENCE = Duration.ofMinutes(1);

  private final Path folder;
  private final List<Long> starts = new ArrayList<>();
  private final ExecutorService reader =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name("layers").factory());
  private @Nullable ScratchFile file;
  private long end;

  /**
   * @param folder on a disk with room for the weights
   */
  FiledLayers(Path folder) {
    this.folder = folder;
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
    ScratchFile to = file;
    if (to == null) {
      to = ScratchFile.in(folder, "weights");
      file = to;
    }
    to.write(elements, end);
  }

  @Override
  public Arrival fetch(int layer, MemorySegment memory) {
    ScratchFile from = file;
    if (from == null) {
      throw new IllegalStateException("no layer was put away");
    }
    // The room after the last weight is past the end of the file.
    Future<?> reading = reader.submit(() -> from.read(memory, starts.get(layer)));
    return timeout -> await(reading, timeout);
  }

  private void await(Future<?> reading, Duration timeout) {
    try {
      reading.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while a layer was read", e);
    } catch (ExecutionException e) {
      throw new IllegalStateException("a layer isn't there: " + e.getCause().getMessage(), e);
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
    if (file != null) {
      file.close();
    }
  }
}
