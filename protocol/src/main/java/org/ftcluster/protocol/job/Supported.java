package org.ftcluster.protocol.job;

import org.ftcluster.protocol.job.JobSpec.OffloadTarget;

/** What a job file can say and this version can't do: the only place that knows. */
final class Supported {
  private Supported() {}

  /**
   * On a CPU what is below memory is a disk. Below a GPU's memory is the host's, and below that,
   * for the optimizer, a disk.
   */
  static void check(JobSpec spec, Problems problems) {
    JobSpec.Offload offload = spec.offload();
    switch (spec.resources().device()) {
      case CPU -> {
        refuseHost("offload.parameters", offload.parameters(), problems);
        refuseHost("offload.optimizer", offload.optimizer(), problems);
        refuseHost("offload.activations", offload.activations(), problems);
      }
      case CUDA -> {
        refuseDisk("offload.parameters", offload.parameters(), problems);
        refuseDisk("offload.activations", offload.activations(), problems);
      }
    }
  }

  private static void refuseHost(String key, OffloadTarget target, Problems problems) {
    if (target == OffloadTarget.CPU) {
      problems.add(
          key, "is cpu, which is where it is with resources.device cpu anyway; give disk or none");
    }
  }

  private static void refuseDisk(String key, OffloadTarget target, Problems problems) {
    if (target == OffloadTarget.DISK) {
      problems.add(
          key, "is disk, which is not supported yet together with resources.device cuda; give cpu");
    }
  }
}
