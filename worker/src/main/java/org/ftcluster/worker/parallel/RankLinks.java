package org.ftcluster.worker.parallel;

import org.ftcluster.worker.collective.Communicator;

/**
 * The ranks of a generation, by what they have to send each other.
 *
 * @param hosts what is in the hosts' memory, over the network
 * @param layers what is where layers are computed
 * @param state gradients and parameters, which are in the hosts' memory
 */
public record RankLinks(Communicator hosts, Communicator layers, Communicator state)
    implements AutoCloseable {
  /** Where all of it goes from host to host. */
  public static RankLinks ofHosts(Communicator hosts) {
    return new RankLinks(hosts, hosts, hosts);
  }

  /** Whether layers' links are GPUs', and not those of the state in the hosts' memory. */
  public boolean areOfDevices() {
    return layers != state;
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
