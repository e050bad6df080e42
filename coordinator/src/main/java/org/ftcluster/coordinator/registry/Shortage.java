package org.ftcluster.coordinator.registry;

import java.time.Duration;
import org.ftcluster.coordinator.job.WorkerDemand;

/**
 * What a job waits for.
 *
 * @param idle workers that nobody has and it could use
 */
record Shortage(WorkerDemand demand, long idle) {
  boolean isReal() {
    return idle < demand.min();
  }

  /** Why a job waits. */
  String clause() {
    return "it needs %s, and there %s idle; more are started with '%s'"
        .formatted(needs(), are(), howToStart());
  }

  /** Why a job ends that waited so long. */
  String lasting(Duration patience) {
    return "no worker joined in time: the job needs %s, and after %d s there %s; start more with '%s'"
        .formatted(needs(), patience.toSeconds(), are(), howToStart());
  }

  private String needs() {
    return demand.min()
        + (demand.min() == 1 ? " worker" : " workers")
        + (demand.gpu() ? " with a GPU, since its resources.device is cuda" : "");
  }

  private String are() {
    return idle == 1 ? "is 1" : "are " + idle;
  }

  private String howToStart() {
    return "ftcluster worker --coordinator HOST:PORT" + (demand.gpu() ? " --gpus all" : "");
  }
}
