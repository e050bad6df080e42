package org.ftcluster.worker.training;

import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.worker.parallel.Mesh;

/** Whether the ranks of a sharding group are as close to each other as the job means them to be. */
final class SharingHosts {
  private SharingHosts() {}

  /**
   * A sentence where a group goes across machines.
   *
   * @param peers by rank
   */
  static Optional<String> warning(Mesh mesh, List<PeerAddress> peers) {
    if (mesh.groups() == 1) {
      return Optional.empty();
    }
    List<List<String>> hosts =
        IntStream.range(0, mesh.groups())
            .mapToObj(group -> hosts(mesh.groupSize(), group, peers))
            .filter(group -> group.size() > 1)
            .toList();
    return hosts.isEmpty()
        ? Optional.empty()
        : Optional.of(
            "parallel.sharding_group: %d of %d groups are on several machines (%s, for one): what ranks of a group gather all the time goes over the network."
                .formatted(hosts.size(), mesh.groups(), String.join(", ", hosts.getFirst())));
  }

  private static List<String> hosts(int size, int group, List<PeerAddress> peers) {
    return peers.subList(group * size, (group + 1) * size).stream()
        .map(PeerAddress::host)
        .distinct()
        .toList();
  }
}
