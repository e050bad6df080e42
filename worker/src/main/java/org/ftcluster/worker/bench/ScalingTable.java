package org.ftcluster.worker.bench;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.parallel.Machine;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.Schedule;
import org.ftcluster.worker.parallel.StepTime;
import org.ftcluster.worker.parallel.StepTime.Layout;
import org.ftcluster.worker.parallel.Workload;

/**
 * What QLoRA of large models would reach on many GPUs: predictions of {@link StepTime}, for the
 * fastest layout that fits, from assumed rates.
 */
public final class ScalingTable {
  /** Nodes of eight H100s: 40% of the products' peak, NVLink inside, 400 Gbit/s a GPU between. */
  public static final Machine H100 =
      new Machine(400e12, 2.4e12, new Machine.Link(300e9, 10e-6), new Machine.Link(40e9, 20e-6), 8);

  /** Of 80 GB, less what CUDA, NCCL and fragments take. */
  public static final double MEMORY_BYTES = 70e9;

  public static final int SEQUENCE = 4096;
  public static final int GLOBAL_BATCH = 512;
  private static final int RANK = 16;
  private static final int MOST_GPUS = 512;
  private static final int[] TENSOR = {1, 2, 4, 8};

  /**
   * A model.
   *
   * @param modules numbers that LoRA adds to a layer for each of its rank
   * @param feedForward columns
   */
  private record Shape(
      String name,
      int layers,
      double layerWeights,
      double headWeights,
      double hidden,
      double modules,
      double keysAndValues,
      double feedForward) {}

  private static final List<Shape> SHAPES =
      List.of(
          new Shape(
              "Llama 70B",
              80,
              8192.0 * (2 * 8192 + 2 * 1024 + 3 * 28672),
              128256.0 * 8192,
              8192,
              2 * (8192 + 8192) + 2 * (8192 + 1024) + 3 * (8192 + 28672),
              1024,
              28672),
          new Shape(
              "Falcon 180B",
              80,
              14848.0 * (2 * 14848 + 2 * 512 + 2 * 59392),
              65024.0 * 14848,
              14848,
              2 * (14848 + 14848) + 2 * (14848 + 512) + 2 * (14848 + 59392),
              512,
              59392));

  /**
   * A row.
   *
   * @param efficiency share of the products' rate that goes into what a step needs anyhow
   */
  public record Row(
      String model,
      int gpus,
      Layout layout,
      boolean recompute,
      double memoryBytes,
      double bubble,
      double seconds,
      double tokensPerSecond,
      double efficiency) {}

  private ScalingTable() {}

  /** For 8 to 512 GPUs. */
  public static List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    for (Shape shape : SHAPES) {
      for (int gpus = 8; gpus <= MOST_GPUS; gpus *= 2) {
        best(shape, gpus).ifPresent(rows::add);
      }
    }
    return rows;
  }

  private static Optional<Row> best(Shape shape, int gpus) {
    List<Row> rows = new ArrayList<>();
    for (boolean recompute : new boolean[] {false, true}) {
      for (int tensor : TENSOR) {
        for (int pipeline = 1; pipeline * tensor <= gpus && pipeline <= 16; pipeline *= 2) {
          int data = gpus / (tensor * pipeline);
          for (Sharding sharding : List.of(Sharding.NONE, Sharding.ZERO1, Sharding.ZERO3)) {
            if (sharding == Sharding.ZERO3 && (pipeline > 1 || data == 1)) {
              continue;
            }
            Mesh mesh = new Mesh(data, pipeline, tensor);
            for (int chunks = 1; chunks <= (pipeline == 1 ? 1 : 4); chunks *= 2) {
              if (pipeline * chunks <= shape.layers()) {
                rows.add(row(shape, gpus, mesh, chunks, sharding, recompute));
              }
            }
            Mesh grouped = mesh.inGroupsOf(H100.ranksPerNode());
            if (sharding == Sharding.ZERO3 && grouped.groups() > 1 && grouped.groupData() > 1) {
              rows.add(row(shape, gpus, grouped, 1, sharding, recompute));
            }
          }
        }
      }
    }
    return rows.stream()
        .filter(row -> row.memoryBytes() <= MEMORY_BYTES)
        .min(Comparator.comparingDouble(Row::seconds));
  }

  private static Row row(
      Shape shape, int gpus, Mesh mesh, int chunks, Sharding sharding, boolean recompute) {
    double trained = RANK * shape.modules() * shape.layers();
    Workload work =
        new Workload(
            shape.layers(),
            shape.layerWeights(),
            0, // every token carries a loss
            shape.headWeights(),
            shape.hidden(),
            shape.hidden(), // as many columns have heads
            trained,
            GLOBAL_BATCH,
            SEQUENCE,
            SEQUENCE,
            SEQUENCE,
            recompute,
            false,
            false,
            Short.BYTES,
            0.516,
            Float.BYTES,
            Float.BYTES);
    Layout layout = new Layout(mesh, chunks, sharding);
    StepTime time = StepTime.of(work, layout, H100);
    double ideal = idealPipeline(mesh, chunks);
    return new Row(
        shape.name(),
        gpus,
        layout,
        recompute,
        memory(shape, layout, recompute, trained),
        ideal,
        time.seconds(),
        (double) GLOBAL_BATCH * SEQUENCE / time.seconds(),
        time.efficiency(work, layout, H100));
  }

  /** The bubble of even stages. */
  private static double idealPipeline(Mesh mesh, int chunks) {
    double fill = mesh.pipeline() - 1.0;
    return fill / (chunks * Math.ceilDiv(GLOBAL_BATCH, mesh.data()) + fill);
  }

  /** Weights, what is trained, activations: of the stage that holds most. */
  private static double memory(Shape shape, Layout layout, boolean recompute, double trained) {
    Mesh mesh = layout.mesh();
    double layers = (double) shape.layers() / mesh.pipeline();
    double frozen = layers * shape.layerWeights() / mesh.tensor() * 0.516;
    if (layout.sharding() == Sharding.ZERO3) {
      frozen =
          frozen * (0.031 + 0.969 / mesh.groupData())
              + 2 * shape.layerWeights() / mesh.tensor() * 0.5;
    }
    double tables = 2 * shape.headWeights() * Short.BYTES / mesh.tensor();
    // One matrix at a time is expanded.
    double expanded = shape.hidden() * shape.feedForward() * Short.BYTES / mesh.tensor();
    boolean shared = layout.sharding() != Sharding.NONE;
    double state = trained * (shared ? 14 + 24.0 / mesh.groupSize() : 22);
    Schedule schedule =
        new Schedule(mesh.pipeline(), layout.interleave(), Math.ceilDiv(GLOBAL_BATCH, mesh.data()));
    double inFlight = (double) schedule.inFlight(0) / layout.interleave();
    double layer =
        SEQUENCE
            * (12 * shape.hidden() + 4 * shape.keysAndValues() + 6 * shape.feedForward())
            / mesh.tensor();
    double kept =
        recompute
            ? inFlight * layers * SEQUENCE * 2 * shape.hidden() / mesh.tensor() + layer
            : inFlight * layers * layer;
    return frozen + tables + expanded + state + kept;
  }
}
