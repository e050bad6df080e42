package org.ftcluster.cli.model;

import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import org.ftcluster.protocol.job.JobSpec;
import org.jspecify.annotations.Nullable;

/** How prompts and responses are made from the lines of a data set. */
record Templates(String prompt, String response) {
  /** Those of a job; without one, the defaults of the job file. */
  static Templates of(Optional<JobSpec> job) {
    return job.map(JobSpec::data)
        .map(JobSpec.Data::train)
        .map(train -> new Templates(train.prompt(), train.response()))
        .orElse(new Templates("{prompt}", "{completion}"));
  }

  /** Replaces what is given. */
  Templates with(@Nullable String newPrompt, @Nullable String newResponse) {
    return new Templates(
        Objects.requireNonNullElse(newPrompt, prompt),
        Objects.requireNonNullElse(newResponse, response));
  }

  JobSpec.Source source(Path data) {
    return new JobSpec.Source(data.toAbsolutePath().normalize(), prompt, response);
  }
}
