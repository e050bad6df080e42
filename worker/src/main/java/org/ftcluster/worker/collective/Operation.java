package org.ftcluster.worker.collective;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** An operation in an {@link Engine}'s queue, and what its caller waits on. */
final class Operation implements Work {
  /** How long an engine may take to let go of the buffers after an abort. */
  private static final Duration ABORT_GRACE = Duration.ofSeconds(10);

  /** What the I/O thread does; it calls {@link Operation#succeed} now or later. */
  interface Body {
    void run(Operation operation) throws IOException;
  }

  private final Engine engine;
  private final Header header;
  private final Body body;
  private final CountDownLatch done = new CountDownLatch(1);
  private volatile @Nullable CollectiveException failure;

  Operation(Engine engine, Header header, Body body) {
    this.engine = engine;
    this.header = header;
    this.body = body;
  }

  Header header() {
    return header;
  }

  void run() throws IOException {
    body.run(this);
  }

  void succeed() {
    engine.settled(this);
    done.countDown();
  }

  void fail(CollectiveException reason) {
    failure = reason;
    done.countDown();
  }

  @Override
  public boolean isDone() {
    return done.getCount() == 0;
  }

  @Override
  public void await(Duration timeout) {
    try {
      if (!done.await(timeout.toNanos(), TimeUnit.NANOSECONDS)) {
        engine.abort(
            "%s is not done after %s on rank %d, which waits for ranks %s"
                .formatted(header, timeout, engine.rank(), engine.waitingFor()));
        if (!done.await(ABORT_GRACE.toNanos(), TimeUnit.NANOSECONDS)) {
          throw new CollectiveException(header + ": the I/O thread does not answer");
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      engine.abort("the thread that waited for %s was interrupted".formatted(header));
      throw new CollectiveException(header + ": interrupted", e);
    }
    CollectiveException reason = failure;
    if (reason != null) {
      throw new CollectiveException("%s: %s".formatted(header, reason.getMessage()), reason);
    }
  }
}
