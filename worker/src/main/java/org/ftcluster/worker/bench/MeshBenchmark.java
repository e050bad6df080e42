package org.ftcluster.worker.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Parallel;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.data.Dataset;
import org.ftcluster.worker.data.GlobalBatch;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.data.MicroBatch;
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
 * Runs steps of a job on ranks of this process in every kind of mesh, beside the time that {@link
 * StepTime} predicts for the same steps from measured rates: of as many ranks that compute at once
 * and wait for each other without sending anything, of slices as narrow as the mesh's, of a pass
 * over gradients, and of links on which as many ranks send. A mesh takes a few steps, stands still
 * while the rates are measured, and takes more, in turns: a machine that is shared has other rates
 * from one second to the next.
 */
public final class MeshBenchmark {
  /** Rounds in which code is compiled, before anything is measured. */
  private static final int WARM_UP_ROUNDS = 15;

  /** Steps of each mesh in which what only it runs is compiled. */
  private static final int WARM_UP_STEPS = 20;

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
  private final int turns;
  private final GlobalBatches batches;
  private final ModelConfig config;
  private final long trained;

  /**
   * A measurement.
   *
   * @param seconds of a step, measured
   * @param predicted likewise
   * @param machine from whose rates it is predicted
   */
  public record Line(Parallel mesh, double seconds, StepTime predicted, Machine machine) {
    /** How far off the prediction is, as a share of what was measured. */
    public double error() {
      return predicted.seconds() / seconds - 1;
    }
  }

  private MeshBenchmark(JobSpec job, int steps, int turns, GlobalBatches batches) {
    this.job = job;
    this.steps = steps;
    this.turns = turns;
    this.batches = batches;
    this.config = ModelConfigReader.read(job.model().path());
    this.trained = ModelLoader.trainedParameters(job.model(), job.adapter());
  }

  /**
   * Runs all of them.
   *
   * @param job whose steps are taken
   * @param steps of a turn that count
   * @param turns of each mesh; the median of all steps counts, and of all rates
   * @param ranks that there are at most
   */
  public static void run(JobSpec job, int steps, int turns, int ranks, Consumer<Line> lines) {
    MeshBenchmark benchmark = new MeshBenchmark(job, steps, turns, batches(job));
    benchmark.warmUp();
    MESHES.stream()
        .filter(mesh -> mesh.size() <= ranks)
        .flatMap(benchmark::layouts)
        .map(benchmark::line)
        .forEach(lines);
  }

  private void warmUp() {
    try (ComputeRates rates = new ComputeRates(job, microBatches(), 1, 1, 1)) {
      for (int i = 0; i < WARM_UP_ROUNDS; i++) {
        rates.seconds(1);
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

  private List<MicroBatch> microBatches() {
    return batches.batch(WARM_UP_STEPS).microBatches();
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
    // The first step of a turn doesn't count.
    int stepsOfTurn = 1 + steps;
    int allSteps = WARM_UP_STEPS + turns * stepsOfTurn;
    List<GlobalBatch> measured =
        LongStream.range(WARM_UP_STEPS, allSteps)
            .filter(step -> (step - WARM_UP_STEPS) % stepsOfTurn > 0)
            .mapToObj(batches::batch)
            .toList();
    double tokens = measured.stream().mapToLong(GlobalBatch::tokens).average().orElseThrow();
    List<MeshCosts> costs =
        measured.stream()
            .map(batch -> MeshCosts.of(job.withParallel(parallel), config, mesh, trained, batch))
            .toList();
    List<Double> perToken = new ArrayList<>();
    try (MeshRun run = new MeshRun(job, parallel, mesh.size(), allSteps);
        MeshRates rates =
            new MeshRates(job, mesh, microBatches(), microBatchesPerMeeting(layout), work())) {
      run.run(WARM_UP_STEPS);
      rates.measure();
      for (int turn = 0; turn < turns; turn++) {
        List<Double> seconds = run.run(stepsOfTurn);
        for (int i = 0; i < steps; i++) {
          perToken.add(seconds.get(i) / measured.get(turn * steps + i).tokens());
        }
        rates.measure();
      }
      Machine machine = rates.machine();
      return new Line(
          parallel,
          Medians.of(perToken) * tokens,
          StepTime.mean(costs.stream().map(each -> each.stepTime(machine)).toList()),
          machine);
    }
  }

  /** Micro-batches that a rank takes before it waits for others, whether copies or stages. */
  private int microBatchesPerMeeting(StepTime.Layout layout) {
    Mesh mesh = layout.mesh();
    return switch (layout.sharding()) {
      case NONE, ZERO1 ->
          mesh.pipeline() > 1 ? 1 : Math.ceilDiv(microBatches().size(), mesh.data());
      case ZERO2, ZERO3 -> 1;
    };
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
}
