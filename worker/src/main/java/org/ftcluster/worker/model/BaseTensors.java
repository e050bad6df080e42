package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** Where the weights of a base model come from. */
interface BaseTensors extends AutoCloseable {
  boolean contains(String name);

  /**
   * The tensor of that name, in the type it is stored in; no one writes to it.
   *
   * @param scope for the tensor itself, whose memory may belong to this source
   * @throws org.ftcluster.protocol.job.BadJobException when it isn't there, or is of another shape
   */
  Tensor get(Scope scope, String name, long... shape);

  @Override
  void close();
}
