package org.ftcluster.worker.model;

import java.time.Duration;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.ftcluster.protocol.job.BadJobException;

/** Reads and writes a file while others compute, one piece of work after the other. */
final class DiskThread implements AutoCloseable {
  /** For work that is under way at the end. */
  private static final Duration PATIENCE = Duration.ofMinutes(1);

  private final String name;
  private final ExecutorService thread;

  /**
   * @param name of what it reads and writes, for messages: {@code "weights"}
   */
  DiskThread(String name) {
    this.name = name;
    this.thread =
        Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name(name).factory());
  }

  Transfer submit(Runnable work) {
    return new Transfer(thread.submit(work));
  }

  /** Work that was given to it. */
  final class Transfer implements ActivationStore.Transfer {
    private final Future<?> work;

    private Transfer(Future<?> work) {
      this.work = work;
    }

    /**
     * @throws BadJobException when the disk is full
     * @throws IllegalStateException when it fails otherwise, or takes longer
     */
    @Override
    public void await(Duration timeout) {
      try {
        work.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
      } catch (InterruptedException e) {
        throw interrupted(e);
      } catch (ExecutionException e) {
        if (e.getCause() instanceof BadJobException full) {
          throw full;
        }
        throw new IllegalStateException(e.getCause().getMessage(), e);
      } catch (TimeoutException e) {
        throw new IllegalStateException(
            "the disk has not read or written %s within %d s".formatted(name, timeout.toSeconds()),
            e);
      }
    }

    @Override
    public void end(Duration timeout) {
      try {
        work.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
      } catch (InterruptedException e) {
        throw interrupted(e);
      } catch (ExecutionException _) {
        return; // nobody wants it any more
      } catch (TimeoutException e) {
        throw new IllegalStateException("the disk is stuck with " + name, e);
      }
    }
  }

  private IllegalStateException interrupted(InterruptedException e) {
    Thread.currentThread().interrupt();
    return new IllegalStateException("interrupted while %s were read".formatted(name), e);
  }

  /** Returns when it is done with what it was given. */
  @Override
  public void close() {
    thread.shutdown();
    try {
      if (!thread.awaitTermination(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
        throw new IllegalStateException(
            "the disk is still busy with %s after %d s".formatted(name, PATIENCE.toSeconds()));
      }
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }
}
