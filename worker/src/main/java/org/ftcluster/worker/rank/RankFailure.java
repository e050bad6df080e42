package org.ftcluster.worker.rank;

import java.util.Objects;
import java.util.regex.Pattern;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.worker.checkpoint.CheckpointException;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.training.OutputException;

/** What a throwable from a rank's task means for its job. */
final class RankFailure {
  /** What libtorch's allocators, on processors and on GPUs, and C++ say. */
  private static final Pattern OUT_OF_NATIVE_MEMORY =
      Pattern.compile("can't allocate memory|not enough memory|out of memory|bad_alloc");

  private RankFailure() {}

  static Cause cause(Throwable failure) {
    return switch (failure) {
      case BadJobException ignored -> Cause.BAD_JOB;
      case CollectiveException ignored -> Cause.LOST_PEER;
      default -> Cause.WORKER_ERROR;
    };
  }

  /** Whether memory ran out: that of the Java heap, or any other. */
  static boolean isOutOfMemory(Throwable failure) {
    return switch (failure) {
      case OutOfMemoryError ignored -> true;
      case NativeException e -> OUT_OF_NATIVE_MEMORY.matcher(String.valueOf(e.getMessage())).find();
      default -> failure.getCause() != null && isOutOfMemory(failure.getCause());
    };
  }

  static String sentence(Throwable failure) {
    String message = Objects.requireNonNullElse(failure.getMessage(), "");
    return switch (failure) {
      case Throwable e when isOutOfMemory(e) ->
          "the worker is out of memory: " + firstLine(message);
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

  private static String firstLine(String message) {
    return message.lines().findFirst().orElse("");
  }
}
