package org.ftcluster.worker.rank;

import java.util.Optional;
import java.util.function.Consumer;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.training.RankTask;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one job that a worker has in memory, if any. Changed by the rank's thread alone; what may be
 * asked of a task from any thread goes through {@link #of}.
 */
final class Resident {
  private static final Logger LOG = LoggerFactory.getLogger(Resident.class);

  private record Loaded(String job, RankTask task) {}

  private final RankTask.Factory factory;
  private final ListenAddress listen;
  private volatile @Nullable Loaded loaded;

  /**
   * @param listen where collectives listen
   */
  Resident(RankTask.Factory factory, ListenAddress listen) {
    this.factory = factory;
    this.listen = listen;
  }

  /** The job's task; empty where another job, or none, is loaded. Any thread may ask. */
  Optional<RankTask> of(String job) {
    Loaded current = loaded;
    return current != null && current.job().equals(job)
        ? Optional.of(current.task())
        : Optional.empty();
  }

  /** The job that is loaded, or empty. Any thread may ask. */
  String job() {
    Loaded current = loaded;
    return current == null ? "" : current.job();
  }

  /** Loads a job, unless it is loaded already; lets go of any other. */
  RankTask load(String job, String yaml) {
    Optional<RankTask> known = of(job);
    if (known.isPresent()) {
      return known.get();
    }
    close();
    RankTask created = factory.create(job, yaml, listen);
    loaded = new Loaded(job, created);
    return created;
  }

  /** Calls {@code action} with the task, if there is one. */
  void ifLoaded(Consumer<RankTask> action) {
    Loaded current = loaded;
    if (current != null) {
      action.accept(current.task());
    }
  }

  /** Frees what is held. */
  void close() {
    Loaded closing = loaded;
    loaded = null;
    if (closing != null) {
      try {
        closing.task().close();
      } catch (RuntimeException e) {
        LOG.warn("what {} held could not be freed", closing.job(), e);
      }
    }
  }
}
