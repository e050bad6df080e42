package org.ftcluster.protocol.job;

import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;

/** What a job file can say and this version can't do: the only place that knows. */
final class Supported {
  private Supported() {}

  static void check(JobSpec spec, Problems problems) {
    sharding(spec, problems);
    if (spec.model().quantization().type() == QuantizationType.INT8) {
      problems.add(
          "model.quantization.type", "is int8, which is not supported yet; give nf4 or none");
    }
  }

  private static void sharding(JobSpec spec, Problems problems) {
    switch (spec.parallel().sharding()) {
      case NONE, ZERO1, ZERO2 -> {}
      case ZERO3 -> {
        if (spec.adapter().type() == AdapterType.NONE) {
          problems.add(
              "parallel.sharding",
              "is zero3, which shares out frozen weights only yet, and adapter.type none leaves none;"
                  + " give zero2");
        }
      }
    }
  }
}
