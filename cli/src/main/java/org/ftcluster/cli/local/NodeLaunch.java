package org.ftcluster.cli.local;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.ftcluster.cli.Main;
import org.ftcluster.cli.client.Address;
import org.ftcluster.cli.local.ChildJvm.Launch;

/** How the nodes of a local cluster are started: by the commands that anyone can type. */
final class NodeLaunch {
  private static final String ANY_PORT = "127.0.0.1:0";

  private NodeLaunch() {}

  static Launch coordinator(RunFolder folder) {
    return launch(
        "coordinator",
        JvmFlags.network(),
        List.of("-Xmx256m", "-XX:TieredStopAtLevel=1"),
        List.of(
            "coordinator",
            "--grpc",
            ANY_PORT,
            "--cluster-port",
            "0",
            "--data-dir",
            folder.coordinatorData().toString()),
        Map.of(),
        folder.logs());
  }

  /**
   * @param number counted from 1
   * @param threads libtorch threads
   */
  static Launch worker(int number, Address coordinator, int threads, RunFolder folder) {
    return launch(
        "worker " + number,
        JvmFlags.tensor(),
        List.of("-Xmx1g"),
        List.of("worker", "--coordinator", coordinator.toString()),
        Map.of("OMP_NUM_THREADS", String.valueOf(threads)),
        folder.logs());
  }

  private static Launch launch(
      String name,
      List<String> flags,
      List<String> limits,
      List<String> arguments,
      Map<String, String> environment,
      Path logs) {
    List<String> allFlags = new ArrayList<>(flags);
    allFlags.add("-XX:+UseSerialGC");
    allFlags.addAll(limits);
    List<String> allArguments = new ArrayList<>(arguments);
    allArguments.addAll(List.of("--parent-watch", "--json"));
    return new Launch(name, Main.class.getName(), allFlags, allArguments, environment, logs);
  }
}
