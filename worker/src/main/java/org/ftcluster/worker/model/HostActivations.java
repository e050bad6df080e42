package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.ftcluster.worker.tensor.Accelerator;

/** What an accelerator's layers keep, in its host's memory. */
final class HostActivations implements ActivationStore {
  /** Pages go to the host's memory in pieces, since that doesn't grow in place. */
  private static final long PIECE_BYTES = 64L << 20;

  private static final int POLL_NS = 50_000;

  private final Accelerator accelerator;
  private final Deque<Pieces> free = new ArrayDeque<>();

  /**
   * @param accelerator whose layers they are
   */
  HostActivations(Accelerator accelerator) {
    this.accelerator = accelerator;
  }

  @Override
  public Room open() {
    return free.isEmpty() ? new Pieces() : free.pop();
  }

  /** A batch's; they stay for the next one. */
  private final class Pieces implements Room {
    private final List<MemorySegment> pieces = new ArrayList<>();

    /** Begins to move bytes between the host's memory and a page. */
    @FunctionalInterface
    private interface Way<T> {
      T begin(MemorySegment host, MemorySegment page);
    }

    @Override
    public Transfer put(List<MemorySegment> pages, long at) {
      return new Taken(move(pages, at, accelerator::take));
    }

    @Override
    public Transfer get(List<MemorySegment> pages, long at) {
      return new Brought(move(pages, at, (host, page) -> accelerator.bring(page, host)));
    }

    private <T> List<T> move(List<MemorySegment> pages, long at, Way<T> way) {
      List<T> begun = new ArrayList<>();
      long to = at;
      for (MemorySegment part : pages) {
        for (long from = 0; from < part.byteSize(); ) {
          long offset = to % PIECE_BYTES;
          long bytes = Math.min(PIECE_BYTES - offset, part.byteSize() - from);
          MemorySegment host = piece(Math.toIntExact(to / PIECE_BYTES)).asSlice(offset, bytes);
          begun.add(way.begin(host, part.asSlice(from, bytes)));
          from += bytes;
          to += bytes;
        }
      }
      return begun;
    }

    private MemorySegment piece(int index) {
      while (pieces.size() <= index) {
        pieces.add(accelerator.allocateOnHost(PIECE_BYTES));
      }
      return pieces.get(index);
    }

    @Override
    public void close() {
      free.push(this);
    }
  }

  /** On the way to the host, which must know, since what they were in is used for other things. */
  private record Taken(List<BooleanSupplier> parts) implements Transfer {
    @Override
    public void await(Duration timeout) {
      long deadline = System.nanoTime() + timeout.toNanos();
      for (BooleanSupplier part : parts) {
        while (!part.getAsBoolean()) {
          if (System.nanoTime() > deadline) {
            throw new IllegalStateException(
                "the GPU has not handed out activations within %d s"
                    .formatted(timeout.toSeconds()));
          }
          pause();
        }
      }
    }

    private static void pause() {
      try {
        Thread.sleep(0, POLL_NS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException("interrupted while a GPU handed out activations", e);
      }
    }

    @Override
    public void end(Duration timeout) {
      await(timeout);
    }
  }

  /** On the way to the accelerator, which does what it is told from now on after that. */
  private record Brought(List<Runnable> parts) implements Transfer {
    @Override
    public void await(Duration timeout) {
      parts.forEach(Runnable::run);
    }

    @Override
    public void end(Duration timeout) {
      await(timeout);
    }
  }

  @Override
  public void close() {
    accelerator.synchronize(); // none of them is on its way any more
    free.forEach(room -> room.pieces.forEach(accelerator::freeOnHost));
    free.clear();
  }
}
