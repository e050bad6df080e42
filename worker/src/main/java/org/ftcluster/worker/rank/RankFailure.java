package org.ftcluster.worker.rank;

import java.util.Objects;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.worker.checkpoint.CheckpointException;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.training.OutputException;

/** What a throwable from a rank's task means for its job. */
final class RankFailure {
  private RankFailure() {}

  static Cause cause(Throwable failure) {
    return switch (failure) {
      case BadJobException ignored -> Cause.BAD_JOB;
      case CollectiveException ignored -> Cause.LOST_PEER;
      default -> Cause.WORKER_ERROR;
    };
  }

  static String sentence(Throwable failure) {
    String message = Objects.requireNonNullElse(failure.getMessage(), "");
    return switch (failure) {
      case OutOfMemoryError ignored -> "the worker is out of memory: " + message;
      case BadJobException ignored -> message;
      case CollectiveException ignored -> message;
      case CheckpointException ignored -> message;
      case OutputException ignored -> message;
      default ->
          message.isEmpty()
              ? failure.getClass().getSimpleName()
              : "%s (%s)".formatted(message, failure.getClass().getSimpleName());
    };
  }
}
