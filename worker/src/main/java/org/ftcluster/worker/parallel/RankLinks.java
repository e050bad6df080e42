package org.ftcluster.worker.parallel;

import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.tensor.Accelerator;
import org.jspecify.annotations.Nullable;

/**
 * The ranks of a generation, by what they have to send each other.
 *
 * @param hosts what is in the hosts' memory, over the network
 * @param layers what is where layers are computed
 * @param state the state, which is in the hosts' memory
 * @param device whose memory is that of the layers' links; null for the host's
 */
public record RankLinks(
    Communicator hosts, Communicator layers, Communicator state, @Nullable Accelerator device)
    implements AutoCloseable {
  /** Where all of it goes from host to host. */
  public static RankLinks ofHosts(Communicator hosts) {
    return new RankLinks(hosts, hosts, hosts, null);
  }

  /** As {@link Communicator#abort}, on all of them. */
  public void abort(String reason) {
    layers.abort(reason);
  }

  @Override
  public void close() {
    layers.close();
    if (state != layers) {
      state.close();
    }
  }
}
