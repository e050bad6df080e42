package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.ftcluster.worker.model.ActivationStore.Room;
import org.ftcluster.worker.model.ActivationStore.Transfer;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * What layers keep between their forward and their backward, elsewhere meanwhile. A layer's is put
 * away while the next one runs, and then dropped from memory; it comes back to where it was while
 * the layer behind runs backward. So memory holds two layers' at most, of which one is on its way.
 *
 * <p>Used by the thread that runs the model.
 */
final class OffloadedActivations implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofMinutes(5);

  private final ActivationStore store;

  /** The one that is being put away, and still in memory. */
  private @Nullable Kept latest;

  private long largest;

  OffloadedActivations(ActivationStore store) {
    this.store = store;
  }

  /** For one batch. */
  Batch open(Workspace memory) {
    return new Batch(memory, DryRun.isOn() ? null : store.open());
  }

  /** Bytes on a disk of the batch that had the most there. */
  long filedBytes() {
    return switch (store) {
      case FiledActivations _ -> largest;
      case HostActivations _ -> 0;
    };
  }

  /** What one batch's layers keep. */
  final class Batch implements AutoCloseable {
    private final Workspace memory;
    private final @Nullable Room room;
    private final Map<Integer, Kept> layers = new HashMap<>();
    private long end;

    private Batch(Workspace memory, @Nullable Room room) {
      this.memory = memory;
      this.room = room;
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
      kept.putAway();
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
      if (room != null) {
        room.close();
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

    void putAway() {
      if (batch.room != null) {
        transfer = batch.room.put(pages, start);
      }
    }

    private void get() {
      if (batch.room != null) {
        transfer = batch.room.get(pages, start);
      }
    }

    void await() {
      if (transfer != null) {
        transfer.await(PATIENCE);
        transfer = null;
      }
    }

    /** Leaves memory, once it is elsewhere. */
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
        get();
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
    store.close();
  }
}
