package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;

/** Whether results are of a job: whether they must be equal to what it makes. */
final class SameJob {
  private SameJob() {}

  /**
   * Compares the job with the {@code job.yaml} beside the results.
   *
   * @throws CommandException that names what is different
   */
  static void require(JobSpec job, Path results) {
    Path file = results.resolve("job.yaml");
    JobSpec other;
    try {
      other = JobSpecReader.resolved(Files.readString(file));
    } catch (IOException e) {
      throw CommandException.badRequest(
              "--reference: %s has no job.yaml; name the folder of a job's results"
                  .formatted(results))
          .because(e);
    }
    List<String> different = new ArrayList<>();
    note("model", job.model(), other.model(), different);
    note("adapter", job.adapter(), other.adapter(), different);
    note("data", job.data(), other.data(), different);
    note("training", job.training(), other.training(), different);
    note("parallel.tensor", job.parallel().tensor(), other.parallel().tensor(), different);
    note("resources", job.resources(), other.resources(), different);
    if (!different.isEmpty()) {
      throw CommandException.badRequest(
          "--reference: %s is of another job, which differs in %s"
              .formatted(results, String.join(", ", different)));
    }
  }

  private static void note(String section, Object mine, Object other, List<String> different) {
    if (!mine.equals(other)) {
      different.add(section);
    }
  }
}
