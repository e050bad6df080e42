package org.ftcluster.cli.local;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.ftcluster.cli.client.Address;
import org.ftcluster.cli.client.TlsOption;
import org.ftcluster.cli.console.MemoryOption;
import org.ftcluster.cli.jvm.JvmFlags;
import org.ftcluster.cli.jvm.Launch;
import org.ftcluster.cli.node.GpuList;
import org.ftcluster.protocol.job.JobSpec;
import org.jspecify.annotations.Nullable;

/** How the processes of a local run are started: by the commands that anyone can type. */
public final class ChildLaunch {
  private static final Site LOOPBACK = Site.on("127.0.0.1");

  private ChildLaunch() {}

  /** A coordinator in a given place. */
  public static Launch coordinator(Site site, TlsOption tls, RunFolder folder) {
    Address grpc = new Address(site.host(), site.servicePort());
    List<String> arguments = new ArrayList<>();
    arguments.addAll(List.of("coordinator", "--grpc", grpc.toString()));
    arguments.addAll(List.of("--data-dir", folder.coordinatorData().toString()));
    arguments.addAll(common(site, tls));
    return Launch.command(
        "coordinator",
        JvmFlags.network(),
        List.of("-Xmx256m", "-XX:TieredStopAtLevel=1"),
        arguments,
        Map.of(),
        folder.logs());
  }

  /**
   * A worker on loopback.
   *
   * @param number counted from 1
   * @param memory that it may take, in bytes
   * @param gpu that it alone has; null for none
   */
  static Launch worker(
      int number, Address coordinator, long memory, @Nullable String gpu, RunFolder folder) {
    return worker(number, LOOPBACK, new TlsOption(), coordinator, memory, gpu, folder);
  }

  /** A worker without a GPU in a given place. */
  public static Launch worker(
      int number, Site site, TlsOption tls, Address coordinator, long memory, RunFolder folder) {
    return worker(number, site, tls, coordinator, memory, null, folder);
  }

  private static Launch worker(
      int number,
      Site site,
      TlsOption tls,
      Address coordinator,
      long memory,
      @Nullable String gpu,
      RunFolder folder) {
    List<String> arguments = new ArrayList<>();
    arguments.addAll(
        List.of("worker", "--coordinator", coordinator.toString(), "--host", site.host()));
    arguments.addAll(List.of("--collective-port", String.valueOf(site.servicePort())));
    arguments.addAll(MemoryOption.arguments(memory));
    arguments.addAll(common(site, tls));
    if (gpu != null) {
      arguments.addAll(List.of("--device", GpuList.device(gpu)));
    }
    return Launch.command(
        "worker-" + number,
        JvmFlags.tensor(),
        List.of("-Xmx1g"),
        arguments,
        gpu == null ? Map.of() : Map.of(GpuList.VISIBLE, gpu),
        folder.logs());
  }

  private static List<String> common(Site site, TlsOption tls) {
    List<String> arguments = new ArrayList<>();
    arguments.addAll(List.of("--cluster-port", String.valueOf(site.clusterPort())));
    if (!site.advertised().equals(site.host())) {
      arguments.addAll(List.of("--advertise", site.advertised()));
    }
    arguments.addAll(tls.arguments());
    if (!tls.isGiven() && !site.host().startsWith("127.")) {
      arguments.add("--insecure"); // Other networks than loopback are ours alone, too.
    }
    return arguments;
  }

  /**
   * Goes on from the first prompts of a job's evaluation data.
   *
   * @param adapter null for the base model alone
   */
  static Launch generate(
      String name,
      JobSpec job,
      @Nullable Path adapter,
      int limit,
      int maxNewTokens,
      RunFolder folder) {
    List<String> arguments = new ArrayList<>();
    arguments.addAll(List.of("generate", "--model", job.model().path().toString()));
    if (adapter != null) {
      arguments.addAll(List.of("--adapter", adapter.toString()));
    }
    arguments.addAll(List.of("--job", folder.jobFile().toString()));
    arguments.addAll(
        List.of("--data", Objects.requireNonNull(job.data().eval()).path().toString()));
    arguments.addAll(List.of("--limit", String.valueOf(limit)));
    arguments.addAll(List.of("--max-new-tokens", String.valueOf(maxNewTokens)));
    arguments.addAll(List.of("--threads", "1"));
    return Launch.command(
        name, JvmFlags.tensor(), List.of("-Xmx1g"), arguments, Map.of(), folder.logs());
  }
}
