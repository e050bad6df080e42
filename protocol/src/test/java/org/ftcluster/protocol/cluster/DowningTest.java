package org.ftcluster.protocol.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import java.util.List;
import org.apache.pekko.actor.Address;
import org.ftcluster.protocol.cluster.Downing.Node;
import org.junit.jupiter.api.Test;

/** Who is put out of the cluster when nodes can't reach each other. */
class DowningTest {
  private static final Address SELF = address(1);
  private static final Address COORDINATOR = address(2);
  private static final Address WORKER = address(3);
  private static final Address OTHER = address(4);

  @Test
  void aCoordinatorPutsOutWhomItCannotReachForAWhile() {
    Downing downing = new Downing(SELF, true);
    List<Node> nodes = List.of(worker(WORKER, false), worker(OTHER, true));

    assertEquals(List.of(), downing.decide(nodes, Duration.ZERO));
    assertEquals(List.of(), downing.decide(nodes, Downing.PATIENCE.minusMillis(1)));
    assertEquals(List.of(WORKER), downing.decide(nodes, Downing.PATIENCE));
  }

  @Test
  void oneThatIsReachedAgainStays() {
    Downing downing = new Downing(SELF, true);

    downing.decide(List.of(worker(WORKER, false)), Duration.ZERO);
    downing.decide(List.of(worker(WORKER, true)), Duration.ofSeconds(4));

    assertEquals(List.of(), downing.decide(List.of(worker(WORKER, false)), Duration.ofSeconds(8)));
  }

  @Test
  void oneThatSaidThatItGoesIsNotWaitedFor() {
    Downing downing = new Downing(SELF, true);
    List<Node> nodes = List.of(new Node(WORKER, false, true, false));

    downing.decide(nodes, Duration.ZERO);

    assertEquals(List.of(WORKER), downing.decide(nodes, Downing.LEAVING_PATIENCE));
  }

  @Test
  void howeverManyAreLostACoordinatorStays() {
    Downing downing = new Downing(SELF, true);
    List<Node> nodes = List.of(worker(WORKER, false), worker(OTHER, false));

    downing.decide(nodes, Duration.ZERO);

    assertEquals(List.of(WORKER, OTHER), downing.decide(nodes, Duration.ofHours(1)));
  }

  @Test
  void aWorkerPutsOutNobodyAndStaysWhileItReachesACoordinator() {
    Downing downing = new Downing(SELF, false);
    List<Node> nodes =
        List.of(coordinator(COORDINATOR, true), coordinator(OTHER, false), worker(WORKER, false));

    downing.decide(nodes, Duration.ZERO);

    assertEquals(List.of(), downing.decide(nodes, Duration.ofHours(1)));
  }

  @Test
  void aWorkerThatReachesNoCoordinatorGoes() {
    Downing downing = new Downing(SELF, false);
    List<Node> nodes = List.of(coordinator(COORDINATOR, false), worker(WORKER, true));

    assertEquals(List.of(), downing.decide(nodes, Duration.ZERO));
    assertEquals(List.of(), downing.decide(nodes, Downing.ALONE_PATIENCE.minusMillis(1)));
    assertEquals(List.of(SELF), downing.decide(nodes, Downing.ALONE_PATIENCE));
  }

  @Test
  void aWorkerThatHasNotJoinedYetStays() {
    Downing downing = new Downing(SELF, false);

    assertEquals(List.of(), downing.decide(List.of(), Duration.ofHours(1)));
  }

  private static Node worker(Address address, boolean reachable) {
    return new Node(address, false, false, reachable);
  }

  private static Node coordinator(Address address, boolean reachable) {
    return new Node(address, true, false, reachable);
  }

  private static Address address(int port) {
    return new Address("pekko", ClusterSystem.NAME, "127.0.0.1", port);
  }
}
