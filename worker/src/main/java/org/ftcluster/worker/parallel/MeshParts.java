package org.ftcluster.worker.parallel;

import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelPart;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.model.ParameterUnit;
import org.ftcluster.worker.model.Span;

/** Which part of a model belongs where in a mesh. */
public final class MeshParts {
  private MeshParts() {}

  /**
   * Refuses what a model can't be cut into.
   *
   * @throws BadJobException which says what it can be cut into
   */
  public static void check(ModelConfig config, JobSpec.Parallel parallel) {
    ModelPart.checkSlices(config, parallel.tensor());
    int chunks = parallel.pipeline() * parallel.interleave();
    if (chunks > config.layers()) {
      int stages = Math.min(parallel.pipeline(), config.layers());
      throw new BadJobException(
          parallel.interleave() == 1
              ? "parallel.pipeline is %d, but the model has %d layers, and each stage needs one; %d would work."
                  .formatted(parallel.pipeline(), config.layers(), stages)
              : "parallel.interleave is %d, but %d stages of as many chunks need as many layers, and the model has %d; %d would work."
                  .formatted(
                      parallel.interleave(),
                      parallel.pipeline(),
                      config.layers(),
                      Math.max(1, config.layers() / stages)));
    }
  }

  /** The parts that a place holds: one, or where stages take turns, its chunks. */
  public static List<ModelPart> parts(
      ModelConfig config, Mesh mesh, Mesh.Place place, JobSpec spec) {
    JobSpec.Parallel parallel = spec.parallel();
    List<Span> layers = layers(config, mesh.pipeline() * parallel.interleave());
    return IntStream.range(0, parallel.interleave())
        .mapToObj(chunk -> layers.get(chunk * mesh.pipeline() + place.stage()))
        .map(span -> part(config, mesh, place, spec, span))
        .toList();
  }

  private static ModelPart part(
      ModelConfig config, Mesh mesh, Mesh.Place place, JobSpec spec, Span layers) {
    ModelPart part = ModelPart.of(config, layers, place.tensor(), mesh.tensor());
    return switch (spec.parallel().sharding()) {
      case NONE, ZERO1, ZERO2 -> part;
      case ZERO3 ->
          spec.sharesValues() && mesh.groupSize() > 1
              ? part.withTrainedShards(mesh.groupSize() / mesh.pipeline())
              : part.sharded(place.data() % mesh.groupData(), mesh.groupData());
    };
  }

  /** The stages that compute with each unit of what a job trains. */
  public static UnitStages unitStages(
      ModelConfig config, JobSpec spec, ParameterBuffer parameters) {
    JobSpec.Parallel parallel = spec.parallel();
    Mesh replica = new Mesh(1, parallel.pipeline(), parallel.tensor());
    List<Set<ParameterBuffer.Slice>> trained =
        IntStream.range(0, replica.pipeline())
            .mapToObj(stage -> parts(config, replica, new Mesh.Place(0, stage, 0), spec))
            .map(
                parts ->
                    parts.stream()
                        .flatMap(part -> part.trained(parameters.slices()).stream())
                        .collect(Collectors.toSet()))
            .toList();
    List<List<Integer>> stages =
        ParameterUnit.of(parameters).stream()
            .map(
                unit ->
                    IntStream.range(0, replica.pipeline())
                        .filter(stage -> !Collections.disjoint(trained.get(stage), unit.slices()))
                        .boxed()
                        .toList())
            .toList();
    return new UnitStages(replica.pipeline(), replica.tensor(), stages);
  }

  /** The layers of each chunk, in the model's order. */
  static List<Span> layers(ModelConfig config, int chunks) {
    return LayerDeal.deal(config.layers(), headCost(config), chunks);
  }

  /** What the head's product costs, in layers: by their weights. */
  static double headCost(ModelConfig config) {
    double head = (double) config.vocabularySize() * config.hiddenSize();
    return head / config.layerWeights();
  }
}
