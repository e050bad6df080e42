package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ObjLongConsumer;
import org.ftcluster.worker.model.DiskThread.Transfer;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.ScratchFile;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * What layers keep between their forward and their backward, on a disk meanwhile. A layer's is
 * written while the next one runs, and then dropped from memory; it comes back to where it was
 * while the layer behind runs backward. So memory holds two layers' at most, of which one is on its
 * way.
 *
 * <p>Used by the thread that runs the model; a thread of its own reads and writes.
 */
final class FiledActivations implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofMinutes(5);
  private static final String CONTENT = "activations";

  private final Path folder;
  private final DiskThread thread = new DiskThread(CONTENT);
  private final Deque<ScratchFile> free = new ArrayDeque<>();

  /** The one that is being written, and still in memory. */
  private @Nullable Kept latest;

  private long largest;

  /**
   * @param folder on a disk with room for what batches keep that are on their way at once
   */
  FiledActivations(Path folder) {
    this.folder = folder;
  }

  /** For one batch. */
  Batch open(Workspace memory) {
    ScratchFile file =
        DryRun.isOn() ? null : free.isEmpty() ? ScratchFile.in(folder, CONTENT) : free.pop();
    return new Batch(memory, file);
  }

  /** Bytes of the batch that had the most on the disk. */
  long largestBytes() {
    return largest;
  }

  /** What one batch's layers keep. */
  final class Batch implements AutoCloseable {
    private final Workspace memory;
    private final @Nullable ScratchFile file;
    private final Map<Integer, Kept> layers = new HashMap<>();
    private long end;

    private Batch(Workspace memory, @Nullable ScratchFile file) {
      this.memory = memory;
      this.file = file;
    }

    /**
     * To be called after the forward of a layer that is to be put away.
     *
     * @param pages of the workspace that nobody needs until the layer's backward
     */
    void kept(int layer, List<MemorySegment> pages) {
      settle();
      Kept kept = new Kept(this, pages, end);
      end += kept.bytes();
      largest = Math.max(largest, end);
      layers.put(layer, kept);
      latest = kept;
      kept.write();
    }

    /** To be called after the forward of any other layer. */
    void settle() {
      if (latest != null) {
        latest.drop();
        latest = null;
      }
    }

    /** To be called before a layer's backward. */
    void need(int layer) {
      Kept kept = layers.remove(layer);
      if (kept != null) {
        kept.bringBack();
        long start = Profile.begin();
        kept.await();
        Profile.ended("wait for a layer's activations", start, 0, kept.bytes());
      }
      Kept next = layers.get(layer - 1);
      if (next != null) {
        next.bringBack();
      }
    }

    /** After a layer's backward its frame's memory makes room for one that comes back. */
    void end(Scope frame) {
      long top = memory.top();
      frame.close();
      memory.shrink(top - memory.top());
    }

    /** Its memory may be used for something else then. */
    @Override
    public void close() {
      layers.values().forEach(Kept::forget);
      layers.clear();
      if (file != null) {
        free.push(file);
      }
    }
  }

  /** What one layer keeps of one batch. */
  private final class Kept {
    private final Batch batch;
    private final List<MemorySegment> pages;
    private final long start;
    private boolean away;
    private @Nullable Transfer transfer;

    Kept(Batch batch, List<MemorySegment> pages, long start) {
      this.batch = batch;
      this.pages = pages;
      this.start = start;
    }

    long bytes() {
      return pages.stream().mapToLong(MemorySegment::byteSize).sum();
    }

    void write() {
      if (batch.file != null) {
        move(batch.file::write);
      }
    }

    private void read() {
      if (batch.file != null) {
        move(batch.file::read);
      }
    }

    private void move(ObjLongConsumer<MemorySegment> way) {
      transfer =
          thread.submit(
              () -> {
                long at = start;
                for (MemorySegment part : pages) {
                  way.accept(part, at);
                  at += part.byteSize();
                }
              });
    }

    void await() {
      if (transfer != null) {
        transfer.await(PATIENCE);
        transfer = null;
      }
    }

    /** Leaves memory, once it is on the disk. */
    void drop() {
      await();
      pages.forEach(batch.memory::putAway);
      away = true;
    }

    /** Begins to come back; what is still here stays. */
    void bringBack() {
      if (latest == this) {
        latest = null;
      }
      if (away) {
        pages.forEach(batch.memory::bringBack);
        away = false;
        read();
      }
    }

    void forget() {
      if (latest == this) {
        latest = null;
      }
      if (transfer != null) {
        transfer.end(PATIENCE);
      }
      if (away) {
        pages.forEach(batch.memory::forget);
      }
    }
  }

  @Override
  public void close() {
    thread.close();
    free.forEach(ScratchFile::close);
  }
}
