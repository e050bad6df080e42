package org.ftcluster.cli.node;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.jvm.ChildJvm;
import org.ftcluster.cli.jvm.Children;
import org.ftcluster.cli.jvm.Launch;

/**
 * Starts workers as processes and minds them: one that is lost is started again, after a pause that
 * grows while it keeps being lost; one that was told to end stays away. They end with {@link
 * #close}, handing over first, or at once with this JVM where that is killed.
 */
final class WorkerMinder implements AutoCloseable {
  private static final Duration FIRST_PAUSE = Duration.ofSeconds(1);
  private static final Duration LONGEST_PAUSE = Duration.ofMinutes(1);

  /** A worker that was there for so long isn't one that keeps being lost. */
  private static final Duration LASTED = Duration.ofMinutes(10);

  private final Console console;
  private final Duration patience;
  private final Children children = new Children(this::haveHandedOver);
  private volatile boolean inOrder = true;

  /**
   * @param patience how long a worker may take to hand over and end
   */
  WorkerMinder(Console console, Duration patience) {
    this.console = console;
    this.patience = patience;
  }

  /**
   * Starts workers, and returns when all have left. What they say when they are ready goes to the
   * console.
   *
   * @throws CommandException when one can't start like that; the others stay until {@link #close}
   */
  void mind(List<Launch> workers) throws InterruptedException {
    CompletableFuture<?>[] minded =
        workers.stream().map(this::inBackground).toArray(CompletableFuture[]::new);
    CompletableFuture<Void> all = CompletableFuture.allOf(minded);
    for (CompletableFuture<?> one : minded) {
      var _ =
          one.whenComplete(
              (_, failure) -> {
                if (failure != null) {
                  all.completeExceptionally(failure);
                }
              });
    }
    try {
      all.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof CommandException failure) {
        throw failure;
      }
      throw new IllegalStateException("a worker is minded no more", e.getCause());
    }
  }

  private CompletableFuture<Void> inBackground(Launch launch) {
    return CompletableFuture.runAsync(
        () -> mindOne(launch),
        task -> Thread.ofVirtual().name("mind " + launch.name()).start(task));
  }

  /** Returns when it has left, or all are being ended. */
  private void mindOne(Launch launch) {
    Backoff pauses = new Backoff(FIRST_PAUSE, LONGEST_PAUSE);
    boolean wasReady = false;
    while (!children.isClosed()) {
      long start = System.nanoTime();
      ChildJvm worker = children.start(launch);
      var _ = worker.onReady().thenAccept(console::json);
      Optional<String> error = worker.onEnd().join();
      if (children.isClosed()) {
        return;
      }
      wasReady |= worker.hasBeenReady();
      switch (Ending.of(worker.exitCode())) {
        case LEFT -> {
          console.talk("Process %s has left.".formatted(launch.name()));
          return;
        }
        case REFUSED -> {
          if (!wasReady) {
            throw CommandException.badRequest(
                "process %s did not start: %s"
                    .formatted(launch.name(), error.orElseGet(worker::lastWords)));
          }
        }
        case LOST -> {}
      }
      if (System.nanoTime() - start > LASTED.toNanos()) {
        pauses.reset();
      }
      Duration pause = pauses.next();
      console.talk(
          "Process %s ended: %s. Starting it again in %d s."
              .formatted(launch.name(), error.orElseGet(worker::lastWords), pause.toSeconds()));
      Backoff.sleep(pause);
    }
  }

  /** Has all workers hand over, and returns when they have ended; whether they did in order. */
  boolean end() {
    children.close();
    return inOrder;
  }

  @Override
  public void close() {
    end();
  }

  private void haveHandedOver(List<ChildJvm> workers) {
    workers.forEach(worker -> worker.handle().destroy()); // By SIGTERM.
    long deadline = System.nanoTime() + patience.toNanos();
    for (ChildJvm worker : workers) {
      boolean ended = worker.awaitEnd(Duration.ofNanos(deadline - System.nanoTime()));
      if (!ended || Ending.of(worker.exitCode()) != Ending.LEFT) {
        inOrder = false;
        console.talk(
            "Process %s did not leave in order: %s."
                .formatted(
                    worker.launch().name(),
                    ended
                        ? worker.lastWords()
                        : "it is still there after %d s".formatted(patience.toSeconds())));
      }
    }
  }
}
