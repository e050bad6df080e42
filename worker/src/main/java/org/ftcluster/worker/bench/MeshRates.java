package org.ftcluster.worker.bench;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.parallel.Machine;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.Workload;
import org.jspecify.annotations.Nullable;

/** What this machine has to offer to ranks of this process, laid out as a mesh's. */
final class MeshRates implements AutoCloseable {
  private final JobSpec job;
  private final Mesh mesh;
  private final Workload work;
  private final ComputeRates compute;
  private final @Nullable LinkRates links;

  /** Seconds that ranks computed, by how many of them did: one, two, four … */
  private final List<List<Double>> computed = new ArrayList<>();

  private final List<Double> memoryBytes = new ArrayList<>();
  private final List<LinkRates.Exchanges> exchanged = new ArrayList<>();

  /**
   * Gets ranks ready, and connects them.
   *
   * @param microBatches that ranks take
   * @param microBatchesPerMeeting how many of them before a rank waits for all others
   * @param work which they are
   */
  MeshRates(
      JobSpec job,
      Mesh mesh,
      List<MicroBatch> microBatches,
      int microBatchesPerMeeting,
      Workload work) {
    this.job = job;
    this.mesh = mesh;
    this.work = work;
    this.compute =
        new ComputeRates(job, microBatches, mesh.tensor(), microBatchesPerMeeting, mesh.size());
    for (int working = 1; working <= mesh.size(); working *= 2) {
      computed.add(new ArrayList<>());
      compute.seconds(working); // what is compiled and taken the first time
    }
    double pieces = (double) microBatches.size() * work.layers() * work.exchanges();
    Duration piece = Duration.ofNanos((long) (compute.seconds(1) * 1e9 / pieces));
    this.links =
        mesh.size() == 1
            ? null
            : new LinkRates(
                mesh.size(),
                mesh.tensor() > 1 ? mesh.tensor() : mesh.size(),
                job.resources().sockets(),
                messageBytes(),
                piece);
  }

  /** Of what ranks send most. */
  private long messageBytes() {
    return Math.round(
        mesh.tensor() > 1
            ? work.tokens() * work.hidden() * Float.BYTES
            : work.trained() * work.gradientBytes());
  }

  /** Measures them once more; nothing else is to run meanwhile. */
  void measure() {
    for (int i = 0; i < computed.size(); i++) {
      computed.get(i).add(compute.seconds(1 << i));
    }
    memoryBytes.add(compute.memoryBytes(Math.round(work.trained())));
    if (links != null) {
      exchanged.add(links.measure());
    }
  }

  /** What was measured, as medians. */
  Machine machine() {
    double alone = Medians.of(computed.getFirst());
    List<Double> company = new ArrayList<>();
    for (int i = 1; i < computed.size(); i++) {
      double slowdown = Medians.of(computed.get(i)) / alone;
      // Between one count and the next.
      while (company.size() < (1 << i) - 2) {
        company.add((company.getLast() + slowdown) / 2);
      }
      company.add(slowdown);
    }
    double memory = Medians.of(memoryBytes);
    double products = alone - work.expansions() / mesh.tensor() / memory;
    int ranks = mesh.size();
    boolean overlaps =
        ranks * job.resources().threads() < Runtime.getRuntime().availableProcessors();
    Machine.Link link = links == null ? Machine.CPU.near() : links.link(exchanges());
    return new Machine(
        work.flops() / mesh.tensor() / products, memory, company, overlaps, link, link, ranks);
  }

  private LinkRates.Exchanges exchanges() {
    return new LinkRates.Exchanges(
        Medians.of(exchanged.stream().map(LinkRates.Exchanges::small).toList()),
        Medians.of(exchanged.stream().map(LinkRates.Exchanges::large).toList()));
  }

  @Override
  public void close() {
    try (compute;
        links) {
      // Both end, whatever becomes of the other.
    }
  }
}
