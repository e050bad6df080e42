package org.ftcluster.worker.parallel;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelPart;
import org.ftcluster.worker.parallel.StepTime.Layout;

/**
 * Looks for a layout of a job that works: the fastest one, or the one that is nearest to what was
 * asked for.
 */
public final class MeshSearch {
  /** So much faster a layout must be to be worth more workers for each copy, or more sharding. */
  private static final double WORTH_IT = 1.03;

  private MeshSearch() {}

  /**
   * The fastest layout of those that are possible with so many workers.
   *
   * @param fits whether a layout's memory does; asked for few
   */
  public static Optional<Layout> fastest(
      JobSpec spec,
      ModelConfig config,
      Workload work,
      Machine machine,
      int workers,
      Predicate<Layout> fits) {
    return layouts(spec, config, work, workers).stream()
        .sorted(
            Comparator.comparingDouble(
                layout -> StepTime.of(work, layout, machine).seconds() * effort(layout)))
        .filter(fits)
        .findFirst();
  }

  /**
   * The layout that fits and differs least from the one that was asked for.
   *
   * @param workers at most
   */
  public static Optional<Layout> nearest(
      JobSpec spec,
      ModelConfig config,
      Workload work,
      Layout wanted,
      int workers,
      Predicate<Layout> fits) {
    return Stream.iterate(1, n -> n <= workers, n -> n + 1)
        .flatMap(n -> layouts(open(spec), config, work, n).stream())
        .sorted(Comparator.comparingDouble(layout -> distance(layout, wanted)))
        .filter(fits)
        .findFirst();
  }

  /** Without what it says of its mesh. */
  private static JobSpec open(JobSpec spec) {
    return spec.withParallel(
        new JobSpec.Parallel(0, 0, 0, 1, Sharding.NONE, 0, spec.parallel().mirror()));
  }

  private static double effort(Layout layout) {
    double levels =
        layout.sharding().ordinal()
            + (layout.interleave() - 1)
            + (layout.mesh().groups() > 1 ? 1 : 0);
    double cuts = Math.log(layout.mesh().pipeline() * layout.mesh().tensor()) / Math.log(2);
    return Math.pow(WORTH_IT, levels + cuts);
  }

  private static double distance(Layout layout, Layout wanted) {
    return ratio(layout.mesh().tensor(), wanted.mesh().tensor())
        + ratio(layout.mesh().pipeline(), wanted.mesh().pipeline())
        + ratio(layout.mesh().size(), wanted.mesh().size())
        + ratio(layout.mesh().groups(), wanted.mesh().groups())
        + Math.abs(layout.sharding().ordinal() - wanted.sharding().ordinal())
        + Math.abs(layout.interleave() - wanted.interleave());
  }

  private static double ratio(int a, int b) {
    return Math.abs(Math.log((double) a / b)) / Math.log(2);
  }

  /** All that use as many of the workers as whole copies do, and leave what the job fixes. */
  static List<Layout> layouts(JobSpec spec, ModelConfig config, Workload work, int workers) {
    JobSpec.Parallel fixed = spec.parallel();
    List<Layout> layouts = new ArrayList<>();
    for (int tensor = 1; tensor <= workers; tensor++) {
      if ((fixed.tensor() > 0 && fixed.tensor() != tensor) || !ModelPart.canSlice(config, tensor)) {
        continue;
      }
      for (int pipeline = 1;
          pipeline * tensor <= workers && pipeline <= config.layers();
          pipeline++) {
        if (fixed.pipeline() > 0 && fixed.pipeline() != pipeline) {
          continue;
        }
        int copies =
            fixed.data() > 0
                ? fixed.data()
                : Math.min(workers / (tensor * pipeline), work.microBatches());
        if (copies * tensor * pipeline <= workers) {
          addLayouts(layouts, spec, config, new Mesh(copies, pipeline, tensor));
        }
      }
    }
    return layouts;
  }

  private static void addLayouts(
      List<Layout> layouts, JobSpec spec, ModelConfig config, Mesh mesh) {
    JobSpec.Parallel fixed = spec.parallel();
    for (Sharding sharding : Sharding.values()) {
      if ((fixed.sharding() != Sharding.NONE && fixed.sharding() != sharding)
          || !isPossible(sharding, mesh, spec.adapter().type())) {
        continue;
      }
      int chunks = fixed.interleave();
      for (Mesh grouped : inGroups(mesh, sharding, fixed.shardingGroup())) {
        layouts.add(new Layout(grouped, chunks, sharding));
        if (fixed.pipeline() == 0
            && mesh.pipeline() > 1
            && chunks == 1
            && 2 * mesh.pipeline() <= config.layers()) {
          layouts.add(new Layout(grouped, 2, sharding));
        }
      }
    }
  }

  /**
   * All ways to share things out within groups of several replicas.
   *
   * @param ranks of a group; 0 where that is open
   */
  private static List<Mesh> inGroups(Mesh mesh, Sharding sharding, int ranks) {
    if (ranks > 0 || sharding == Sharding.NONE) {
      return List.of(mesh.inGroupsOf(ranks));
    }
    return IntStream.rangeClosed(1, mesh.data())
        .filter(groups -> mesh.data() % groups == 0 && (groups == 1 || groups < mesh.data()))
        .mapToObj(groups -> new Mesh(mesh.data(), mesh.pipeline(), mesh.tensor(), groups))
        .toList();
  }

  private static boolean isPossible(Sharding sharding, Mesh mesh, AdapterType adapter) {
    return switch (sharding) {
      case NONE -> true;
      case ZERO1, ZERO2 -> mesh.size() > 1;
      case ZERO3 ->
          switch (adapter) {
            case LORA -> mesh.data() > 1;
            case NONE -> mesh.size() > 1;
          };
    };
  }
}
