package org.ftcluster.cli.node;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.jvm.Launch;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** How the workers of a machine with several GPUs are started. */
class GpuWorkersTest {
  @Test
  void eachHasAGpuPortsAndAShareOfItsOwn() {
    List<Launch> launches =
        new GpuWorkers(
                List.of("0", "GPU-8932f937"),
                List.of("--coordinator", "10.0.0.1:7600", "--insecure"),
                new PortRange("--cluster-port", 7700, 2),
                new PortRange("--collective-port", 0, 2),
                16_000_000_000L)
            .launches();

    Launch second = launches.get(1);
    assertEquals(2, launches.size());
    assertEquals("worker-cuda:GPU-8932f937", second.name());
    assertEquals(Map.of("CUDA_VISIBLE_DEVICES", "GPU-8932f937"), second.environment());
    assertEquals(
        List.of(
            "worker",
            "--coordinator",
            "10.0.0.1:7600",
            "--insecure",
            "--device",
            "cuda:GPU-8932f937",
            "--cluster-port",
            "7701",
            "--collective-port",
            "0",
            "--memory",
            "16.000",
            "--parent-watch",
            "--json"),
        second.arguments());
    assertTrue(second.flags().contains("-XX:MaxRAMPercentage=12.50"), second.flags().toString());
  }

  @Test
  void optionsArePassedOnAsTheyWereGiven() {
    CommandLine.ParseResult parsed =
        new CommandLine(new WorkerCommand())
            .parseArgs(
                "--insecure",
                "--gpus=all",
                "--grace",
                "60",
                "--json",
                "--spot-endpoint=http://127.0.0.1:8/a");

    assertEquals(
        List.of("--insecure", "--grace", "60", "--spot-endpoint", "http://127.0.0.1:8/a"),
        GivenOptions.of(parsed, Set.of("--gpus", "--json")));
  }

  @Test
  void portsFollowOneAnother() {
    PortRange fixed = new PortRange("--cluster-port", 65_534, 2);

    assertEquals(List.of(65_534, 65_535), List.of(fixed.of(0), fixed.of(1)));
    assertEquals(0, new PortRange("--cluster-port", 0, 2).of(1));
  }

  @Test
  void portsThatAreNotThereOrWantedTwiceAreRefused() {
    assertEquals(
        "--cluster-port 65535 leaves no port for each of 2 workers: 65535 is the last one",
        assertThrows(CommandException.class, () -> new PortRange("--cluster-port", 65_535, 2))
            .getMessage());
    PortRange cluster = new PortRange("--cluster-port", 7700, 4);
    new PortRange("--collective-port", 0, 4).requireApartFrom(cluster);
    new PortRange("--collective-port", 7704, 4).requireApartFrom(cluster);
    assertEquals(
        "--cluster-port and --collective-port take 4 ports each, from 7700 and 7703 on, and share"
            + " some; put them 4 apart",
        assertThrows(
                CommandException.class,
                () -> cluster.requireApartFrom(new PortRange("--collective-port", 7703, 4)))
            .getMessage());
  }
}
