package org.ftcluster.worker.bench;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Parallel;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.bench.CollectiveBenchmark.Kind;
import org.ftcluster.worker.data.Dataset;
import org.ftcluster.worker.data.GlobalBatch;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.data.Tokenizer;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelConfigReader;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.parallel.Machine;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.MeshCosts;
import org.ftcluster.worker.parallel.StepTime;
import org.ftcluster.worker.parallel.Workload;

/**
 * Runs some steps of a job on ranks of this process in every kind of mesh, beside the time that
 * {@link StepTime} predicts for the same steps from measured rates: of as many ranks that compute
 * at once without sending anything, of slices as narrow as the mesh's, of a pass over gradients,
 * and of links on which as many ranks send. All are measured right before, since a machine that is
 * shared has other rates each minute.
 */
public final class MeshBenchmark {
  /** Rounds in which code is compiled, before anything is measured. */
  private static final int WARM_UP_ROUNDS = 15;

  /** Steps of each mesh in which what only it runs is compiled. */
  private static final int WARM_UP_STEPS = 20;

  private static final int ROUNDS = 5;

  /** About what ranks compute between messages. */
  private static final Duration WORK = Duration.ofMillis(1);

  /** Meshes of one, two and four ranks. */
  private static final List<Mesh> MESHES =
      List.of(
          new Mesh(1, 1, 1),
          new Mesh(2, 1, 1),
          new Mesh(1, 2, 1),
          new Mesh(1, 1, 2),
          new Mesh(4, 1, 1),
          new Mesh(1, 4, 1),
          new Mesh(1, 1, 4),
          new Mesh(2, 2, 1),
          new Mesh(2, 1, 2),
          new Mesh(1, 2, 2));

  private final JobSpec job;
  private final int steps;
  private final GlobalBatches batches;
  private final ModelConfig config;
  private final long trained;

  /**
   * A measurement.
   *
   * @param seconds of a step, measured
   * @param predicted likewise
   * @param machines from whose rates it is predicted: those before it was measured, and after
   */
  public record Line(Parallel mesh, double seconds, StepTime predicted, List<Machine> machines) {
    /** How far off the prediction is, as a share of what was measured. */
    public double error() {
      return predicted.seconds() / seconds - 1;
    }
  }

  private MeshBenchmark(JobSpec job, int steps, GlobalBatches batches) {
    this.job = job;
    this.steps = steps;
    this.batches = batches;
    this.config = ModelConfigReader.read(job.model().path());
    this.trained = ModelLoader.trainedParameters(job.model(), job.adapter());
  }

  /**
   * Runs all of them.
   *
   * @param job whose steps are taken
   * @param steps that count
   * @param turns in which each mesh is measured, of which that of the median error counts: others'
   *     work on the machine disturbs one or the other
   * @param ranks that there are at most
   */
  public static void run(JobSpec job, int steps, int turns, int ranks, Consumer<Line> lines) {
    MeshBenchmark benchmark = new MeshBenchmark(job, steps, batches(job));
    benchmark.rates().seconds(1, 1, WARM_UP_ROUNDS);
    List<StepTime.Layout> layouts =
        MESHES.stream().filter(mesh -> mesh.size() <= ranks).flatMap(benchmark::layouts).toList();
    Map<StepTime.Layout, List<Line>> measured = new HashMap<>();
    for (int turn = 1; turn <= turns; turn++) {
      for (StepTime.Layout layout : layouts) {
        List<Line> soFar = measured.computeIfAbsent(layout, each -> new ArrayList<>());
        soFar.add(benchmark.line(layout));
        if (turn == turns) {
          soFar.sort(Comparator.comparingDouble(Line::error));
          lines.accept(soFar.get(turns / 2));
        }
      }
    }
  }

  private static GlobalBatches batches(JobSpec job) {
    int vocabulary = ModelConfigReader.read(job.model().path()).vocabularySize();
    try (Tokenizer tokenizer = Tokenizer.open(job.model().path(), vocabulary)) {
      int threads = job.resources().threads();
      return new GlobalBatches(
          Dataset.load(job.data().train(), tokenizer, job.data().maxLength(), threads), job);
    }
  }

  private ComputeRates rates() {
    return new ComputeRates(job, batches.batch(WARM_UP_STEPS).microBatches());
  }

  /** What a mesh can be run with. */
  private Stream<StepTime.Layout> layouts(Mesh mesh) {
    List<StepTime.Layout> layouts = new ArrayList<>();
    layouts.add(new StepTime.Layout(mesh, 1, Sharding.NONE));
    if (mesh.pipeline() == 2 && mesh.size() == 2) {
      layouts.add(new StepTime.Layout(mesh, 2, Sharding.NONE));
    }
    if (mesh.data() == mesh.size() && mesh.size() > 1) {
      layouts.add(new StepTime.Layout(mesh, 1, Sharding.ZERO1));
      layouts.add(new StepTime.Layout(mesh, 1, Sharding.ZERO2));
    }
    if (mesh.data() > 1 && mesh.pipeline() == 1) {
      layouts.add(new StepTime.Layout(mesh, 1, Sharding.ZERO3));
    }
    return layouts.stream();
  }

  private Line line(StepTime.Layout layout) {
    Mesh mesh = layout.mesh();
    Parallel parallel =
        new Parallel(
            mesh.data(),
            mesh.tensor(),
            mesh.pipeline(),
            layout.interleave(),
            layout.sharding(),
            0,
            true);
    JobSpec laidOut = job.withParallel(parallel);
    Machine before = machine(mesh);
    List<Double> seconds = MeshRun.seconds(job, parallel, mesh.size(), WARM_UP_STEPS + steps);
    List<GlobalBatch> measured =
        LongStream.range(WARM_UP_STEPS, WARM_UP_STEPS + steps).mapToObj(batches::batch).toList();
    double tokens = measured.stream().mapToLong(GlobalBatch::tokens).average().orElseThrow();
    double[] perToken = new double[steps];
    for (int i = 0; i < steps; i++) {
      // The first step's time isn't among them.
      perToken[i] = seconds.get(WARM_UP_STEPS + i - 1) / measured.get(i).tokens();
    }
    // A machine that others use, too, isn't as fast after a minute.
    List<Machine> machines = List.of(before, machine(mesh));
    List<StepTime> predicted =
        measured.stream()
            .map(batch -> MeshCosts.of(laidOut, config, mesh, trained, batch))
            .flatMap(costs -> machines.stream().map(costs::stepTime))
            .toList();
    return new Line(
        parallel, ComputeRates.median(perToken) * tokens, StepTime.mean(predicted), machines);
  }

  private Machine machine(Mesh mesh) {
    int ranks = mesh.size();
    int slices = mesh.tensor();
    ComputeRates rates = rates();
    double alone = rates.seconds(slices, 1, ROUNDS);
    List<Double> company = new ArrayList<>();
    for (int working = 2; working <= ranks; working *= 2) {
      double slowdown = rates.seconds(slices, working, ROUNDS) / alone;
      while (company.size() < working - 2) {
        company.add((company.getLast() + slowdown) / 2);
      }
      company.add(slowdown);
    }
    double memoryBytes = rates.memoryBytes(trained);
    Workload work = work();
    double products = alone - work.expansions() / slices / memoryBytes;
    int threads = job.resources().threads();
    boolean overlaps = ranks * threads < Runtime.getRuntime().availableProcessors();
    Machine.Link link = ranks == 1 ? Machine.CPU.near() : link(ranks, messageBytes(mesh, work));
    return new Machine(
        work.flops() / slices / products, memoryBytes, company, overlaps, link, link, ranks);
  }

  private Workload work() {
    GlobalBatch batch = batches.batch(WARM_UP_STEPS);
    int count = batch.microBatches().size();
    return Workload.of(
        job,
        config,
        trained,
        count,
        (double) batch.tokens() / count,
        (double) batch.targetTokens() / count);
  }

  /** Of what ranks send most. */
  private static long messageBytes(Mesh mesh, Workload work) {
    return Math.round(
        mesh.tensor() > 1
            ? work.tokens() * work.hidden() * Float.BYTES
            : work.trained() * work.gradientBytes());
  }

  /** What as many ranks find between work, for small buffers and such as they send. */
  private Machine.Link link(int ranks, long bytes) {
    List<CollectiveBenchmark.Line> calls = new ArrayList<>();
    CollectiveBenchmark.run(
        List.of(Kind.REDUCE_SCATTER, Kind.ALL_GATHER),
        ranks,
        job.resources().sockets(),
        List.of(1L << 10, bytes),
        WORK,
        1,
        calls::add);
    // Messages that go one after the other.
    int turns = ranks - 1;
    double latency = (calls.get(0).seconds() + calls.get(2).seconds()) / 2 / turns;
    double each = (calls.get(1).seconds() + calls.get(3).seconds()) / 2 / turns;
    return new Machine.Link((double) bytes / ranks / Math.max(each - latency, each / 2), latency);
  }
}
