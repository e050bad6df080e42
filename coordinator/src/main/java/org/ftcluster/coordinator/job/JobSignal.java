package org.ftcluster.coordinator.job;

import java.time.Duration;

/** What a job tells the one that has the workers. */
public sealed interface JobSignal {
  /** It was numbered, but its submission never became durable: there is no such job. */
  record Unknown(String job) implements JobSignal {}

  /** Its status is a new one. One that has ended or is paused holds no workers. */
  record Changed(JobStatus status) implements JobSignal {}

  /**
   * It holds no workers (any more), and asks for some.
   *
   * @param recovering it has state in the memory of workers that are left
   * @param after not before so much time has passed
   */
  record WantsWorkers(String job, WorkerDemand demand, boolean recovering, Duration after)
      implements JobSignal {
    /** At once. */
    public WantsWorkers(String job, WorkerDemand demand, boolean recovering) {
      this(job, demand, recovering, Duration.ZERO);
    }
  }

  /** A worker has failed it again and again: it rather has others for a while. */
  record Shuns(String job, String node) implements JobSignal {}

  /**
   * Its workers went on while no coordinator was there: they are to be found, and are its own. Ends
   * with the next other signal.
   */
  record LooksForWorkers(String job, long generation) implements JobSignal {}
}
