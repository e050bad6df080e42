package org.ftcluster.worker.training;

import java.time.Duration;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.parallel.RankLinks;
import org.ftcluster.worker.tensor.Accelerator;

/** A GPU that a rank has, opened for its thread. */
interface Gpu {
  /** What the model's layers run on. */
  Accelerator accelerator();

  /**
   * How the ranks of a generation reach each other, all of which have a GPU. All of them call it at
   * the same time.
   *
   * @param hosts closed with what is returned
   * @param inParts whether layers of one rank have something to send to those of others
   * @param deadline for each time that they meet
   * @throws org.ftcluster.protocol.job.BadJobException on all ranks, when they have no way to do
   *     that
   */
  RankLinks link(Communicator hosts, boolean inParts, Duration deadline);
}
