package org.ftcluster.coordinator.api;

import java.nio.charset.StandardCharsets;
import org.ftcluster.coordinator.job.JobEvent;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecException;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.serialization.KryoSerializer;

/** A job file as it comes from a client, checked. */
final class JobFile {
  /** What still fits into the message that takes it to the workers. */
  static final int MAX_BYTES = KryoSerializer.MAX_BYTES / 2;

  private JobFile() {}

  /**
   * Reads {@code yaml}, with every path absolute; whether files exist is for the workers to say.
   *
   * @throws JobSpecException when the job is wrong
   * @throws IllegalArgumentException when the text is too large
   */
  static JobEvent.Submitted submission(String yaml) {
    int bytes = yaml.getBytes(StandardCharsets.UTF_8).length;
    if (bytes > MAX_BYTES) {
      throw new IllegalArgumentException(
          "The job file has %d bytes; at most %d are taken.".formatted(bytes, MAX_BYTES));
    }
    JobSpec spec = JobSpecReader.resolved(yaml);
    return new JobEvent.Submitted(spec.name(), yaml, WorkerDemand.of(spec));
  }
}
