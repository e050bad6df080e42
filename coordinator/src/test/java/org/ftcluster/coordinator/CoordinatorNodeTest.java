package org.ftcluster.coordinator;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import org.ftcluster.coordinator.journal.JournalStore;
import org.ftcluster.protocol.cluster.NodeHost;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.ftcluster.protocol.security.Protection;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Coordinators that can't start say why, and leave nothing behind. */
class CoordinatorNodeTest {
  @TempDir Path dataDir;

  @Test
  void aTakenPortForClientsIsNamed() throws Exception {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      int port = taken.getLocalPort();
      assertTrue(refused("127.0.0.1", port, 0, dataDir).contains("Port " + port));
    }
    startAndStop();
  }

  @Test
  void aTakenPortForNodesIsNamed() throws Exception {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      int port = taken.getLocalPort();
      assertTrue(refused("127.0.0.1", 0, port, dataDir).contains("Port " + port));
    }
    startAndStop();
  }

  @Test
  void aDataFolderThatCannotBeUsedIsNamed() throws Exception {
    Path file = Files.createFile(dataDir.resolve("file"));
    assertTrue(refused("127.0.0.1", 0, 0, file).contains(file.toString()));
  }

  @Test
  void anAddressThatOthersCanReachNeedsInsecure() {
    assertTrue(refused("0.0.0.0", 0, 0, dataDir).contains("--insecure"));
  }

  private String refused(String host, int grpcPort, int clusterPort, Path folder) {
    return assertThrows(
            NodeStartException.class,
            () ->
                CoordinatorNode.start(
                    new CoordinatorSettings(
                        new NodeHost(host, "", new Protection.LoopbackOnly()),
                        grpcPort,
                        clusterPort,
                        new JournalStore.H2File(folder))))
        .getMessage();
  }

  private void startAndStop() {
    CoordinatorNode.start(
            new CoordinatorSettings(NodeHost.loopback(), 0, 0, new JournalStore.H2File(dataDir)))
        .close();
  }
}
