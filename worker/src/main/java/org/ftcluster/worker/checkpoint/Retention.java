package org.ftcluster.worker.checkpoint;

/**
 * Which checkpoints of a job stay where they are.
 *
 * @param newest how many of the newest, at least 1
 * @param best whether the best one that was kept for the result stays besides
 */
record Retention(int newest, boolean best) {
  Retention {
    if (newest < 1) {
      throw new IllegalArgumentException("keep " + newest + " checkpoints");
    }
  }

  /**
   * Whether one stays.
   *
   * @param newer how many newer ones stay
   * @param progress the job's
   */
  boolean keeps(long step, int newer, Progress progress) {
    return newer < newest
        || best
            && progress.bestKept().map(Progress.Evaluated::step).filter(s -> s == step).isPresent();
  }
}
