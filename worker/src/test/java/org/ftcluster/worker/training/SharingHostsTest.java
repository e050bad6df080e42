package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.worker.parallel.Mesh;
import org.junit.jupiter.api.Test;

class SharingHostsTest {
  private static final Mesh PAIRS = new Mesh(4, 1, 1, 2);

  @Test
  void groupsInsideMachinesAreAsTheyShouldBe() {
    assertEquals(Optional.empty(), SharingHosts.warning(PAIRS, on("a", "a", "b", "b")));
    assertEquals(Optional.empty(), SharingHosts.warning(PAIRS, on("a", "a", "a", "a")));
  }

  @Test
  void oneThatGoesAcrossMachinesIsNamed() {
    assertEquals(
        Optional.of(
            "parallel.sharding_group: 1 of 2 groups are on several machines (b, c, for one): what ranks of a group gather all the time goes over the network."),
        SharingHosts.warning(PAIRS, on("a", "a", "b", "c")));
  }

  @Test
  void whatAllShareMayBeAnywhere() {
    assertEquals(Optional.empty(), SharingHosts.warning(new Mesh(4, 1, 1), on("a", "b", "c", "d")));
  }

  private static List<PeerAddress> on(String... hosts) {
    return Stream.of(hosts).map(host -> new PeerAddress(host, 1)).toList();
  }
}
