package org.ftcluster.coordinator.registry;

import java.util.Optional;
import org.ftcluster.coordinator.job.JobStatus;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerDescription;
import org.jspecify.annotations.Nullable;

/** Workers that couldn't be told in time may still be at work for what is over. */
final class Leftovers {
  private Leftovers() {}

  /**
   * What a worker is to be told.
   *
   * @param found what it says of itself
   * @param status of the job that it names; null where there is no such job
   */
  static Optional<WorkerCommand> order(WorkerDescription found, @Nullable JobStatus status) {
    String job = found.job();
    if (job.isEmpty()) {
      return Optional.empty();
    }
    if (status == null || status.state().isTerminal()) {
      return Optional.of(new WorkerCommand.ReleaseJob(job));
    }
    return found.rank() >= 0 && found.generation() < status.generation()
        ? Optional.of(
            new WorkerCommand.StopRank(
                job, found.generation(), "generation %d has begun".formatted(status.generation())))
        : Optional.empty();
  }
}
