package org.ftcluster.protocol.message;

/**
 * A worker, as {@code ftcluster nodes} shows it.
 *
 * @param device {@link #CPU}, or {@code cuda:0}
 * @param state {@code IDLE}, {@code PREPARING}, {@code TRAINING}, {@code STOPPING}, or {@code
 *     DRAINING} once it is about to leave; a coordinator shows one that doesn't answer as {@code
 *     UNREACHABLE}
 * @param job the one it works for, or whose state it holds; or empty
 * @param rank -1 where it runs none
 * @param slowness time that it takes for a token, compared with the other ranks of its job; 0 where
 *     that isn't known
 */
public record WorkerDescription(
    String node,
    String host,
    long pid,
    String device,
    String state,
    String job,
    int rank,
    long generation,
    double slowness) {
  /** What a worker without a GPU computes on. */
  public static final String CPU = "cpu";

  public boolean hasGpu() {
    return !device.equals(CPU);
  }
}
