package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.security.Credentials;
import org.ftcluster.protocol.security.NewCredentials;
import org.ftcluster.protocol.security.Protection;
import org.ftcluster.worker.collective.CollectiveListener;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.collective.TcpCommunicator;
import org.ftcluster.worker.tensor.HollowDevice;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** NCCL doesn't encrypt: it isn't used where what goes between machines is to be encrypted. */
class NvidiaGpuTest {
  @Test
  void whatIsToBeEncryptedGoesByWayOfTheHosts(@TempDir Path folder) throws Exception {
    NewCredentials.create(folder.resolve("keys"));
    Protection tls = new Protection.Tls(Credentials.read(folder.resolve("keys")));
    // One of them was told that NCCL may go in plain: all must have been.
    List<Boolean> inPlain = List.of(true, false);
    List<CollectiveListener> machines =
        Stream.of("127.0.0.2", "127.0.0.1")
            .map(host -> TcpCommunicator.listen(new ListenAddress(host, 0, host, tls)))
            .toList();
    Ranks.run(
        machines,
        1,
        hosts -> {
          NvidiaGpu gpu = new NvidiaGpu(new HollowDevice(), inPlain.get(hosts.rank()));
          assertSame(hosts, gpu.link(hosts, false, Ranks.LIMIT).hosts());
          String refusal =
              assertThrows(BadJobException.class, () -> gpu.link(hosts, true, Ranks.LIMIT))
                  .getMessage();
          assertTrue(
              String.valueOf(refusal).contains(inPlain.get(hosts.rank()) ? "NCCL" : "in-plain"),
              refusal);
          return null;
        });
  }
}
