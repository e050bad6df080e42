package org.ftcluster.cli.job;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.ftcluster.protocol.api.JobSummary;

/**
 * A job as {@code --json} shows it.
 *
 * @param maxWorkers it never has more, see {@code scale}
 * @param reason why the job is in this state, and what it lacks while it waits; left out where
 *     there is nothing to say
 */
record JobLine(
    String job,
    String name,
    String state,
    long step,
    long steps,
    int workers,
    long generation,
    int maxWorkers,
    @JsonInclude(JsonInclude.Include.NON_EMPTY) String reason) {
  static final List<String> HEADING =
      List.of("JOB", "NAME", "STATE", "STEP", "WORKERS", "GENERATION", "REASON");

  static JobLine of(JobSummary job) {
    return new JobLine(
        job.getJob(),
        job.getName(),
        job.getState(),
        job.getStep(),
        job.getSteps(),
        job.getWorkers(),
        job.getGeneration(),
        job.getMaxWorkers(),
        Stream.of(job.getReason(), job.getShortage())
            .filter(clause -> !clause.isEmpty())
            .collect(Collectors.joining("; ")));
  }

  List<String> cells() {
    String progress = steps > 0 ? step + "/" + steps : "-";
    return List.of(
        job, name, state, progress, String.valueOf(workers), String.valueOf(generation), reason);
  }
}
