package org.ftcluster.protocol.job;

import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.protocol.job.JobSpec.Sharding;

/** What a job file can say and this version can't do: the only place that knows. */
final class Supported {
  private Supported() {}

  static void check(JobSpec spec, Problems problems) {
    JobSpec.Parallel parallel = spec.parallel();
    if (parallel.sharding() != Sharding.NONE) {
      problems.add(
          "parallel.sharding",
          "is %s, but sharding is not supported yet; give none"
              .formatted(Section.word(parallel.sharding())));
    }
    if (spec.model().quantization().type() == QuantizationType.INT8) {
      problems.add(
          "model.quantization.type", "is int8, which is not supported yet; give nf4 or none");
    }
  }
}
