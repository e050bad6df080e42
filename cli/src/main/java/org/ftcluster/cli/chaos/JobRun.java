package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.nio.file.Path;
import java.util.function.LongSupplier;
import org.ftcluster.cli.chaos.Verdict.Ending;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.console.CommandException;
import org.jspecify.annotations.Nullable;

/** A job that was handed in, and what is seen of it from then on. */
final class JobRun implements AutoCloseable {
  private final Path folder;
  private final Sightings sightings;
  private final MetricsTail tail;
  private final Thread follower;
  private volatile boolean ended;
  private volatile boolean closed;
  private volatile @Nullable String silence;

  /**
   * Hands it in.
   *
   * @param folder its results' place
   */
  JobRun(CoordinatorClient client, String yaml, Path folder, LongSupplier clockMs) {
    this.folder = folder;
    sightings = new Sightings(clockMs);
    tail = new MetricsTail(folder.resolve("metrics.jsonl"), sightings);
    String job = client.submit(yaml);
    follower = Thread.ofPlatform().daemon().name("follow-" + job).start(() -> follow(client, job));
  }

  /** The coordinator may be away again and again, for longer than a client waits. */
  private void follow(CoordinatorClient client, String job) {
    while (!closed) {
      try {
        client.watch(job, sightings::update, this::requireOpen);
        ended = true;
        return;
      } catch (CommandException e) {
        silence = e.getMessage();
      }
    }
  }

  private void requireOpen() {
    if (closed) {
      throw CommandException.failed("nobody follows any more");
    }
  }

  /** Looks at what is new; true once the job has ended. */
  boolean poll() {
    try {
      tail.poll();
    } catch (IOException e) {
      throw CommandException.failed("metrics.jsonl can't be read: " + e).because(e);
    }
    return ended;
  }

  Sightings sightings() {
    return sightings;
  }

  /** How it ended, or that it didn't. */
  Ending ending() {
    var job = sightings.last().getJob();
    String said = silence;
    String reason = job.getReason().isEmpty() && said != null ? said : job.getReason();
    if (!ended) {
      return new Ending("nowhere, it is " + job.getState(), reason, null);
    }
    boolean succeeded = job.getState().equals("SUCCEEDED");
    return new Ending(job.getState(), reason, succeeded ? Results.read(folder) : null);
  }

  @Override
  public void close() {
    closed = true;
    follower.interrupt();
  }
}
