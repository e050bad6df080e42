package org.ftcluster.worker.checkpoint;

/**
 * How far training has come, beside the tensors.
 *
 * @param step optimizer steps done
 * @param evalLossBefore before the first step; NaN where the job has no evaluation data
 * @param samples trained on so far
 * @param tokens trained on so far
 * @param seconds spent in steps so far
 */
public record Progress(
    long step, double evalLossBefore, long samples, long tokens, double seconds) {
  /** Where a job begins. */
  public static final Progress NONE = new Progress(0, Double.NaN, 0, 0, 0);
}
