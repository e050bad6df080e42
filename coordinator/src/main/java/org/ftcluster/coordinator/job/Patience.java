package org.ftcluster.coordinator.job;

import java.time.Duration;

/**
 * How long a coordinator waits for others.
 *
 * @param prepare for all ranks of a generation to have loaded model and data
 * @param start for all prepared ranks to be connected and to hold the same state
 * @param workers for enough workers to join, while no other job holds any
 * @param answer for a worker to say that it is there
 * @param resume for the workers of a job that an earlier coordinator left running to come back;
 *     twice as long where none has
 * @param again before a job whose rank failed is tried once more; longer each time
 */
public record Patience(
    Duration prepare,
    Duration start,
    Duration workers,
    Duration answer,
    Duration resume,
    Duration again) {
  /** For real clusters, where loading a large model takes a while. */
  public static Patience defaults() {
    return new Patience(
        Duration.ofMinutes(10),
        Duration.ofMinutes(2),
        Duration.ofMinutes(5),
        Duration.ofSeconds(1),
        Duration.ofSeconds(30),
        Duration.ofSeconds(1));
  }
}
